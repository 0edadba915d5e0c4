"""One training as data, and what every rank does with it. Any launcher sends the first and calls the second."""

import hashlib
import json
import resource
import time
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import safetensors.numpy
import torch

from clickweave.codec.spec import CodecSpec
from clickweave.config.stages import TrainConfig
from clickweave.contracts.manifest import digest
from clickweave.errors import TrainingError
from clickweave.models import registry
from clickweave.models.protocol import Trainable
from clickweave.store import files
from clickweave.training.batches import row_groups
from clickweave.training.bundle import save_bundle
from clickweave.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from clickweave.training.collapse import NUM_ROWS, check_variety
from clickweave.training.comms import Comm
from clickweave.training.flat import FlatNetworks
from clickweave.training.histories import source_of
from clickweave.training.loop import History, Run, best_epoch, train
from clickweave.training.plan import Plan, make_plan
from clickweave.training.seeds import rng_of, seed_of

_WHERE_NOT_WHAT = ("launcher", "hosts", "start_timeout", "stall_timeout", "ranks")  # these leave the result alone


@dataclass(frozen=True)
class TrainJob:
    """A training that any process can run: plain values only.

    Attributes:
        train: a dump of TrainConfig without `model`; `model_params` are the generator's own.
        tables: path of the codec's item codes (safetensors); "" where no column has any.
        out_dir: a folder that every rank reaches. bundle/, progress/, errors/ and checkpoint/ go below it.
    """

    codec_json: str
    tables: str
    generator: str
    model_params: dict[str, Any]
    train: dict[str, Any]
    plan: Plan
    out_dir: str
    seed: int

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "TrainJob":
        raw = json.loads(text)
        return cls(**{**raw, "plan": Plan.from_dict(raw["plan"])})

    @property
    def hash(self) -> str:
        """Equal for jobs that give the same weights: all but where they run and write."""
        raw = json.loads(self.to_json())
        del raw["out_dir"]
        raw["train"] = {key: value for key, value in raw["train"].items() if key not in _WHERE_NOT_WHAT}
        return digest(raw)


def make_job(
    codec: CodecSpec, config: TrainConfig, *, shards: str, ranks: int, out_dir: str, tables: str = ""
) -> TrainJob:
    """The job of `config` over <shards>/part=train and <shards>/part=validation; reads their footers.

    Raises:
        ConfigError, ContractError: the shards cannot be shared out among the ranks, or cannot be read.
    """
    own = registry.params(config.generator)() if config.model is None else config.model
    train_groups, validation_groups = row_groups(f"{shards}/part=train"), row_groups(f"{shards}/part=validation")
    return TrainJob(
        codec_json=codec.to_json(),
        tables=tables,
        generator=config.generator,
        model_params=own.model_dump(mode="json"),
        train=config.model_dump(mode="json", exclude={"model"}),
        plan=make_plan(train_groups, validation_groups, ranks=ranks, batch_size=config.batch_size),
        out_dir=out_dir,
        seed=config.seed,
    )


def run_rank(job: TrainJob, comm: Comm) -> dict[str, Any]:
    """Trains as rank `comm.rank`; rank 0 writes progress, checkpoints and the bundle. Returns metrics, no weights.

    Raises:
        ClickweaveError: see the loop, the reader and the registry; one line.
    """
    if comm.size != job.plan.ranks:
        raise TrainingError(f"train: {comm.size} ranks are up, but the plan is for {job.plan.ranks}; start it again")
    started = time.monotonic()
    config = TrainConfig.model_validate(job.train)
    torch.set_num_threads(config.threads)
    codec = CodecSpec.from_json(job.codec_json)
    tables = files.read_bytes(job.tables) if job.tables else safetensors.numpy.save({})
    generator = _fresh_generator(job, codec, tables)
    flats = FlatNetworks(generator, weight_decay=config.weight_decay)
    history, best_A = _start(job, flats, comm)
    resumed_from = len(history)
    source = source_of(codec, job.plan, comm.rank, job.seed, job.model_params)
    run = Run(generator, flats, source, job.plan.steps, config, comm, job.seed, job.generator)
    train(run, history, best_A, lambda *done: _after_epoch(job, run, *done))
    flats.set_weights(best_A)
    sha256, peak_mib = _finish(job, run, codec)
    metrics = {
        **_summary(history),
        "seconds": round(time.monotonic() - started, 3),
        "ranks": comm.size,
        "resumed_from": resumed_from,
        "num_parameters": best_A.numel(),
        "peak_mib": peak_mib,
        "weights_sha256": sha256,
    }
    if comm.rank == 0:
        _save(job, generator, tables, history)
    comm.barrier()
    return metrics


def _fresh_generator(job: TrainJob, codec: CodecSpec, tables: bytes) -> Trainable:
    own = registry.params(job.generator).model_validate(job.model_params)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(job.seed, "weights"))
        return registry.build(job.generator, codec, own, safetensors.numpy.load(tables))


def _start(job: TrainJob, flats: FlatNetworks, comm: Comm) -> tuple[History, torch.Tensor]:
    """Rank 0's weights, optimizer state and history on every rank: its checkpoint's, or fresh ones."""
    best_A = flats.weights_A()
    live = {**flats.state(), "best": best_A}
    history: History = []
    if comm.rank == 0:
        found, note = load_checkpoint(_checkpoints(job), job.hash, {name: len(flat) for name, flat in live.items()})
        if note is not None:
            files.write_text(f"{job.out_dir}/progress/note-0000.json", json.dumps({"note": note}))
        if found is not None:
            history = found.history
            for name, tensor in found.tensors.items():
                live[name].copy_(tensor)
    for name, tensor in live.items():
        comm.broadcast_(tensor, f"{job.generator}.{name}")
    return list(comm.broadcast_obj(history, f"{job.generator}.history")), best_A


def _after_epoch(job: TrainJob, run: Run, history: History, best_A: torch.Tensor, seconds: float) -> None:
    if run.comm.rank != 0:
        return
    save_checkpoint(_checkpoints(job), job.hash, Checkpoint(history, {**run.flats.state(), "best": best_A}))
    rows = job.plan.steps * job.plan.batch_rows * run.comm.size
    entry = {**history[-1], "seconds": round(seconds, 3), "rows_per_s": round(rows / seconds, 1)}
    files.write_text(f"{job.out_dir}/progress/epoch-{entry['epoch']:04d}.json", json.dumps(entry))


def _finish(job: TrainJob, run: Run, codec: CodecSpec) -> tuple[str, int]:
    """What follows the best weights: `finish` and checks. The SHA-256 of all that was learnt, the peak MiB of a rank.

    Raises:
        TrainingError: ranks hold other bits than rank 0, or the generator collapsed; on every rank.
    """
    comm, name, generator = run.comm, job.generator, run.generator
    generator.train(False)
    generator.finish(islice(run.source.train(0), run.steps), rng_of(job.seed, "finish"), comm.allreduce_mean_)
    digest_all = hashlib.sha256()
    for _, tensor in sorted(generator.state_dict().items()):
        digest_all.update(tensor.contiguous().numpy().tobytes())
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    told = comm.allgather_obj((digest_all.hexdigest(), peak_mib), f"{name}.end")
    for rank, (sha256, _) in enumerate(told):
        if sha256 != told[0][0]:
            raise TrainingError(
                f"train: rank {rank} ended with other weights than rank 0; use equal hosts and libraries"
            )
    wrong = comm.broadcast_obj(_collapse(job, generator, codec) if comm.rank == 0 else None, f"{name}.variety")
    if wrong is not None:
        raise TrainingError(wrong)
    return told[0][0], max(peak for _, peak in told)


def _collapse(job: TrainJob, generator: Trainable, codec: CodecSpec) -> str | None:
    """What is wrong with the variety of the rows that the generator draws, if anything."""
    drawn = generator.drawn_codes(NUM_ROWS, rng_of(job.seed, "variety"))
    by_column = dict(zip((column.name for column in codec.columns), drawn, strict=True))
    try:
        check_variety(codec, by_column, job.seed)
    except TrainingError as error:
        return str(error)
    return None


def _summary(history: History) -> dict[str, Any]:
    best = history[best_epoch(history) - 1]
    figures = {key: value for key, value in best.items() if key not in ("epoch", "of")}
    return {"epochs": len(history), "best_epoch": best["epoch"], **figures, "history": history}


def _save(job: TrainJob, generator: Trainable, tables: bytes, history: History) -> None:
    save_bundle(
        f"{job.out_dir}/bundle",
        codec_json=job.codec_json,
        tables=tables,
        generator=job.generator,
        params=registry.params(job.generator).model_validate(job.model_params),
        weights=generator.state_dict(),
        training={**_summary(history), "ranks": job.plan.ranks, "seed": job.seed},
    )
    files.delete_dir(_checkpoints(job))


def _checkpoints(job: TrainJob) -> str:
    return f"{job.out_dir}/checkpoint"

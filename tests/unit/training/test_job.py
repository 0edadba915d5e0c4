"""One rank through the whole job: it learns, resumes, and says what is wrong."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from clickweave.errors import ContractError, TrainingError
from clickweave.training.bundle import load_bundle_files, open_bundle
from clickweave.training.comms import NullComm
from clickweave.training.job import TrainJob, run_rank
from clickweave.training.loop import best_epoch


class StopsAfter(NullComm):
    """A rank that is killed in the validation of the given epoch."""

    def __init__(self, epochs):
        self.left = epochs

    def allreduce_mean_(self, flat, name):
        if name.endswith("validation"):
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt


def epochs_told(job):
    return [json.loads(path.read_text()) for path in sorted(Path(job.out_dir, "progress").glob("epoch-*.json"))]


def test_training_learns_a_pairwise_dependency_and_the_shape_inside_a_bin(toy_job):
    job = toy_job(epochs=20, patience=20, learning_rate=0.02)
    metrics = run_rank(job, NullComm())
    losses = [entry["validation_loss"] for entry in metrics["history"]]
    assert losses[-1] < losses[0] - 0.5
    bundle = open_bundle(load_bundle_files(f"{job.out_dir}/bundle"))
    drawn = bundle.generator.sample(4000, torch.Generator().manual_seed(1), 1.0)
    item, label, price = drawn.codes_BC.unbind(1)
    assert (item == label).float().mean() > 0.75  # the law says 0.925, independent columns 0.25
    assert (item == price + 1).float().mean() > 0.75  # the law says 1
    assert 0.74 < drawn.positions_BP.mean() < 0.86  # Beta(4, 1) has mean 0.8, the uniform 0.5
    assert torch.bincount(item, minlength=6)[2:].min() > 700  # of 1000 each


def test_same_job_gives_the_same_weights_and_bundle(toy_job):
    first, second = toy_job(out="a"), toy_job(out="b")
    assert run_rank(first, NullComm())["weights_sha256"] == run_rank(second, NullComm())["weights_sha256"]
    assert load_bundle_files(f"{first.out_dir}/bundle") == load_bundle_files(f"{second.out_dir}/bundle")


def test_another_seed_gives_other_weights(toy_job):
    seeds = [run_rank(toy_job(out=f"s{seed}", seed=seed, epochs=1), NullComm())["weights_sha256"] for seed in (0, 1)]
    assert seeds[0] != seeds[1]


def test_resumed_training_ends_with_the_weights_of_an_undisturbed_one(toy_job):
    whole = run_rank(toy_job(out="whole"), NullComm())
    job = toy_job(out="broken")
    with pytest.raises(KeyboardInterrupt):
        run_rank(job, StopsAfter(2))
    resumed = run_rank(job, NullComm())
    assert resumed["resumed_from"] == 2
    assert resumed["weights_sha256"] == whole["weights_sha256"]
    assert resumed["history"] == whole["history"]


@pytest.mark.parametrize("harm", ["torn tensors", "flipped tensors", "torn state", "foreign"])
def test_unusable_checkpoint_is_left_alone_and_said_so(toy_job, harm):
    whole = run_rank(toy_job(out="whole"), NullComm())
    job = toy_job(out="broken", weight_decay=0.5) if harm == "foreign" else toy_job(out="broken")
    with pytest.raises(KeyboardInterrupt):
        run_rank(job, StopsAfter(2))
    checkpoint = Path(job.out_dir, "checkpoint")
    harmed = checkpoint / "state.json" if harm == "torn state" else next(checkpoint.rglob("*.safetensors"))
    data = harmed.read_bytes()
    if harm.startswith("torn"):
        harmed.write_bytes(data[:-9])
    if harm.startswith("flipped"):
        harmed.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    again = run_rank(toy_job(out="broken"), NullComm())
    assert again["resumed_from"] == 0
    assert again["weights_sha256"] == whole["weights_sha256"]
    note = json.loads(Path(job.out_dir, "progress", "note-0000.json").read_text())["note"]
    assert note.startswith("checkpoint ignored")


def test_finished_training_leaves_no_checkpoint_and_one_progress_file_per_epoch(toy_job):
    job = toy_job()
    metrics = run_rank(job, NullComm())
    assert not Path(job.out_dir, "checkpoint").exists()
    told = epochs_told(job)
    assert [entry["epoch"] for entry in told] == [1, 2, 3]
    assert [entry["validation_loss"] for entry in told] == [entry["validation_loss"] for entry in metrics["history"]]
    assert told[0]["of"] == 3 and told[0]["rows_per_s"] > 0


def test_training_stops_after_patience_epochs_without_a_better_one(toy_job):
    metrics = run_rank(toy_job(epochs=30, patience=2, learning_rate=0.05), NullComm())
    assert metrics["epochs"] == metrics["best_epoch"] + 2 < 30


def test_best_epoch_is_the_first_of_the_lowest():
    history = [{"epoch": e, "validation_loss": loss} for e, loss in enumerate((3.0, 1.0, 2.0, 1.0), start=1)]
    assert best_epoch(history) == 2
    assert best_epoch([]) == 0


def test_diverged_training_says_where(toy_job):
    with pytest.raises(TrainingError, match=r"not finite at epoch 1, step \d+; lower train.learning_rate"):
        run_rank(toy_job(learning_rate=1e30), NullComm())


def test_job_survives_json_and_its_hash_ignores_the_folder_alone(toy_job):
    job = toy_job()
    assert TrainJob.from_json(job.to_json()) == job
    assert toy_job(out="elsewhere").hash == job.hash
    assert toy_job(launcher="in_process").hash == job.hash
    assert toy_job(seed=5).hash != job.hash
    assert toy_job(ranks=2).hash != job.hash


def test_ranks_that_do_not_match_the_plan_are_refused(toy_job):
    with pytest.raises(TrainingError, match="1 ranks are up, but the plan is for 2"):
        run_rank(toy_job(ranks=2), NullComm())


def test_one_flipped_bit_in_a_value_of_a_shard_is_found(toy_job):
    job = toy_job()
    shard = Path(job.plan.train[0][0].file)
    values = pq.read_table(shard)["position_price"].to_numpy().tobytes()
    data = bytearray(shard.read_bytes())
    data[data.index(values) + 1] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ContractError, match="encode again"):
        run_rank(job, NullComm())

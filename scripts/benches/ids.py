"""Ranks that train and sample side by side, from a made-up codec with any number of users and items, or a real one."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch

from clickweave.codec.spec import BINS, FIRST_VALUE, VALUES, CodecSpec, ColumnSpec
from clickweave.config.base import Section
from clickweave.config.stages import TrainConfig
from clickweave.models import registry
from clickweave.models.protocol import Batch
from clickweave.store.workspace import Workspace
from clickweave.training.batches import row_groups
from clickweave.training.comms import NullComm
from clickweave.training.flat import FlatNetworks
from clickweave.training.histories import source_of
from clickweave.training.loop import Run, train
from clickweave.training.plan import make_plan
from clickweave.training.seeds import rng_of

ONE_DIGIT = 256 * 64  # values from which the codec writes two digits
VECTOR_DIM = 32
EVENTS_PER_ITEM = 10
SAMPLE_ROWS = 4096
MOST_EVENTS = 64  # of a drawn history; all wait for the longest one, which in a real log has thousands
NARROW = {"feature_genre": 200, "feature_year": 70, "feature_age": 60, "feature_job": 21, "feature_sex": 2, "label": 2}


def write_codec(folder: Path, num_users: int, num_items: int, direct_ids: int = 0) -> None:
    """codec.json and tables.safetensors of a log of 11 columns; users and items by Zipf's law.

    Users and items get digits where there are more of them than `direct_ids`.
    """
    rng = np.random.default_rng(num_items)
    tables: dict[str, np.ndarray] = {}
    wide = {}
    for name, count in (("entity_id", num_users), ("item_id", num_items)):
        made = {} if count <= direct_ids else _item_codes(name, count, rng)
        num_digits = made[f"{name}.digits"].shape[1] if made else 0
        wide[name] = _values(name, count, num_items, num_digits)
        tables |= made
    time_parts = [_bins("event_day", 64, num_items, "long"), _bins("event_clock", 64, num_items, "long")]
    narrow = [_values(name, count, num_items, 0) for name, count in NARROW.items()]
    price = _bins("feature_price", 64, num_items, "double")
    columns = (wide["entity_id"], *time_parts, wide["item_id"], *narrow[:-1], price, narrow[-1])
    codec = CodecSpec(columns, num_rows=EVENTS_PER_ITEM * num_items, fitted_on="bench")
    (folder / "codec.json").write_text(codec.to_json())
    (folder / "tables.safetensors").write_bytes(safetensors.numpy.save(tables))


@dataclass(frozen=True)
class Encoded:
    """What a rank needs: files of a made-up codec, or of a workspace, which also has `shards` ("": random rows)."""

    codec: str
    tables: str
    shards: str = ""

    @classmethod
    def of_workspace(cls, root: str) -> "Encoded":
        """What the stage encode left in a workspace."""
        place = Workspace(root)
        return cls(*(place.output("encode", name) for name in ("codec", "tables", "shards")))

    def read_codec(self) -> CodecSpec:
        return CodecSpec.from_json(Path(self.codec).read_text())

    def batches(self, codec: CodecSpec, own: Section, batch_rows: int, count: int) -> list[Any]:
        """The first `count` batches of an epoch."""
        if not self.shards:
            return [_batch(codec, batch_rows, number) for number in range(count)]
        groups = [row_groups(f"{self.shards}/part={part}") for part in ("train", "validation")]
        plan = make_plan(*groups, ranks=1, batch_size=batch_rows)
        return list(islice(source_of(codec, plan, 0, 0, own.model_dump()).train(0), count))


def rank(encoded: Encoded, generator: str, chunk: int, chunks: int, pipe: Connection) -> None:
    """One training rank. For each message on `pipe` it trains `chunk` steps and samples once, and answers with times.

    An answer is {step_s: [seconds of each step], sample_rows_per_s, peak_mib}; there are `chunks` of them.
    """
    torch.set_num_threads(1)
    codec, kind = encoded.read_codec(), registry.params(generator)
    own = kind(**{"max_events": MOST_EVENTS} if "max_events" in kind.model_fields else {})
    config = TrainConfig(generator=generator, epochs=1)
    torch.manual_seed(0)
    network = registry.build(generator, codec, own, safetensors.numpy.load(Path(encoded.tables).read_bytes()))
    flats = FlatNetworks(network, weight_decay=config.weight_decay)
    source = _Paced(network, encoded.batches(codec, own, config.batch_size, chunk), pipe)
    steps = chunk * (chunks + 1)  # the loop asks for one more batch before the last answer goes out
    run = Run(network, flats, source, steps, config, NullComm(), 0, generator)
    train(run, [], flats.weights_A(), lambda *done: None)


class _Paced:
    """The same batches again and again; each time it waits for a message and tells how long the steps before took."""

    def __init__(self, network: Any, batches: list[Any], pipe: Connection) -> None:
        self.network, self.batches, self.pipe = network, batches, pipe

    def train(self, epoch: int) -> Iterator[Any]:
        while True:
            self.pipe.recv()
            seconds = []
            for batch in self.batches:
                started = time.perf_counter()
                yield batch
                seconds.append(time.perf_counter() - started)
            self.pipe.send({"step_s": seconds, "sample_rows_per_s": self._sampled(), "peak_mib": peak_mib()})

    def validation(self) -> Iterator[Any]:
        yield self.batches[0]

    def _sampled(self) -> float:
        self.network.train(False)
        started = time.perf_counter()
        with torch.inference_mode():
            drawn = self.network.drawn_codes(SAMPLE_ROWS, rng_of(0, "bench"))
        seconds = time.perf_counter() - started
        self.network.train(True)
        return len(drawn[-1]) / seconds


def peak_mib(pid: int | str = "self") -> float:
    """The largest RSS that a process had, by default this one."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


def _item_codes(name: str, num_values: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Even random digits and unit vectors; null and rare have a path of their own."""
    num_digits = 1 if num_values <= ONE_DIGIT else 2
    digits = rng.integers(0, 256, (FIRST_VALUE + num_values, num_digits), dtype=np.uint8)
    digits[:, 0] = rng.integers(1, 256, len(digits))
    vectors = rng.standard_normal((len(digits), VECTOR_DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    digits[:FIRST_VALUE], vectors[:FIRST_VALUE] = 0, 0
    return {f"{name}.digits": digits, f"{name}.vectors": vectors.astype(np.float16)}


def _values(name: str, count: int, num_items: int, num_digits: int) -> ColumnSpec:
    counts = 1 / np.arange(1, count + 1)
    counts = np.maximum(counts * EVENTS_PER_ITEM * num_items / counts.sum(), 1).astype(int)
    values = tuple(f"{name}-{number:08d}" for number in range(count))
    is_entity = name == "entity_id"
    return ColumnSpec(
        name, VALUES, "string", values, tuple(counts.tolist()), is_entity=is_entity, num_digits=num_digits
    )


def _bins(name: str, count: int, num_items: int, type_: str) -> ColumnSpec:
    lows = tuple(float(number) for number in range(count))
    highs = tuple(low + 0.9 for low in lows)
    counts = (EVENTS_PER_ITEM * num_items // count,) * count
    return ColumnSpec(name, BINS, type_, lows=lows, highs=highs, counts=counts)


def _batch(codec: CodecSpec, rows: int, number: int) -> Batch:
    rng = np.random.default_rng(number)
    codes = []
    for column in codec.columns:
        cumulated = np.cumsum(np.asarray(column.counts, dtype=np.float64))
        drawn = np.searchsorted(cumulated, rng.random(rows) * cumulated[-1], side="right")
        codes.append(drawn + column.num_codes - len(column.counts))
    positions = rng.random((rows, len(codec.position_columns)), dtype=np.float32)
    return Batch(torch.from_numpy(np.stack(codes, 1)), torch.from_numpy(positions))

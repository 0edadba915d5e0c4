"""From history shards to training windows: whole histories in a seeded order, on a few lanes side by side."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from clickweave.codec.spec import ENTITY, EVENT, LENGTH, CodecSpec
from clickweave.models.clock import BinNumbers
from clickweave.models.histories import Windows
from clickweave.models.protocol import Batch
from clickweave.training.batches import BUFFER_ROWS, Rows, Source, joined, read_columns, reader, taken
from clickweave.training.plan import Plan, RowGroup
from clickweave.training.seeds import seed_of

VALIDATION_LANES = 4
LEAST_STARTS = 24  # histories that a window brings beside its own events: there are far fewer of them than events


@dataclass(frozen=True)
class Events:
    """Events of histories one after another: all columns, the number in the history, the time, what is left of the
    totals.
    """

    batch: Batch
    place_R: np.ndarray
    time_us_R: np.ndarray
    left_RK: np.ndarray

    def __len__(self) -> int:
        return len(self.place_R)

    def take(self, rows: np.ndarray) -> "Events":
        return Events(taken(self.batch, rows), self.place_R[rows], self.time_us_R[rows], self.left_RK[rows])


@dataclass(frozen=True)
class HistoryWindows:
    """A `Source` of windows of histories.

    A history that a buffer or a lane cuts in two is learnt as two: the second part without the state of the first.
    """

    read: Callable[[RowGroup], Events]
    codec: CodecSpec
    plan: Plan
    rank: int
    seed: int
    window: int
    buffer_rows: int = BUFFER_ROWS

    def train(self, epoch: int) -> Iterator[Windows]:
        rng = np.random.default_rng(seed_of(self.seed, "order", epoch, self.rank))
        groups = self.plan.train[self.rank]
        length = min(self.window, self.plan.batch_rows)
        lanes = self.plan.batch_rows // length
        kept: list[Events] = []
        for number, place in enumerate(rng.permutation(len(groups)), start=1):
            kept.append(self.read(groups[place]))
            rows = sum(map(len, kept))
            if rows < self.buffer_rows and number < len(groups):
                continue
            buffer = _joined(kept)
            buffer = buffer.take(_shuffled_histories(buffer.place_R, rng))
            used = rows // (lanes * length) * lanes * length
            yield from self._windows(buffer.take(np.arange(used)), lanes, length, rng)
            kept = [buffer.take(np.arange(used, rows))]

    def validation(self) -> Iterator[Windows]:
        rng = np.random.default_rng(seed_of(self.seed, "validation", self.rank))
        for group in self.plan.validation[self.rank]:
            events = self.read(group)
            used = len(events) // (VALIDATION_LANES * self.window) * VALIDATION_LANES * self.window
            yield from self._windows(events.take(np.arange(used)), VALIDATION_LANES, self.window, rng)
            rest = len(events) - used
            if rest:
                yield from self._windows(events.take(np.arange(used, len(events))), 1, rest, rng)

    def _windows(self, events: Events, lanes: int, length: int, rng: np.random.Generator) -> Iterator[Windows]:
        """All rows, cut into equal lanes; each window also gets its share of the histories' starts, in random order."""
        if not len(events):
            return
        rows_BW = np.arange(len(events)).reshape(lanes, -1)
        starts = np.flatnonzero(events.place_R == 0)
        starts = rng.permutation(starts) if len(starts) else np.zeros(1, np.int64)
        num_windows = rows_BW.shape[1] // length
        num_others = max(LEAST_STARTS, -(-len(starts) // num_windows))
        for number in range(num_windows):
            rows = rows_BW[:, number * length : (number + 1) * length].ravel()
            others = np.take(starts, np.arange(number * num_others, (number + 1) * num_others), mode="wrap")
            yield _window(events.take(rows), events.take(others), self.codec, lanes, fresh=number == 0)


def source_of(codec: CodecSpec, plan: Plan, rank: int, seed: int, own: Mapping[str, Any]) -> Source:
    """What a rank reads, by the codec's grain; `own` are the generator's parameters."""
    if codec.grain == ENTITY:
        return HistoryWindows(history_reader(codec), codec, plan, rank, seed, own["window"])
    return Rows(reader(codec), plan, rank, seed)


def history_reader(codec: CodecSpec) -> Callable[[RowGroup], Events]:
    """A function that reads one row group of this codec's history shards; it raises what `reader`'s does."""
    read = reader(codec)

    def read_events(group: RowGroup) -> Events:
        more = read_columns(group, codec.history_columns)
        place_R, time_us_R, *left = (column.to_numpy() for column in more.columns)
        left_RK = np.stack(left, axis=1) if left else np.zeros((len(place_R), 0), np.int64)
        return Events(read(group), place_R, time_us_R, left_RK)

    return read_events


def _window(events: Events, others: Events, codec: CodecSpec, lanes: int, *, fresh: bool) -> Windows:
    place_BL = torch.from_numpy(events.place_R.astype(np.int64)).view(lanes, -1)
    entities = at_level(events.batch, codec, ENTITY)
    length_R = BinNumbers(codec.at_level(ENTITY), LENGTH)(entities).long()
    return Windows(
        events=at_level(events.batch, codec, EVENT),
        entities=entities,
        others=at_level(others.batch, codec, ENTITY),
        place_BL=place_BL,
        left_BL=(length_R.view(lanes, -1) - 1 - place_BL).clamp_min(0),
        left_BLK=torch.from_numpy(events.left_RK).view(lanes, place_BL.shape[1], -1),
        time_us_BL=torch.from_numpy(events.time_us_R.astype(np.int64)).view(lanes, -1),
        fresh=fresh,
    )


def at_level(batch: Batch, codec: CodecSpec, level: str) -> Batch:
    """The columns of one level, in the codec's order."""
    codes = [number for number, column in enumerate(codec.columns) if column.level == level]
    placed = [column for column in codec.columns if column.has_position]
    positions = [number for number, column in enumerate(placed) if column.level == level]
    return Batch(batch.codes_BC[:, codes], batch.positions_BP[:, positions])


def _joined(parts: Sequence[Events]) -> Events:
    return Events(
        joined([part.batch for part in parts]),
        np.concatenate([part.place_R for part in parts]),
        np.concatenate([part.time_us_R for part in parts]),
        np.concatenate([part.left_RK for part in parts]),
    )


def _shuffled_histories(place_R: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Row numbers with the histories in random order, each one's events together and in their order."""
    begins = np.ones(len(place_R), bool)
    begins[1:] = place_R[1:] != place_R[:-1] + 1
    history_R = np.cumsum(begins) - 1
    rank_of_history = rng.permutation(history_R[-1] + 1)
    return np.argsort(rank_of_history[history_R], kind="stable")

"""Events and entities of a hashed sample on the driver, as codes: what refinement is fitted to."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.frames.align.cells import Layout
from clickweave.frames.align.goal import FINE, MOST
from clickweave.frames.align.traits import Trait
from clickweave.frames.draws import unit_draw

SAMPLE_EVENTS = 300_000  # of the pool, of train and of reference: some 10 MB of codes each
DIGITS = 1_000_000  # terms are whole millionths, so that sums are exact in any order
SALT = "align refine"
NO_TRAITS = Layout((), ())


@dataclass(frozen=True)
class Sample:
    """Whole entities of about SAMPLE_EVENTS events.

    Attributes:
        layout: cells of events.
        codes: of each event and dimension [events, dimensions], by unit.
        unit: number of each event's unit, in [0, units).
        draws: of each unit, in [0, 1); the same by which `refine.refined` chooses.
        own: cells of units.
        own_codes: of each unit and trait [units, traits].
    """

    layout: Layout
    codes: np.ndarray
    unit: np.ndarray
    draws: np.ndarray
    own: Layout = NO_TRAITS
    own_codes: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int32))

    @classmethod
    def of(cls, rows: DataFrame, layout: Layout, num_rows: int, unit: str, seed: int) -> "Sample":
        """The sample of one frame; one job."""
        share = min(1.0, SAMPLE_EVENTS / max(num_rows, 1))
        draw = unit_draw("entity_id", salt=f"{SALT} sample", seed=seed)
        codes = [code.cast("smallint").alias(name) for name, code in layout.codes.items()]
        keys = F.xxhash64(unit).alias("unit"), unit_draw(unit, salt=SALT, seed=seed).alias("draw")
        table = (rows if share == 1.0 else rows.where(draw < share)).select(*codes, *keys).toArrow()
        _, first, units = np.unique(table.column("unit").to_numpy(), return_index=True, return_inverse=True)
        columns = [table.column(name).to_numpy().astype(np.int32) for name in layout.codes]
        order = np.lexsort((*columns, units))  # however rows came, so that sums of any numbers are the same
        told = np.stack(columns, 1)[order], units[order], table.column("draw").to_numpy()[first]
        return cls(layout, *told)

    def values(self, traits: list[Trait]) -> np.ndarray:
        """The traits of each unit [units, traits]."""
        found = [each.of_codes(self.codes, self.unit, len(self.draws)) for each in traits]
        return np.stack(found, 1) if found else np.zeros((len(self.draws), 0))

    def with_traits(self, traits: list[Trait], own: Layout) -> "Sample":
        """The same with cells of units."""
        values = self.values(traits)
        codes = [
            1 + np.searchsorted(each.edges, values[:, place], side="right") for place, each in enumerate(own.dimensions)
        ]
        return replace(self, own=own, own_codes=np.stack(codes, 1).astype(np.int32)) if codes else self

    def scores(self, terms: np.ndarray) -> np.ndarray:
        """The logarithm of the odds of each unit, in whole steps of 1/FINE, from whole millionths by cell."""
        return np.clip(np.rint(self.sums(terms) * (FINE / DIGITS)), -MOST, MOST).astype(np.int64)

    def kept(self, stay: np.ndarray | float) -> np.ndarray:
        """1.0 for each unit that a draw keeps, else 0.0; `stay` is one chance or one of each."""
        return (self.draws < stay).astype(np.float64)

    @cached_property
    def num_events(self) -> np.ndarray:
        """Of each unit."""
        return np.bincount(self.unit, minlength=len(self.draws))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Of what cells have, by unit: the mean over its events, and its own cells."""
        of_event = np.zeros(len(self.codes), values.dtype)
        for offset, _, cells in _marginals(self.layout, self.codes):
            of_event += values[offset + cells]
        sums = np.bincount(self.unit, of_event, len(self.draws)) / self.num_events
        for offset, _, cells in _marginals(self.own, self.own_codes):
            sums += values[self.layout.num_cells + offset + cells]
        return sums

    def counts(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Events by cell, then units by cell of theirs, each as often as the unit weighs."""
        return self._counted(None if weights is None else weights[self.unit], weights)

    def shares(self, weights: np.ndarray | None = None) -> np.ndarray:
        """The same where all events of a unit count as one."""
        weights = np.ones(len(self.draws)) if weights is None else weights
        return self._counted((weights / self.num_events)[self.unit], weights)

    def _counted(self, of_event: np.ndarray | None, of_unit: np.ndarray | None) -> np.ndarray:
        parts = [np.bincount(cells, of_event, size) for _, size, cells in _marginals(self.layout, self.codes)]
        parts += [np.bincount(cells, of_unit, size) for _, size, cells in _marginals(self.own, self.own_codes)]
        return np.concatenate(parts).astype(np.float64)


def _marginals(layout: Layout, codes: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """Of each marginal the number of its first cell, how many it has, and the one of each row."""
    for offset, marginal in zip(layout.offsets, layout.marginals, strict=True):
        cells = codes[:, marginal[0]]
        for place in marginal[1:]:
            cells = cells * layout.dimensions[place].num_codes + codes[:, place]
        yield offset, layout.size(marginal), cells

"""What a whole history is like: a few numbers of each entity, read off the codes of its events, and cells that count
entities.

Cells of events cannot see how values lie together in histories: half of the histories with repeats only and half
without any have as many repeats as histories that mix both. A trait is the mean or the variance of a dimension's
codes over the entity's events, the smallest or the largest of them, or how many codes it has per event. Codes are small
whole numbers, so their sums are exact in any order, and means of quantile bins are not ruled by a few giant values.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import Column
from pyspark.sql import functions as F

from clickweave.frames.align.cells import BEFORE, LENGTH, NUM_BINS, Dimension, Layout

MEAN, VARIANCE, SMALLEST, LARGEST, DISTINCT = "mean", "variance", "smallest", "largest", "distinct"
_FEW = 4  # codes, null and others among them, of a column with two values: its mean says all


@dataclass(frozen=True)
class Trait:
    """One number of an entity: MEAN or VARIANCE of codes over its events, SMALLEST or LARGEST of those that are not
    null (0 if all are), or DISTINCT codes per event.
    """

    place: int  # of the dimension
    kind: str

    @property
    def column(self) -> str:
        """Its name in a frame of entities."""
        return f"_trait_{self.place}_{self.kind}"

    @property
    def value(self) -> Column:
        """An aggregate over the events of an entity, which have their codes as `Layout.codes` names them."""
        code, num = F.col(f"_code_{self.place}").cast("bigint"), F.count(F.lit(1))
        if self.kind == DISTINCT:
            seen = F.bit_or(F.call_function("shiftleft", F.lit(1).cast("bigint"), code.cast("int")))
            return F.bit_count(seen) / num
        if self.kind in (SMALLEST, LARGEST):
            known = F.when(code > 0, code)
            end = F.min(known) if self.kind == SMALLEST else F.max(known)
            return F.coalesce(end, F.lit(0)).cast("double")
        mean = F.sum(code) / num
        return mean if self.kind == MEAN else F.sum(code * code) / num - mean * mean

    def of_codes(self, codes: np.ndarray, unit: np.ndarray, num_units: int) -> np.ndarray:
        """The same of each unit, bit by bit, from codes and units of events."""
        num = np.bincount(unit, minlength=num_units)
        own = codes[:, self.place].astype(np.int64)
        if self.kind == DISTINCT:
            seen = np.unique(unit * np.int64(64) + own)
            return np.bincount(seen // 64, minlength=num_units) / num
        if self.kind in (SMALLEST, LARGEST):
            return _ends(own, unit, num_units, self.kind)
        mean = np.bincount(unit, own, num_units) / num
        return mean if self.kind == MEAN else np.bincount(unit, own * own, num_units) / num - mean * mean


def traits_of(layout: Layout) -> list[Trait]:
    """Which numbers are compared: of the length, of a column with two values and of one that is the same in a whole
    history the mean says all; of numbers also the variance and both ends, of other columns how many values they have.
    The length first.
    """
    found: list[Trait] = []
    for place, each in sorted(enumerate(layout.dimensions), key=lambda pair: pair[1].column != LENGTH):
        if each.num_codes <= 2 or each.column == BEFORE:  # what came before is known from what it was
            continue
        found.append(Trait(place, MEAN))
        if each.column != LENGTH and each.num_codes > _FEW:
            found += [Trait(place, kind) for kind in ((VARIANCE, SMALLEST, LARGEST) if each.edges else (DISTINCT,))]
    return found


def _ends(codes: np.ndarray, unit: np.ndarray, num_units: int, kind: str) -> np.ndarray:
    """The smallest or largest code of each unit that is not null."""
    known = codes > 0
    found = np.full(num_units, np.inf if kind == SMALLEST else 0.0)
    (np.minimum if kind == SMALLEST else np.maximum).at(found, unit[known], codes[known])
    return np.where(np.isinf(found), 0.0, found)


def fit_traits(traits: Sequence[Trait], values: np.ndarray) -> tuple[list[Trait], Layout]:
    """Those traits that differ between entities, and their cells: one-way, and pairs with the first (the length, where
    it is among them). Pairs of the others were tried and gained nothing.

    Args:
        values: of train's entities [entities, traits].
    """
    kept, dimensions = [], []
    for number, trait in enumerate(traits):
        edges = _edges(values[:, number])
        if edges:
            kept.append(trait)
            dimensions.append(Dimension(trait.column, edges=edges))
    return kept, Layout(tuple(dimensions), _marginals(dimensions))


def _edges(values: np.ndarray) -> tuple[float, ...]:
    """Tenths of entities; a value that more of them have stands for itself. None where all are alike."""
    if not len(values) or values.min() == values.max():
        return ()
    cuts = np.quantile(values, np.arange(1, NUM_BINS) / NUM_BINS, method="lower")
    own, times = np.unique(cuts, return_counts=True)
    edges = np.union1d(own, np.nextafter(own[times > 1], np.inf))
    return tuple(float(edge) for edge in edges if edge > values.min())


def _marginals(dimensions: Sequence[Dimension]) -> tuple[tuple[int, ...], ...]:
    places = range(len(dimensions))
    return *((place,) for place in places), *((0, place) for place in places[1:])

"""Numbers of generated events on the scale of the real ones: quantile mapping, column by column.

A value v goes to Q(F(v)): F is the distribution function of the generated column, Q the quantile function of the real
one (the increasing rearrangement, the least change that gives a column another's distribution; Villani 2003, theorem
2.18). Both are grids of NUM_STEPS quantiles of hashed samples. Where many rows hold one value, F jumps there, and each
of them is drawn a place inside the jump (the distributional transform, Rueschendorf 2009, section 1): order is kept,
and a spike may spread over two values.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from clickweave.frames.align.continued import is_continued
from clickweave.frames.draws import unit_draw
from clickweave.frames.lookup import number_table

NUM_STEPS = 1000  # a quantile for each 0.1 %: that much of a column may end up beside its place
SAMPLE_ROWS = 100_000  # a side: quantiles are then known within 0.4 % (Dvoretzky, Kiefer and Wolfowitz 1956)
ROWS_PER_VALUE = 10  # on average, from which on a column has few values: then no others come out
SAMPLE_VALUES = 4_000_000  # a side over all columns, 32 MB on the driver
_SALT = "align numbers"


@dataclass(frozen=True)
class QuantileMap:
    """What one column's values become.

    Attributes:
        at: distinct values of the generated grid, ascending.
        low, high: the share of rows below each of `at`, and up to it.
        real: the real value at each share 0, 1/NUM_STEPS, ..., 1.
        steps: whether only values of `real` may come out, since the real column has few.
        whole: whether values are rounded.
        of_entity: whether all events of an entity have one value and so must keep one.
        before: distance of the two samples by Kolmogorov and Smirnov.
    """

    at: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    real: tuple[float, ...]
    steps: bool
    whole: bool
    of_entity: bool
    before: float


def number_sample(rows: DataFrame, columns: Sequence[str], num_rows: int, *, seed: int) -> dict[str, np.ndarray]:
    """Sorted values of each column, without nulls, in a hashed sample of about SAMPLE_ROWS rows (fewer where columns
    are many); one narrow job.
    """
    most = min(SAMPLE_ROWS, SAMPLE_VALUES // max(len(columns), 1))
    share = min(1.0, most / max(num_rows, 1))
    drawn = rows if share == 1.0 else rows.where(unit_draw("row_id", salt=f"{_SALT} sample", seed=seed) < share)
    table = drawn.select(*[F.col(name).cast("double").alias(name) for name in columns]).toArrow()
    values = {name: table.column(name).drop_null().to_numpy() for name in columns}
    return {name: np.sort(found[~np.isnan(found)]) for name, found in values.items()}


def fit_numbers(
    real: dict[str, np.ndarray], made: dict[str, np.ndarray], *, of_entity: Sequence[str] = (), min_rows: int = 1
) -> dict[str, QuantileMap]:
    """A map for each column whose samples lie further apart than chance alone puts them (5 % level).

    Args:
        real, made: of `number_sample`, over the same columns.
        of_entity: columns that are equal in all events of an entity.
        min_rows: the ends of the real grid are values that so many rows reach, never one row's own extreme; a column
            of few values has those that so many rows hold.
    """
    maps = {}
    for name, values in real.items():
        if not len(values) or not len(made[name]):
            continue
        before = distance(values, made[name])
        if before > noise(len(values), len(made[name])):
            maps[name] = _fit_one(values, made[name], name in of_entity, min_rows, before)
    return maps


def distance(left: np.ndarray, right: np.ndarray) -> float:
    """Largest distance of the distribution functions of two sorted samples, in [0, 1]."""
    if not len(left) or not len(right):
        return 0.0
    at = np.unique(np.concatenate([left, right]))
    shares = [np.searchsorted(side, at, side="right") / len(side) for side in (left, right)]
    return float(np.abs(shares[0] - shares[1]).max())


def noise(num_left: int, num_right: int) -> float:
    """The distance that two samples of one law exceed in 5 % of cases (Smirnov 1939)."""
    return 1.36 * float(np.sqrt(1 / num_left + 1 / num_right))


def _fit_one(real: np.ndarray, made: np.ndarray, of_entity: bool, min_rows: int, before: float) -> QuantileMap:
    shares = np.linspace(0.0, 1.0, NUM_STEPS + 1)
    margin = min((min_rows - 0.5) / len(real), 0.5)
    grid = np.quantile(real, np.clip(shares, margin, 1 - margin), method="inverted_cdf")
    values, rows = np.unique(real, return_counts=True)
    few = len(values) <= min(NUM_STEPS, len(real) / ROWS_PER_VALUE)
    if few and (rows >= min_rows).any():
        grid = _nearest(values[rows >= min_rows], grid)
    at = np.unique(np.quantile(made, shares, method="inverted_cdf"))
    low, high = (np.searchsorted(made, at, side=side) / len(made) for side in ("left", "right"))
    whole = bool((real == np.floor(real)).all())
    tables = {"at": at, "low": low, "high": high, "real": grid}
    plain = {key: tuple(float(number) for number in numbers) for key, numbers in tables.items()}
    return QuantileMap(**plain, steps=few, whole=whole, of_entity=of_entity, before=round(before, 6))


def _nearest(ascending: np.ndarray, values: np.ndarray) -> np.ndarray:
    """For each value the nearest of a sorted array; increasing as the values are."""
    middles = (ascending[1:] + ascending[:-1]) / 2
    return ascending[np.searchsorted(middles, values)]


def with_numbers(events: DataFrame, maps: dict[str, QuantileMap], *, seed: int) -> DataFrame:
    """Events with mapped columns; nulls stay, types too, and of histories that go on what all their events share.
    Narrow.
    """
    steps = [1 << power for power in range(NUM_STEPS.bit_length() - 1, -1, -1)]  # of a binary search
    looked_up = [_LookedUp(name, each, str(number)) for number, (name, each) in enumerate(maps.items())]
    rows = events
    for columns in (
        [each.tables(events.sparkSession) for each in looked_up],
        *([each.step_on(step) for each in looked_up] for step in steps),
        [each.share(seed) for each in looked_up],
        [each.mapped(events) for each in looked_up],
    ):
        rows = rows.withColumns({name: column for each in columns for name, column in each.items()})
    return rows.select(*events.columns)


@dataclass(frozen=True)
class _LookedUp:
    """A map in columns of its own, each with a name that ends in `suffix`. Written out step by step, since functions
    over arrays are not compiled.
    """

    name: str
    map: QuantileMap
    suffix: str

    def tables(self, spark: SparkSession) -> dict[str, Column]:
        known = {"at": self.map.at, "low": self.map.low, "high": self.map.high, "real": self.map.real}
        tables = {self._named(key): number_table(spark, numbers) for key, numbers in known.items()}
        return tables | {self._named("value"): F.col(self.name).cast("double"), self._named("place"): F.lit(0)}

    def step_on(self, step: int) -> dict[str, Column]:
        """`place` is how many of `at` are known to be at most the value."""
        place, size = self._col("place"), len(self.map.at)
        if step > size:
            return {}
        further = F.get(self._col("at"), place + F.lit(step - 1)) <= self._col("value")
        return {self._named("place"): F.when(further, place + F.lit(step)).otherwise(place)}

    def share(self, seed: int) -> dict[str, Column]:
        """Of the rows below the value; `at[last]` is the last grid value that is not above it."""
        last, value = self._col("place") - F.lit(1), self._col("value")
        key = "entity_id" if self.map.of_entity else "row_id"
        draw = unit_draw(key, salt=f"{_SALT} {self.name}", seed=seed)
        at, low, high = (self._col(table) for table in ("at", "low", "high"))
        left, right = F.get(at, last), F.get(at, last + 1)
        start, end = F.get(high, last), F.get(low, last + 1)
        inside = F.get(low, last) + draw * (start - F.get(low, last))
        between = start + (end - start) * (value - left) / (right - left)
        found = F.when(value == left, inside).otherwise(F.coalesce(between, F.lit(1.0)))
        return {self._named("share"): F.when(last < 0, F.lit(0.0)).otherwise(found)}

    def mapped(self, events: DataFrame) -> dict[str, Column]:
        """The real quantile at the share."""
        step, real, own = self._col("share") * F.lit(float(NUM_STEPS)), self._col("real"), F.col(self.name)
        below = F.least(F.floor(step), F.lit(NUM_STEPS - 1)).cast("int")
        floor = F.get(real, below)
        made = floor + (F.get(real, below + 1) - floor) * (step - below)
        value = F.rint(made) if self.map.whole else made
        value = F.get(real, F.ceil(step).cast("int")) if self.map.steps else value
        kept = own.isNull() | F.isnan(self._col("value"))
        kept = kept | is_continued() if self.map.of_entity else kept
        return {self.name: F.when(kept, own).otherwise(value.cast(events.schema[self.name].dataType))}

    def _named(self, what: str) -> str:
        return f"_{what}_{self.suffix}"

    def _col(self, what: str) -> Column:
        return F.col(self._named(what))

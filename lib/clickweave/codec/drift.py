"""How far rows of other days are from what a codec was fitted on, column by column.

The drift of a column is the total variation distance between the shares of its cells (codec/drift_cells.py) then and
now, less what two samples of one law differ by.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.codec.drift_cells import DEVIATIONS, MEAN_OF_NORMAL, Cells, fit_cells
from clickweave.codec.encode import encode_batch
from clickweave.codec.part_names import counts_days
from clickweave.codec.spec import (
    BINS,
    ENTITY,
    EVENT_CLOCK,
    FIRST_BIN,
    FIRST_VALUE,
    GAP,
    GAP_CLOCK,
    GAP_DAYS,
    NULL_CODE,
    PROFILE_PREFIX,
    RARE_CODE,
    ROW,
    SAME_SLATE,
    TEXT,
    TIME_US,
    VECTOR,
    CodecSpec,
    ColumnSpec,
)
from clickweave.codec.totals import clock_of
from clickweave.contracts.tables import DAY_US, HOUR_US

LABEL_RATE = "label rate"
_OF_HISTORIES = (GAP, GAP_DAYS, GAP_CLOCK, SAME_SLATE)  # they depend on how long the window is


@dataclass(frozen=True)
class Drift:
    """By column how far the new days are `apart`, and how far `chance` alone puts them at most."""

    apart: dict[str, float]
    chance: dict[str, float]

    @property
    def columns(self) -> dict[str, float]:
        """Drift beyond chance, the greatest first."""
        beyond = {name: round(max(0.0, apart - self.chance[name]), 6) for name, apart in self.apart.items()}
        return dict(sorted(beyond.items(), key=lambda pair: (-pair[1], pair[0])))


def measure_drift(train: DataFrame, columns: Sequence[ColumnSpec], num_train: int, num_rows: int) -> Drift:
    """Two aggregates over the rows, one of them by entity; of wide columns the driver sees counts of cells alone.

    Args:
        train: real/train of the new days, with entity_id and these columns as codec/inputs prepares them.
        columns: `compared_columns`.
        num_train: events that the codec was fitted on.
        num_rows: of `train`.
    """
    views = [fit_cells(column, num_rows) for column in columns]
    found = _counted(train, views)
    squares = train.groupBy("entity_id").count().agg(F.sum(F.col("count") * F.col("count"))).collect()[0][0]
    # events of one entity may be all alike: Kish's effective size of a sample of clusters (1965)
    effect = (squares or 1) / max(1, num_rows)
    apart, chance = {}, {}
    for cells, counts in zip(views, found, strict=True):
        name, sizes = cells.column.name, (max(1.0, counts.sum() / effect), max(1.0, num_train / effect))
        apart[name], chance[name] = cells.distance(counts), cells.chance(*sizes)
        if name == "label" and (rates := cells.rates(counts)) is not None:
            then, now = rates
            sd = sqrt(then * (1 - then) * (1 / sizes[0] + 1 / sizes[1]))
            apart[LABEL_RATE], chance[LABEL_RATE] = abs(now - then) / then, (MEAN_OF_NORMAL + DEVIATIONS) * sd / then
    return Drift(apart, chance)


def compared_columns(spec: CodecSpec, shards: DataFrame) -> tuple[ColumnSpec, ...]:
    """The columns whose drift counts, with counts by events; up to one small aggregate over the shards for each column
    of level entity.

    Who the users are does not count, nor which days these are, nor what a history is in all: new days have new users
    and histories as long as they are. Pieces of texts and digits of vectors are left out.
    """
    parts = {name for each in spec.parts if each.kind in (TEXT, VECTOR) for name in each.columns}
    found = []
    for column in spec.columns:
        if column.is_entity or column.name in (*parts, *_OF_HISTORIES) or counts_days(column.name):
            continue
        if column.level == ENTITY:
            if column.name.startswith(PROFILE_PREFIX) and not column.num_digits:
                found.append(_by_events(column, shards))
        else:
            found.append(column)
    if spec.grain == ENTITY and any(column.name == GAP for column in spec.columns):
        found.append(_hours(shards))
    return tuple(found)


def _by_events(column: ColumnSpec, shards: DataFrame) -> ColumnSpec:
    """A column of histories that counts events: in a few days the busy users are more of all users."""
    rows = {row[0]: row[1] for row in shards.groupBy(f"code_{column.name}").count().collect()}
    first = FIRST_BIN if column.kind == BINS else FIRST_VALUE
    counts = tuple(rows.get(code, 0) for code in range(first, column.num_codes))
    rare = 0 if column.kind == BINS else rows.get(RARE_CODE, 0)
    return replace(column, counts=counts, num_null=rows.get(NULL_CODE, 0), num_rare=rare)


def _hours(shards: DataFrame) -> ColumnSpec:
    """The clock of all events, by hours."""
    hour = F.floor(clock_of(F.col(TIME_US)) / F.lit(HOUR_US))
    rows = {row[0]: row[1] for row in shards.groupBy(hour).count().collect()}
    lows = tuple(float(low) for low in range(0, DAY_US, HOUR_US))
    highs, counts = tuple(low + HOUR_US - 1 for low in lows), tuple(rows.get(n, 0) for n in range(len(lows)))
    return ColumnSpec(EVENT_CLOCK, BINS, "long", lows=lows, highs=highs, step=1.0, counts=counts)


def _counted(train: DataFrame, views: Sequence[Cells]) -> list[np.ndarray]:
    """Rows by cell, for each column; one pass, and one join for each wide column."""
    named = {f"cell_{number}": cells for number, cells in enumerate(views)}
    for name, cells in named.items():
        if cells.column.num_digits:
            train = _with_cell(train, cells, name)
    narrow = tuple(cells.column for cells in views if not cells.column.num_digits)
    light, wide = CodecSpec(narrow, 0, "", grain=ROW), [n for n, c in named.items() if c.column.num_digits]
    tables = {name: (c.column.name, c.of_code) for name, c in named.items() if name not in wide}
    sizes = {name: len(cells.expected) for name, cells in named.items()}

    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            coded = encode_batch(light, batch)
            found = {n: of[coded.column(f"code_{column}").to_numpy()] for n, (column, of) in tables.items()}
            found |= {name: batch.column(name).to_numpy() for name in wide}
            for name, cell in found.items():
                counts = np.bincount(cell, minlength=sizes[name])
                names = pa.array([name] * len(counts), pa.string())
                yield pa.record_batch([names, pa.array(range(len(counts)), pa.int64()), counts], ["name", "cell", "n"])

    rows = train.select(*[column.name for column in narrow], *wide)
    parts = rows.mapInArrow(count, "name string, cell bigint, n bigint")
    found = {name: np.zeros(size) for name, size in sizes.items()}
    for row in parts.groupBy("name", "cell").agg(F.sum("n").alias("n")).collect():
        found[row["name"]][row["cell"]] = row["n"]
    return list(found.values())


def _with_cell(rows: DataFrame, cells: Cells, name: str) -> DataFrame:
    """Adds the cell of a wide column; every row stays once. One join by value."""
    values, of_value = pa.array(cells.column.values, pa.string()), pa.array(cells.of_code[FIRST_VALUE:], pa.int32())
    table = rows.sparkSession.createDataFrame(pa.table({"_value": values, "_cell": of_value}))
    value = F.col(cells.column.name).cast("string")
    joined = rows.join(table, value == F.col("_value"), "left")
    cell = F.when(value.isNull(), 0).otherwise(F.coalesce("_cell", F.lit(1))).cast("int")
    return joined.withColumn(name, cell).drop("_value", "_cell")

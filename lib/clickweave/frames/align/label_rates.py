"""Labels of generated events as frequent as in the real log: by position, surface, segment and over all.

A cell is a position x a surface (the first event feature with few values) x a segment (how active the entity is) and,
where one column holds the event type, whether the entity has met the item before: so that a purchase after a view
stays as likely as it is. The shares of levels that a cell should have are the real ones, drawn towards those of its
position where the cell is small, and then raked until positions and the whole agree with the real log (Deming and
Stephan 1940). Levels move to the nearest that lacks rows, as few rows as that takes; which ones is a hash.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clickweave.config.log import EventTypes, SchemaConfig
from clickweave.frames.align.cells import Dimension
from clickweave.frames.draws import unit_draw

ACTIVITY = (2.0, 3.0, 6.0, 21.0, 101.0)  # events from which on an entity is in the next segment
PRIOR_ROWS = 50.0  # a cell counts as much as its position from so many real rows on
MAX_POSITIONS = 100
MAX_SURFACES = 20  # values of the category that is one
_ROUNDS = 50
_CELL, _MET, _EVENTS = "_label_cell", "_met", "_events"
HELPERS = (_EVENTS, _MET)
_SALT = "align labels"


@dataclass(frozen=True)
class LabelMoves:
    """Which labels change.

    Attributes:
        dimensions: what makes a cell, in order.
        moves: (cell, label, new label, lowest and highest draw): rows whose draw lies between get the new label.
        share: of all rows that move, as expected; at most the cap.
        wanted_share: that would have to move without the cap.
    """

    dimensions: tuple[Dimension, ...]
    moves: tuple[tuple[int, int, int, float, float], ...]
    share: float
    wanted_share: float


def may_change(log: SchemaConfig) -> bool:
    """Whether a label can change by itself: there are labels, and none follows from another column."""
    return log.labels is not None and not log.thresholds


def with_label_cells(events: DataFrame, log: SchemaConfig, *, whole: bool, per_row: float = 1.0) -> DataFrame:
    """Adds what cells are made of beside columns: events of the entity, and whether it met the item before. One shuffle
    by entity, where entities are not rows.

    Args:
        whole: whether rows are events of histories, which have an order.
        per_row: real rows per row of `events`, where rows are drawn for users that they re-enact.
    """
    added = {}
    if log.entity_column is not None:
        added[_EVENTS] = F.rint(F.count(F.lit(1)).over(Window.partitionBy("entity_id")) * F.lit(per_row))
        if whole and _has_funnel(log):
            met = Window.partitionBy("entity_id", "item_id").orderBy("event_time", "row_id")
            added[_MET] = (F.col("item_id").isNotNull() & (F.row_number().over(met) > 1)).cast("string")
    return events.withColumns(added)


def fit_positions(train: DataFrame) -> Dimension:
    """The positions that have cells of their own, the most frequent MAX_POSITIONS; one aggregate."""
    counts = train.where(F.col("position").isNotNull()).groupBy("position").count()
    table = counts.orderBy(F.desc("count"), "position").limit(MAX_POSITIONS).toArrow()
    return Dimension("position", values=tuple(str(value) for value in table.column("position").to_pylist()))


def segment_dimensions(log: SchemaConfig, *, whole: bool) -> list[Dimension]:
    """The dimensions of a cell that need no fitting."""
    if log.entity_column is None:
        return []
    met = [Dimension(_MET, values=("true",))] if whole and _has_funnel(log) else []
    return [Dimension(_EVENTS, edges=ACTIVITY), *met]


def count_levels(events: DataFrame, dimensions: Sequence[Dimension], num_levels: int) -> np.ndarray:
    """Events by cell (first axis, one per dimension flattened) and level; one aggregate of O(cells)."""
    table = events.groupBy(_cell(dimensions).alias("cell"), F.col("label").cast("int").alias("label")).count()
    found = table.toArrow()
    counts = np.zeros((num_cells(dimensions), num_levels + 1))
    counts[found.column("cell").to_numpy(), found.column("label").to_numpy()] = found.column("count").to_numpy()
    return counts


def num_cells(dimensions: Sequence[Dimension]) -> int:
    """How many cells there are."""
    return int(np.prod([dimension.num_codes for dimension in dimensions], dtype=np.int64))


def fit_labels(
    real: np.ndarray, made: np.ndarray, dimensions: Sequence[Dimension], *, most_share: float
) -> LabelMoves | None:
    """The moves that give generated events the real rates; None where there are no events on a side.

    Args:
        real, made: of `count_levels`, over the same dimensions, the first of which is the position.
        most_share: cap on the share of rows that move; above it every move is as much rarer.
    """
    if not real.sum() or not made.sum():
        return None
    target = _targets(real, made, _groups(dimensions))
    wanted = float(np.maximum(made - target, 0).sum() / made.sum())
    scale = min(1.0, most_share / wanted) if wanted > 0 else 1.0
    moves = []
    for cell in np.flatnonzero(np.abs(made - target).sum(axis=1) > 1e-6):
        for level, other, num in _transport(made[cell], target[cell]):
            moves.append((int(cell), level, other, float(scale * num / made[cell, level])))
    return LabelMoves(tuple(dimensions), _as_ranges(moves), round(scale * wanted, 9), round(wanted, 9))


def _groups(dimensions: Sequence[Dimension]) -> np.ndarray:
    """The position of each cell."""
    each = num_cells(dimensions[1:])
    return np.arange(num_cells(dimensions)) // each


def _targets(real: np.ndarray, made: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Rows that each cell should have at each level; the number of rows in a cell stays."""
    overall = real.sum(axis=0) / real.sum()
    by_group = _summed(real, group)
    group_rates = _shrunk(by_group, overall)
    rates = _shrunk(real, group_rates[group])
    target = rates * made.sum(axis=1, keepdims=True)
    rows_of_group = _summed(made, group).sum(axis=1, keepdims=True)
    for _ in range(_ROUNDS):
        target *= _ratio(group_rates * rows_of_group, _summed(target, group))[group]
        target *= _ratio(overall * made.sum(), target.sum(axis=0))
        target *= _ratio(made.sum(axis=1, keepdims=True), target.sum(axis=1, keepdims=True))
    return target


def _shrunk(counts: np.ndarray, towards: np.ndarray) -> np.ndarray:
    """Shares of levels, with PRIOR_ROWS rows of `towards` added to each row of counts."""
    return (counts + PRIOR_ROWS * towards) / (counts.sum(axis=1, keepdims=True) + PRIOR_ROWS)


def _summed(counts: np.ndarray, group: np.ndarray) -> np.ndarray:
    sums = np.zeros((int(group.max()) + 1, counts.shape[1]))
    np.add.at(sums, group, counts)
    return sums


def _ratio(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    return np.divide(wanted, found, out=np.ones_like(found), where=found > 0)


def _transport(made: np.ndarray, target: np.ndarray) -> list[tuple[int, int, float]]:
    """(level, new level, rows) of the least moves along the funnel: surplus goes to what lacks rows, in order."""
    surplus, lack = np.maximum(made - target, 0), np.maximum(target - made, 0)
    moves, level, other = [], 0, 0
    while level < len(made) and other < len(made):
        num = min(surplus[level], lack[other])
        if num > 0:
            moves.append((level, other, float(num)))
        surplus[level] -= num
        lack[other] -= num
        if surplus[level] <= lack[other]:
            level += 1
        else:
            other += 1
    return moves


def _as_ranges(moves: list[tuple[int, int, int, float]]) -> tuple[tuple[int, int, int, float, float], ...]:
    """Moves with the part of [0, 1) that each takes of its cell and level."""
    found, ends = [], dict[tuple[int, int], float]()
    for cell, level, other, share in moves:
        start = ends.get((cell, level), 0.0)
        ends[cell, level] = start + share
        found.append((cell, level, other, round(start, 9), round(start + share, 9)))
    return tuple(found)


def with_labels(events: DataFrame, fitted: LabelMoves, *, seed: int) -> DataFrame:
    """Events of `with_label_cells` with moved labels; every row stays once. One join with O(cells) broadcast rows."""
    if not fitted.moves:
        return events
    table = pd.DataFrame(fitted.moves, columns=[_CELL, "_level", "new", "start", "end"])
    ranges = events.sparkSession.createDataFrame(table).groupBy(_CELL, "_level")
    moves = ranges.agg(F.collect_list(F.struct("new", "start", "end")).alias("_moves"))
    keyed = events.withColumn(_CELL, _cell(fitted.dimensions).cast("bigint")).withColumn("_level", F.col("label"))
    joined = keyed.join(F.broadcast(moves), [_CELL, "_level"], "left")
    draw = unit_draw("row_id", salt=_SALT, seed=seed)
    hit = F.filter("_moves", lambda move: (move["start"] <= draw) & (draw < move["end"]))
    label = F.coalesce(F.get(hit, F.lit(0))["new"], F.col("label"))
    return joined.withColumn("label", label).drop(_CELL, "_level", "_moves")


def label_errors(real: np.ndarray, made: np.ndarray, dimensions: Sequence[Dimension]) -> dict[str, float]:
    """Relative errors of the rate of labels of at least 1 (of at least 2 where every row has one): over all, and by
    position, weighted by real rows.
    """
    strong = 1 if real[:, 0].any() or real.shape[1] == 2 else 2
    group = _groups(dimensions)
    counts = [_summed(side, group) for side in (real, made)]
    rates = [_ratio(side[:, strong:].sum(axis=1), side.sum(axis=1)) * (side.sum(axis=1) > 0) for side in counts]
    weights = counts[0].sum(axis=1) / max(counts[0].sum(), 1)
    hits = float(real[:, strong:].sum() / max(real.sum(), 1))
    ours = float(made[:, strong:].sum() / max(made.sum(), 1))
    held = counts[0].sum(axis=1) >= 0.01 * counts[0].sum()
    by_position = float((np.abs(rates[0] - rates[1]) * weights)[held].sum())
    return {"overall": _relative(abs(ours - hits), hits), "by_position": _relative(by_position, hits)}


def _relative(error: float, rate: float) -> float:
    return round(error / rate, 6) if rate else 0.0


def _cell(dimensions: Sequence[Dimension]) -> Column:
    cell = F.lit(0)
    for dimension in dimensions:
        cell = cell * F.lit(dimension.num_codes) + dimension.code
    return cell.cast("int")


def _has_funnel(log: SchemaConfig) -> bool:
    return isinstance(log.labels, EventTypes) and log.item is not None and log.event_time is not None

"""Refinement: of a pool of generated entities, those are kept that together look most like `reference`.

Each entity has a weight w = exp(mean over its events of the multipliers of their cells), and is kept with probability
min(1, scale * w), drawn by hash (Poisson sampling). Multipliers grow where the kept share of a cell lies below that of
`reference` and fall where it lies above, as in raking (Deming and Stephan 1940); all cells at once, so each round tries
three lengths of its step and takes the best. Cells within |train - reference| of the reference, or within what chance
leaves there, are not touched, nor is a marginal that is as near to it as train: that is the ceiling, since `reference`
is real people too.

Only counts of cells reach the driver, and rounds run over a hashed sample of entities.
"""

from dataclasses import dataclass

import numpy as np
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from clickweave.frames.align.calibration import numbers_array
from clickweave.frames.align.cells import Layout
from clickweave.frames.align.continued import is_continued
from clickweave.frames.align.goal import FINE, MOST, Goal, fit_goal, keep_scale
from clickweave.frames.draws import unit_draw

MAX_ROUNDS = 8
SAMPLE_EVENTS = 300_000  # events of the pool, of train and of reference that rounds count
LEAST_GAIN = 0.01  # of the excess; a round that gains less is the last
_LENGTHS = (0.25, 1.0, 4.0)  # of a round's step, times the length that was best before
_DIGITS = 1000  # multipliers are whole thousandths, so that sums are exact in any order
_ONE = 1 << 20  # keep-probabilities are whole millionths, about
_SALT = "align refine"


@dataclass(frozen=True)
class Refinement:
    """Which entities stay.

    Attributes:
        multipliers: of each cell, in thousandths of ln w.
        scale: keep-probability of an entity whose weight is 1, before the cap at 1.
        unit: column of what is kept as a whole.
        before, after, ceiling: mean total variation distance to reference over the marginals: of the pool, of what is
            kept, and of train.
        rounds: that gained something.
    """

    layout: Layout
    multipliers: tuple[int, ...]
    scale: float
    unit: str
    before: float
    after: float
    ceiling: float
    rounds: int

    @property
    def figures(self) -> dict[str, float]:
        """For the manifest."""
        return {"before": self.before, "after": self.after, "ceiling": self.ceiling, "rounds": self.rounds}


def fit_refinement(
    pool: DataFrame, train: DataFrame, reference: DataFrame, layout: Layout, wanted: int, *, unit: str, seed: int
) -> Refinement | None:
    """The choice of about `wanted` entities; None where there is nothing to choose. Without `reference` all entities
    are alike.

    Args:
        pool, train, reference: of `cells.viewed`, the pool without continued histories.
        unit: entity_id, or row_id where rows are generated one by one.

    Cost: a count of units, one aggregate of train and reference each, two a round over the sample, one over the pool.
    """
    num_units = pool.select(unit).distinct().count() if unit == "entity_id" else pool.count()
    if num_units <= wanted or not layout.num_cells:
        return None
    real, ours = (_count_cells(_some(rows, seed), layout) for rows in (reference, train))
    if not real.sum():
        return Refinement(layout, (0,) * layout.num_cells, wanted / num_units, unit, 0.0, 0.0, 0.0, 0)
    units = _units(_some(pool, seed), layout, unit).persist(StorageLevel.DISK_ONLY)
    try:
        goal, share = fit_goal(real, ours, layout), wanted / num_units
        flat = np.zeros(layout.num_cells, np.int64)
        pool_counts = _weighted_counts(units, [flat], [1.0], layout)[0]
        multipliers, rounds = _rounds(units, layout, goal, pool_counts, share)
        scale = keep_scale(_histogram(_units(pool, layout, unit), [multipliers])[0], wanted)
        kept = _kept_counts(units, multipliers, scale, unit, layout, seed)
    finally:
        units.unpersist()
    before, after = (round(float(goal.distances(counts).mean()), 9) for counts in (pool_counts, kept))
    ceiling = round(float(goal.ceilings.mean()), 9)
    return Refinement(layout, tuple(int(m) for m in multipliers), scale, unit, before, after, ceiling, rounds)


def refined(pool: DataFrame, fitted: Refinement, *, seed: int) -> DataFrame:
    """The entities of the pool that stay, whole, and all histories that go on. One shuffle by entity where entities are
    not rows.

    Args:
        pool: of `cells.viewed`; histories that go on may be among it.
    """
    rows = fitted.layout.with_cells(pool, "_cells")
    total = _sum_of(F.col("_cells"), np.array(fitted.multipliers))
    if fitted.unit == "entity_id":
        entity = Window.partitionBy(fitted.unit)
        rows = rows.withColumn("_score", total)
        total = F.sum("_score").over(entity) / F.count(F.lit(1)).over(entity)
    chance = F.least(F.lit(1.0), F.lit(fitted.scale) * F.exp(_fine(total) / F.lit(float(FINE))))
    stays = unit_draw(fitted.unit, salt=_SALT, seed=seed) < chance
    return rows.withColumn("_stays", is_continued() | stays).where("_stays").drop("_cells", "_score", "_stays")


def _some(rows: DataFrame, seed: int) -> DataFrame:
    """A hashed sample of whole entities with about SAMPLE_EVENTS events; all of them if fewer."""
    num = rows.count()
    share = min(1.0, SAMPLE_EVENTS / max(num, 1))
    draw = unit_draw("entity_id", salt=f"{_SALT} sample", seed=seed)
    return rows if share == 1.0 else rows.where(draw < share)


def _units(rows: DataFrame, layout: Layout, unit: str) -> DataFrame:
    """One row per unit: its id, the cells of its events, and how many events it has."""
    cells = layout.with_cells(rows, "_cells").select(unit, "_cells")
    if unit == "row_id":
        return cells.select(unit, "_cells", F.lit(1).cast("bigint").alias("_num"))
    return cells.groupBy(unit).agg(F.flatten(F.collect_list("_cells")).alias("_cells"), F.count(F.lit(1)).alias("_num"))


def _sum_of(cells: Column, multipliers: np.ndarray) -> Column:
    values = numbers_array(multipliers.tolist(), "int")
    return F.aggregate(cells, F.lit(0).cast("bigint"), lambda total, cell: total + F.get(values, cell).cast("bigint"))


def _fine(mean: Column) -> Column:
    """The logarithm of w in whole steps of 1/FINE, from a mean in thousandths."""
    steps = F.rint(mean * F.lit(FINE / _DIGITS))
    return F.greatest(F.least(steps, F.lit(float(MOST))), F.lit(float(-MOST))).cast("int")


def _scores(units: DataFrame, candidates: list[np.ndarray]) -> list[Column]:
    return [_fine(_sum_of(F.col("_cells"), each) / F.col("_num")) for each in candidates]


def _histogram(units: DataFrame, candidates: list[np.ndarray]) -> list[np.ndarray]:
    """Units by ln w (from -MOST to MOST), for each candidate; one aggregate."""
    scores = [F.struct(F.lit(k).alias("k"), score.alias("q")) for k, score in enumerate(_scores(units, candidates))]
    table = units.select(F.explode(F.array(*scores)).alias("s")).groupBy("s.k", "s.q").count().toArrow()
    counts = np.zeros((len(candidates), 2 * MOST + 1))
    places = table.column("k").to_numpy(), table.column("q").to_numpy() + MOST
    counts[places] = table.column("count").to_numpy()
    return list(counts)


def _weighted_counts(
    units: DataFrame, candidates: list[np.ndarray], scales: list[float], layout: Layout
) -> list[np.ndarray]:
    """Events by cell that each candidate keeps, as expected; one aggregate."""
    chances = [
        F.rint(F.least(F.lit(1.0), F.lit(scale) * F.exp(score / F.lit(float(FINE)))) * F.lit(_ONE)).cast("bigint")
        for score, scale in zip(_scores(units, candidates), scales, strict=True)
    ]
    names = [f"_chance_{place}" for place in range(len(candidates))]
    weighed = units.select("_cells", *[chance.alias(name) for chance, name in zip(chances, names, strict=True)])
    cells = weighed.select(F.explode("_cells").alias("cell"), *names)
    table = cells.groupBy("cell").agg(*[F.sum(name).alias(name) for name in names]).toArrow()
    counts = np.zeros((len(candidates), layout.num_cells))
    for place, name in enumerate(names):
        counts[place, table.column("cell").to_numpy()] = table.column(name).to_numpy() / _ONE
    return list(counts)


def _count_cells(rows: DataFrame, layout: Layout) -> np.ndarray:
    """Events by cell; one aggregate."""
    cells = layout.with_cells(rows, "_cells").select(F.explode("_cells").alias("cell"))
    table = cells.groupBy("cell").count().toArrow()
    counts = np.zeros(layout.num_cells)
    counts[table.column("cell").to_numpy()] = table.column("count").to_numpy()
    return counts


def _kept_counts(
    units: DataFrame, multipliers: np.ndarray, scale: float, unit: str, layout: Layout, seed: int
) -> np.ndarray:
    """Events by cell of the sample's units that stay, as they are drawn."""
    score = _scores(units, [multipliers])[0]
    chance = F.least(F.lit(1.0), F.lit(scale) * F.exp(score / F.lit(float(FINE))))
    kept = units.where(unit_draw(unit, salt=_SALT, seed=seed) < chance)
    return _weighted_counts(kept, [np.zeros(layout.num_cells, np.int64)], [1.0], layout)[0]


def _rounds(units: DataFrame, layout: Layout, goal: Goal, counts: np.ndarray, share: float) -> tuple[np.ndarray, int]:
    """Multipliers after up to MAX_ROUNDS rounds, none of which made it worse, and how many gained something."""
    multipliers, length, excess = np.zeros(layout.num_cells, np.int64), 0.25, goal.excess(counts)
    num_units = units.count()
    for done in range(MAX_ROUNDS):
        step = goal.step(counts)
        if excess <= 0 or not step.any():
            return multipliers, done
        lengths = [length * each for each in _LENGTHS]
        tried = [multipliers + np.rint(_DIGITS * each * step).astype(np.int64) for each in lengths]
        scales = [keep_scale(histogram, share * num_units) for histogram in _histogram(units, tried)]
        found = _weighted_counts(units, tried, scales, layout)
        excesses = [np.inf if goal.is_too_near(each) else goal.excess(each) for each in found]
        best = int(np.argmin(np.round(excesses, 9)))
        if excesses[best] > excess * (1 - LEAST_GAIN):
            return multipliers, done
        multipliers, counts, excess, length = tried[best], found[best], excesses[best], lengths[best]
    return multipliers, MAX_ROUNDS

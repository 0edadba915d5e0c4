"""Refinement: of a pool of generated entities, those are kept that together look most like `reference`.

Each entity has a weight w = exp(mean over its events of the multipliers of their cells), and is kept with probability
min(1, scale * w), drawn by hash (Poisson sampling). Multipliers grow where the kept share of a cell lies below that of
`reference` and fall where it lies above, as in raking (Deming and Stephan 1940); all cells at once, so each round tries
three lengths of its step and takes the best. Cells within |train - reference| of the reference, or within what chance
leaves there, are not touched, nor is a marginal that is as near to it as train: that is the ceiling, since `reference`
is real people too.

Rounds run on the driver, over the codes of a hashed sample of whole entities; of all others only counts reach it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clickweave.frames.align.cells import Layout
from clickweave.frames.align.continued import is_continued
from clickweave.frames.align.goal import FINE, MOST, Goal, fit_goal, keep_scale
from clickweave.frames.draws import unit_draw

MAX_ROUNDS = 8
SAMPLE_EVENTS = 300_000  # events of the pool, of train and of reference that rounds count: some 10 MB of codes each
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
        scores: entity_id and `_score` of each history of the pool; None where rows are kept one by one, or all alike.
    """

    layout: Layout
    multipliers: tuple[int, ...]
    scale: float
    unit: str
    before: float
    after: float
    ceiling: float
    rounds: int
    scores: DataFrame | None = field(default=None, compare=False)

    @property
    def figures(self) -> dict[str, float]:
        """For the manifest."""
        return {"before": self.before, "after": self.after, "ceiling": self.ceiling, "rounds": self.rounds}


def fit_refinement(
    pool: DataFrame,
    train: DataFrame,
    reference: DataFrame,
    layout: Layout,
    wanted: int,
    *,
    num_real: tuple[int, int],
    unit: str,
    seed: int,
    hold: Callable[[DataFrame], DataFrame],
) -> Refinement | None:
    """The choice of about `wanted` entities; None where there is nothing to choose. Without `reference` all entities
    are alike.

    Args:
        pool, train, reference: of `cells.viewed`, the pool without continued histories.
        num_real: rows of train and of reference.
        unit: entity_id, or row_id where rows are generated one by one.
        hold: keeps the scores of histories, which are read twice.

    Cost: a count of units, a sample of each frame, and one aggregate over the pool.
    """
    count = F.count(F.lit(1))
    units = pool.groupBy(unit).agg(count.alias("num")) if unit == "entity_id" else pool.select(F.lit(1).alias("num"))
    counts = units.agg(count.alias("units"), F.sum("num").alias("events")).collect()[0]
    num_units = counts["units"]
    if num_units <= wanted or not layout.num_cells:
        return None
    if not num_real[1]:
        return Refinement(layout, (0,) * layout.num_cells, wanted / num_units, unit, 0.0, 0.0, 0.0, 0)
    ours, real = (
        Sample.of(rows, layout, num, unit, seed).counts()
        for rows, num in zip((train, reference), num_real, strict=True)
    )
    sample = Sample.of(pool, layout, counts["events"], unit, seed)
    goal = fit_goal(real, ours, layout)
    pool_counts = sample.counts()
    multipliers, rounds = _rounds(sample, goal, pool_counts, wanted / num_units)
    scores = _scored(pool, layout, multipliers, unit)
    scores = hold(scores) if unit == "entity_id" else scores
    scale = keep_scale(_histogram(scores), wanted)
    kept = sample.counts(sample.draws < np.minimum(1.0, scale * np.exp(sample.scores(multipliers) / FINE)))
    before, after = (round(float(goal.distances(found).mean()), 9) for found in (pool_counts, kept))
    ceiling = round(float(goal.ceilings.mean()), 9)
    told = before, after, ceiling, rounds
    held = scores if unit == "entity_id" else None
    return Refinement(layout, tuple(int(m) for m in multipliers), scale, unit, *told, held)


def refined(pool: DataFrame, fitted: Refinement, *, seed: int) -> DataFrame:
    """The entities of the pool that stay, whole, and all histories that go on. Narrow; of histories with scores one
    join by entity, which leaves alone what is partitioned so.

    Args:
        pool: histories that go on may be among it; rows that are kept one by one are of `cells.viewed`.
    """
    if fitted.scores is not None:
        kept = fitted.scores.where(_stays(fitted, F.col("_score"), seed)).select(
            fitted.unit, F.lit(True).alias("_kept")
        )
        joined = pool.join(kept, fitted.unit, "left")
        return joined.where(is_continued() | F.coalesce("_kept", F.lit(False))).drop("_kept")
    if not any(fitted.multipliers):
        return pool.where(is_continued() | _stays(fitted, F.lit(0), seed))
    scored = fitted.layout.with_sum(pool, "_sum", np.array(fitted.multipliers)).withColumn(
        "_score", _fine(F.col("_sum"))
    )
    return scored.where(is_continued() | _stays(fitted, F.col("_score"), seed)).drop("_sum", "_score")


def _stays(fitted: Refinement, score: Column, seed: int) -> Column:
    chance = F.least(F.lit(1.0), F.lit(fitted.scale) * F.exp(score / F.lit(float(FINE))))
    return unit_draw(fitted.unit, salt=_SALT, seed=seed) < chance


@dataclass(frozen=True)
class Sample:
    """Events of a hashed sample of whole entities, of about SAMPLE_EVENTS events, on the driver.

    Attributes:
        codes: of each event and dimension [events, dimensions].
        unit: number of each event's unit.
        draws: of each unit, in [0, 1); the same by which `refined` chooses.
    """

    layout: Layout
    codes: np.ndarray
    unit: np.ndarray
    draws: np.ndarray

    @classmethod
    def of(cls, rows: DataFrame, layout: Layout, num_rows: int, unit: str, seed: int) -> "Sample":
        """The sample of one frame; one job."""
        share = min(1.0, SAMPLE_EVENTS / max(num_rows, 1))
        draw = unit_draw("entity_id", salt=f"{_SALT} sample", seed=seed)
        codes = [code.cast("smallint").alias(name) for name, code in layout.codes.items()]
        told = F.xxhash64(unit).alias("unit"), unit_draw(unit, salt=_SALT, seed=seed).alias("draw")
        table = (rows if share == 1.0 else rows.where(draw < share)).select(*codes, *told).toArrow()
        _, first, units = np.unique(table.column("unit").to_numpy(), return_index=True, return_inverse=True)
        columns = [table.column(name).to_numpy().astype(np.int32) for name in layout.codes]
        return cls(layout, np.stack(columns, 1), units, table.column("draw").to_numpy()[first])

    def scores(self, multipliers: np.ndarray) -> np.ndarray:
        """The logarithm of w of each unit, in whole steps of 1/FINE."""
        sums = np.zeros(len(self.codes), np.int64)
        for offset, cells in self._marginals():
            sums += multipliers[offset + cells]
        mean = np.bincount(self.unit, sums, len(self.draws)) / np.bincount(self.unit, minlength=len(self.draws))
        return np.clip(np.rint(mean * (FINE / _DIGITS)), -MOST, MOST).astype(np.int64)

    def counts(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Events by cell, each as often as its unit weighs (whole numbers, so that sums are exact in any order)."""
        of_event = None if weights is None else weights[self.unit].astype(np.float64)
        found = np.zeros(self.layout.num_cells)
        for (offset, cells), marginal in zip(self._marginals(), self.layout.marginals, strict=True):
            size = self.layout.size(marginal)
            found[offset : offset + size] = np.bincount(cells, of_event, size)
        return found

    def _marginals(self) -> Iterator[tuple[int, np.ndarray]]:
        for offset, marginal in zip(self.layout.offsets, self.layout.marginals, strict=True):
            cells = self.codes[:, marginal[0]]
            for place in marginal[1:]:
                cells = cells * self.layout.dimensions[place].num_codes + self.codes[:, place]
            yield offset, cells


def _scored(pool: DataFrame, layout: Layout, multipliers: np.ndarray, unit: str) -> DataFrame:
    """One row per unit: its id and `_score`, ln w in whole steps of 1/FINE."""
    summed = layout.with_sum(pool, "_sum", multipliers).select(unit, "_sum")
    if unit == "entity_id":
        mean = F.sum("_sum") / F.count(F.lit(1))
        return summed.groupBy(unit).agg(_fine(mean).alias("_score"))
    return summed.select(unit, _fine(F.col("_sum")).alias("_score"))


def _fine(mean: Column) -> Column:
    """The logarithm of w in whole steps of 1/FINE, from a mean in thousandths."""
    steps = F.rint(mean * F.lit(FINE / _DIGITS))
    return F.greatest(F.least(steps, F.lit(float(MOST))), F.lit(float(-MOST))).cast("int")


def _histogram(scores: DataFrame) -> np.ndarray:
    """Units by ln w (from -MOST to MOST); one aggregate."""
    table = scores.groupBy("_score").count().toArrow()
    counts = np.zeros(2 * MOST + 1)
    counts[table.column("_score").to_numpy() + MOST] = table.column("count").to_numpy()
    return counts


def _rounds(sample: Sample, goal: Goal, counts: np.ndarray, share: float) -> tuple[np.ndarray, int]:
    """Multipliers after up to MAX_ROUNDS rounds, none of which made it worse, and how many gained something."""
    multipliers, length, excess = np.zeros(len(counts), np.int64), 0.25, goal.excess(counts)
    for done in range(MAX_ROUNDS):
        step = goal.step(counts)
        if excess <= 0 or not step.any():
            return multipliers, done
        lengths = [length * each for each in _LENGTHS]
        tried = [multipliers + np.rint(_DIGITS * each * step).astype(np.int64) for each in lengths]
        found = [_kept(sample, sample.scores(each), share) for each in tried]
        excesses = [np.inf if goal.is_too_near(each) else goal.excess(each) for each in found]
        best = int(np.argmin(np.round(excesses, 9)))
        if excesses[best] > excess * (1 - LEAST_GAIN):
            return multipliers, done
        multipliers, counts, excess, length = tried[best], found[best], excesses[best], lengths[best]
    return multipliers, MAX_ROUNDS


def _kept(sample: Sample, scores: np.ndarray, share: float) -> np.ndarray:
    """Events by cell that stay, as expected, where this share of units does."""
    scale = keep_scale(np.bincount(scores + MOST, minlength=2 * MOST + 1), share * len(scores))
    chances = np.minimum(1.0, scale * np.exp(scores / FINE))
    return sample.counts(np.rint(chances * _ONE)) / _ONE

"""Refinement: of a pool of generated entities, those are kept that together look most like real ones.

Each entity stays with a chance 1 / (1 + exp(-s)), drawn by hash (Poisson sampling); s is the mean over its events of
the terms of their cells, and the terms of its own. Terms are such that what is kept has train's shares in all cells
(tilt.py), as far as the pool has what that takes. `reference`, which no generator saw, tells how much of them counts:
as much as brings marginals nearer to it, but never nearer than train is. That is the ceiling, since `reference` is real
people too.

Terms are found on the driver, over the codes of a hashed sample of whole entities; of all others only counts reach it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from scipy.special import logit

from clickweave.frames.align.cells import Layout
from clickweave.frames.align.continued import is_continued
from clickweave.frames.align.goal import FINE, MOST, Goal, chances, fit_goal, keep_start
from clickweave.frames.align.sample import DIGITS, NO_TRAITS, SALT, Sample
from clickweave.frames.align.tilt import fit_terms
from clickweave.frames.align.traits import Trait, fit_traits, traits_of
from clickweave.frames.draws import unit_draw

_STRENGTHS = tuple(tenths / 10 for tenths in range(10, 0, -1))  # of terms


@dataclass(frozen=True)
class Refinement:
    """Which entities stay.

    Attributes:
        traits, own: what of whole histories is compared, and its cells, which count entities.
        terms: of each cell, of events and then of entities, in whole millionths of ln of the odds to stay.
        start: added to ln of the odds.
        unit: column of what is kept as a whole.
        before, after, ceiling: mean total variation distance to reference over the marginals: of a plain draw of as
            many, of what is kept, and of train.
        strength: of the terms that were found, the share that counts.
        scores: entity_id and `_score` of each history of the pool; None where rows are kept one by one, or all alike.
    """

    layout: Layout
    traits: tuple[Trait, ...]
    own: Layout
    terms: tuple[int, ...]
    start: float
    unit: str
    before: float
    after: float
    ceiling: float
    strength: float
    scores: DataFrame | None = field(default=None, compare=False)

    @property
    def figures(self) -> dict[str, float]:
        """For the manifest."""
        return {"before": self.before, "after": self.after, "ceiling": self.ceiling, "strength": self.strength}


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
    whole, share = unit == "entity_id", wanted / num_units
    if not num_real[1] or wanted < 1:
        start = max(float(logit(share)), -40.0)
        return Refinement(layout, (), NO_TRAITS, (0,) * layout.num_cells, start, unit, 0.0, 0.0, 0.0, 0.0)
    frames = (pool, counts["events"]), (train, num_real[0]), (reference, num_real[1])
    drawn = [Sample.of(rows, layout, num, unit, seed) for rows, num in frames]
    traits, own = _traits(drawn[1], layout) if whole else ([], NO_TRAITS)
    sample, ours, real = (each.with_traits(traits, own) for each in drawn)
    goal = fit_goal(real.counts(), ours.counts(), layout, own)
    terms, strength = choose_terms(sample, ours, goal, share)
    scores = hold(_scored(pool, layout, traits, own, terms)) if whole else _scored_rows(pool, layout, terms)
    start = keep_start(_histogram(scores), wanted)
    kept = share, chances(sample.scores(terms) / FINE, start)
    apart = [*(goal.distances(sample.counts(sample.kept(each))) for each in kept), goal.ceilings]
    before, after, ceiling = (round(float(each.mean()), 9) for each in apart)
    cells = tuple(int(term) for term in terms)
    told = before, after, ceiling, strength
    return Refinement(layout, tuple(traits), own, cells, start, unit, *told, scores if whole else None)


def _traits(train: Sample, layout: Layout) -> tuple[list[Trait], Layout]:
    """What of whole histories is compared."""
    traits = traits_of(layout)
    return fit_traits(traits, train.values(traits))


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
    if not any(fitted.terms):
        return pool.where(is_continued() | _stays(fitted, F.lit(0), seed))
    scored = fitted.layout.with_sum(pool, "_sum", np.array(fitted.terms)).withColumn("_score", _fine(F.col("_sum")))
    # No `where`: Spark moves it below the columns that it is made of, and works out each wherever it is used.
    stays = F.when(is_continued() | _stays(fitted, F.col("_score"), seed), F.array(F.lit(True)))
    return scored.withColumn("_stays", F.explode(stays)).drop("_sum", "_score", "_stays")


def _stays(fitted: Refinement, score: Column, seed: int) -> Column:
    odds = score / F.lit(float(FINE)) + F.lit(fitted.start)
    return unit_draw(fitted.unit, salt=SALT, seed=seed) < F.lit(1.0) / (F.lit(1.0) + F.exp(-odds))


def _scored(pool: DataFrame, layout: Layout, traits: list[Trait], own: Layout, terms: np.ndarray) -> DataFrame:
    """One row per history: entity_id and `_score`, ln of its odds in whole steps of 1/FINE. One aggregate by entity."""
    of_event, of_entity = np.split(terms, [layout.num_cells])
    events = layout.with_sum_of_codes(pool.withColumns(layout.codes), "_sum", of_event)
    told = [each.value.alias(each.column) for each in traits]
    mean = F.sum("_sum") / F.count(F.lit(1))  # exact sums, so that the quotient is the same in any order
    entities = events.groupBy("entity_id").agg(mean.alias("_sum"), *told)
    if not traits:
        return entities.select("entity_id", _fine(F.col("_sum")).alias("_score"))
    summed = own.with_sum(entities, "_own", of_entity)
    return summed.select("entity_id", _fine(F.col("_sum") + F.col("_own")).alias("_score"))


def _scored_rows(pool: DataFrame, layout: Layout, terms: np.ndarray) -> DataFrame:
    """One row per row: its `_score`, ln of its odds in whole steps of 1/FINE. Narrow."""
    return layout.with_sum(pool, "_sum", terms).select(_fine(F.col("_sum")).alias("_score"))


def _fine(millionths: Column) -> Column:
    """Whole steps of 1/FINE, within +-MOST."""
    steps = F.rint(millionths * F.lit(FINE / DIGITS))
    return F.greatest(F.least(steps, F.lit(float(MOST))), F.lit(float(-MOST))).cast("int")


def _histogram(scores: DataFrame) -> np.ndarray:
    """Units by ln of the odds (from -MOST to MOST); one aggregate."""
    table = scores.groupBy("_score").count().toArrow()
    counts = np.zeros(2 * MOST + 1)
    counts[table.column("_score").to_numpy() + MOST] = table.column("count").to_numpy()
    return counts


def choose_terms(sample: Sample, train: Sample, goal: Goal, share: float) -> tuple[np.ndarray, float]:
    """Terms in whole millionths, and the share of what was found that they are: the largest with which expected
    marginals are nearer to reference than the pool's, while those of a draw are not nearer than train's; 0 if there is
    none. All lie on the way to train's own shares, so that the noise of a draw lets none go beyond these.

    Args:
        train: train's sample.
        share: of units that stay.
    """
    found, counts = fit_terms(sample, train, goal.group, share), sample.counts()
    plain = sample.counts(sample.kept(share))
    for strength in _STRENGTHS if found.any() else ():
        terms = np.rint(DIGITS * strength * found).astype(np.int64)
        odds = sample.scores(terms)
        start = keep_start(np.bincount(odds + MOST, minlength=2 * MOST + 1), share * len(odds))
        stay = chances(odds / FINE, start)
        if goal.excess(sample.counts(stay)) >= goal.excess(counts) - 1e-9:
            continue
        if not goal.is_too_near(sample.counts(sample.kept(stay)), plain):
            return terms, strength
    return np.zeros(len(found), np.int64), 0.0

"""position_resample: an item at another position of the page, its click drawn again by how likely that is looked at.

The position-based model (Craswell et al. 2008, equation for examination): click = looked at the position (theta) and
item relevant (gamma). theta comes from propensities where the log has them, else from expectation-maximisation over
(item, position) counts (Wang et al. 2018, section 4), in steps that SQUAREM lengthens (Varadhan and Roland 2008).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.errors import ConfigError
from clickweave.frames.augment.copies import Sources
from clickweave.frames.augment.numbers import steady

if TYPE_CHECKING:
    import numpy as np
    from pyspark.sql import Column, DataFrame

CHANGES_ITEM = False  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False
MOST_POSITIONS = 200  # that are told apart, the most frequent ones; rows at others get no copy
MOST_CELLS = 2_000_000  # (item, position) counts that the driver holds; of more a share of the items is drawn
CYCLES = 15  # of three steps; theta of 1.3 M cells is within 0.3 % of its limit, after 50 plain steps within 11 %
PRIOR_SHOWS = 10.0  # of an item with the log's mean relevance, beside its own
MOST_RELEVANT = 0.99


class Params(Section):
    """Parameters of `position_resample`."""

    name: Literal["position_resample"] = "position_resample"
    share: float = Field(0.2, ge=0, le=1, description="share of rows with a position that get a copy at another one")
    clip: float = Field(10.0, ge=1, description="largest ratio of two positions' chances that is believed")
    use: Literal["auto", "em"] = Field("auto", description="auto: propensities where the log has them, else em")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no positions, items or labels."""
        for role, column in (("position", log.position), ("item", log.item), ("labels", log.labels)):
            if column is None:
                raise ConfigError(f"augment operator position_resample needs schema.{role}")


@dataclass(frozen=True)
class Examination:
    """What positions are worth.

    Attributes:
        positions: in order; shares: of the log's rows at each, all together 1.
        theta: chance that a position is looked at, over that of the best.
        relevance: mean chance of a click on an item that was looked at.
    """

    positions: tuple[int, ...]
    shares: tuple[float, ...]
    theta: tuple[float, ...]
    relevance: float


def fit(sources: Sources, params: Params, log: SchemaConfig) -> Examination:
    """Two aggregates over train; with em one more by item and position, of which MOST_CELLS come to the driver."""
    import numpy as np
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    shown = sources.train.where(F.col("position").isNotNull() & F.col("item_id").isNotNull())
    clicks = F.sum((F.col("label") >= 1).cast("bigint")).alias("clicks")
    seen, items = F.avg("propensity").alias("seen"), F.approx_count_distinct("item_id").alias("items")
    told = shown.groupBy("position").agg(F.count(F.lit(1)).alias("shows"), clicks, seen, items)
    rows = sorted(
        told.orderBy(F.desc("shows"), "position").limit(MOST_POSITIONS).collect(), key=lambda r: r["position"]
    )
    if not rows:
        return Examination((), (), (), 0.0)
    positions = np.array([row["position"] for row in rows])
    shows = np.array([row["shows"] for row in rows], dtype=float)
    rate = sum(row["clicks"] for row in rows) / shows.sum()
    if params.use == "auto" and all(row["seen"] is not None for row in rows):
        theta = np.array([steady(row["seen"]) for row in rows])
        theta = theta / theta.max()
        relevance = rate / float((theta * shows).sum() / shows.sum())
    else:
        cells = shown.where(F.col("position").isin(*positions.tolist())).groupBy("item_id", "position")
        counted = cells.agg(F.count(F.lit(1)).alias("shows"), clicks)
        share = min(1.0, MOST_CELLS / sum(row["items"] for row in rows))
        drawn = counted.where(unit_draw("item_id", salt="position cells", seed=0) < share)
        numbered = drawn.select(F.xxhash64("item_id").alias("item"), "position", "shows", "clicks").toArrow()
        numbered = numbered.sort_by([("item", "ascending"), ("position", "ascending")])  # sums of one order: equal bits
        columns = [numbered.column(name).to_numpy() for name in ("item", "position", "shows", "clicks")]
        place = np.searchsorted(positions, columns[1])
        theta, relevance = examined(columns[0], place, columns[2], columns[3], num_places=len(positions))
    shares = tuple((shows / shows.sum()).tolist())
    return Examination(tuple(positions.tolist()), shares, tuple(theta.tolist()), min(float(relevance), MOST_RELEVANT))


def examined(
    item_N: np.ndarray, place_N: np.ndarray, shows_N: np.ndarray, clicks_N: np.ndarray, *, num_places: int
) -> tuple[np.ndarray, float]:
    """Theta of each place, the best 1, and the mean gamma, by expectation-maximisation of the position-based model.

    Args:
        item_N, place_N: whose shows and clicks these are; places from 0.
        num_places: of all places, also where a share of the items was never shown at one.
    """
    import numpy as np

    _, item_N = np.unique(item_N, return_inverse=True)
    missed_N = shows_N - clicks_N
    shows_P, clicks_P = (np.bincount(place_N, of, num_places) for of in (shows_N, clicks_N))
    shows_P = np.maximum(shows_P, 1e-9)
    shows_I, clicks_I = (np.bincount(item_N, of) for of in (shows_N, clicks_N))

    def stepped(x: np.ndarray) -> np.ndarray:
        """Theta of each place, then gamma of each item, after one more step."""
        theta_N, gamma_N = x[:num_places][place_N], np.minimum(x[num_places:], MOST_RELEVANT)[item_N]
        both_N = theta_N * gamma_N
        unclicked_N = missed_N / np.maximum(1 - both_N, 1e-9)
        seen_P = clicks_P + np.bincount(place_N, unclicked_N * (theta_N - both_N), num_places)
        liked_I = clicks_I + np.bincount(item_N, unclicked_N * (gamma_N - both_N))
        mean = float((x[num_places:] * shows_I).sum() / shows_I.sum())
        gamma_I = (liked_I + PRIOR_SHOWS * mean) / (shows_I + PRIOR_SHOWS)
        return np.concatenate([np.clip(seen_P / shows_P, 1e-6, 1.0), gamma_I])

    theta_P = np.maximum(clicks_P, 1e-9) / shows_P
    theta_P = theta_P / theta_P.max()
    gamma = clicks_N.sum() / float((theta_P * shows_P).sum())
    x = np.concatenate([theta_P, np.full(len(shows_I), gamma)])
    for _ in range(CYCLES):
        x = _leap(x, stepped)
    theta_P, gamma_I = x[:num_places], x[num_places:]
    best = float(theta_P.max())
    return theta_P / best, float((gamma_I * shows_I).sum() / shows_I.sum()) * best


def _leap(x: np.ndarray, stepped: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Three steps, the third from where the first two point to (Varadhan and Roland 2008, scheme S3)."""
    import numpy as np

    once = stepped(x)
    moved, turned = once - x, stepped(once) - 2 * once + x
    bend = float(np.linalg.norm(turned))
    length = max(1.0, float(np.linalg.norm(moved)) / bend) if bend > 0 else 1.0
    return stepped(np.clip(x + 2 * length * moved + length**2 * turned, 1e-6, 1.0))


def apply(sources: Sources, fitted: Examination, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """One copy of a seeded share of rows with a position, at a position drawn by the log's frequencies; where that is
    its own, none.

    A click stays with the chance theta_new / theta_old where that is below 1, else becomes label 0. A row without one
    that moves up becomes label 1 with the chance gamma (theta_new - theta_old) / (1 - gamma theta_old), gamma being the
    item's, so that clicks by position keep their rates. Where thresholds make the labels, a label cannot change without
    the value that it comes from: it stays, and the weight is multiplied by how much likelier it is at the new place.
    Copies stand on no slate and have no propensity. One join by item, one shuffle of items.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import row_copies
    from clickweave.frames.draws import unit_draw

    if not fitted.positions:
        return sources.train.limit(0)
    shown = sources.train.where(F.col("position").isin(*fitted.positions) & F.col("item_id").isNotNull())
    chosen = shown.where(unit_draw("row_id", salt="position_resample", seed=seed) < params.share)
    rows = chosen.join(_relevance(shown, fitted), "item_id")
    place = _drawn_place(fitted, unit_draw("row_id", salt="position_resample place", seed=seed))
    rows = rows.withColumn("_place", place).where(F.col("_place") != _place_of(fitted))
    rows = rows.withColumn("_old", _theta(fitted, _place_of(fitted)))
    ratio = F.least(
        F.greatest(_theta(fitted, F.col("_place")) / F.col("_old"), F.lit(1 / params.clip)), F.lit(params.clip)
    )
    rows = rows.withColumn("_new", F.least(F.col("_old") * ratio, F.lit(1.0)))
    positions = F.array(*[F.lit(position) for position in fitted.positions])
    changes = {"position": F.element_at(positions, F.col("_place") + 1).cast("bigint")}
    changes |= {"propensity": F.lit(None).cast("double")}
    if log.thresholds:
        changes["weight"] = F.col("weight") * _likelier(ratio)
    else:
        changes["label"] = _drawn_label(ratio, unit_draw("row_id", salt="position_resample click", seed=seed))
    made = rows.withColumns(changes)
    return row_copies(made, log, f"position_resample {seed}").select(*sources.train.columns)


def _drawn_label(ratio: Column, draw: Column) -> Column:
    """The label at the new place; ratio is theta there over theta here."""
    from pyspark.sql import functions as F

    comes = F.col("_gamma") * (F.col("_new") - F.col("_old")) / (F.lit(1.0) - F.col("_gamma") * F.col("_old"))
    clicked = F.col("label") >= 1
    label = F.when(clicked & (draw < ratio), F.col("label")).when(~clicked & (draw < comes), 1).otherwise(0)
    return label.cast("bigint")


def _likelier(ratio: Column) -> Column:
    """Chance of the row's own label at the new place over that at the old one."""
    from pyspark.sql import functions as F

    fewer = (F.lit(1.0) - F.col("_gamma") * F.col("_new")) / (F.lit(1.0) - F.col("_gamma") * F.col("_old"))
    return F.when(F.col("label") >= 1, ratio).otherwise(fewer)


def _relevance(shown: DataFrame, fitted: Examination) -> DataFrame:
    """item_id and _gamma, its clicks over the shows that were looked at, with PRIOR_SHOWS of the log's mean."""
    from pyspark.sql import functions as F

    clicks = F.sum((F.col("label") >= 1).cast("bigint")) + F.lit(PRIOR_SHOWS * fitted.relevance)
    seen = F.sum(_theta(fitted, _place_of(fitted))) + F.lit(PRIOR_SHOWS)
    return shown.groupBy("item_id").agg(F.least(clicks / seen, F.lit(MOST_RELEVANT)).alias("_gamma"))


def _place_of(fitted: Examination) -> Column:
    """The number of the row's position among the fitted ones, from 0."""
    from pyspark.sql import functions as F

    return (F.array_position(F.array(*[F.lit(p) for p in fitted.positions]), F.col("position")) - 1).cast("int")


def _theta(fitted: Examination, place: Column) -> Column:
    from pyspark.sql import functions as F

    return F.element_at(F.array(*[F.lit(value) for value in fitted.theta]), place + 1)


def _drawn_place(fitted: Examination, draw: Column) -> Column:
    """A place by the shares of rows: how many of their running sums the draw is not below."""
    from pyspark.sql import functions as F

    reached, sums = 0.0, []
    for share in fitted.shares[:-1]:
        reached += share
        sums.append(reached)
    if not sums:
        return F.lit(0)
    return F.size(F.filter(F.array(*[F.lit(value) for value in sums]), lambda least: least <= draw)).cast("int")

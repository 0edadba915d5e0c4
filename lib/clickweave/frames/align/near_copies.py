"""Near copies: generated rows that lie nearer to a row of train than rows of `reference` do.

Distance is Euclidean over standardised numbers, between rows that agree in item, label and categories. Neighbours are
found by locality-sensitive hashing (Datar, Immorlica, Indyk and Mirrokni 2004: h(x) = floor((a x + b) / width), a
standard normal, b uniform): rows that agree in NUM_HASHES projections of one of NUM_TABLES tables are compared, at most
BUCKET_ROWS of train a bucket. No cross join; what hashing misses, it misses for generated and real rows alike.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clickweave.contracts.tables import feature_column
from clickweave.frames.align.privacy import MADE, REAL_SIDE, Excess, Share
from clickweave.frames.augment.numbers import Range
from clickweave.frames.draws import unit_draw

NUM_TABLES, NUM_HASHES = 3, 2
WIDTH = 0.5  # standard deviations
BUCKET_ROWS = 16
FARTHEST = 5.0  # standard deviations; nothing beyond is near
NEAR_SHARE = 0.05  # of reference rows that count as near to train: the distance that so many stay below
_BUCKET, _POINT, _NEAREST = "_bucket", "_point", "_nearest"


@dataclass(frozen=True)
class NearCopies:
    """What near means, and how often it happens.

    Attributes:
        distance: up to here a row is near, in standard deviations.
    """

    distance: float
    excess: Excess

    @property
    def figures(self) -> dict[str, float]:
        """For the manifest."""
        return self.excess.figures | {"distance": round(self.distance, 9)}


def nearest(
    sides: Mapping[str, DataFrame], train: DataFrame, ranges: dict[str, Range], categories: list[str]
) -> DataFrame:
    """`side`, row_id and distance of the nearest row of train that hashing finds; rows without one are left out.

    Args:
        ranges: numeric event features and what is known of them in train; those that vary count.
        categories: further columns that both rows must agree in.

    Cost: one shuffle of train and of the sides by bucket, NUM_TABLES narrow rows a row, and one of the pairs by row_id.
    """
    drawn = Window.partitionBy(_BUCKET).orderBy(unit_draw("row_id", salt="align bucket", seed=0), "row_id")
    known = _hashed(train, ranges, categories).withColumn("_place", F.row_number().over(drawn))
    held = known.where(F.col("_place") <= BUCKET_ROWS).groupBy(_BUCKET).agg(F.collect_list(_POINT).alias("_points"))
    ours = [_hashed(rows, ranges, categories).withColumn("side", F.lit(side)) for side, rows in sides.items()]
    pairs = reduce(DataFrame.unionByName, ours).join(held, _BUCKET)
    num = sum(span.sd > 0 for span in ranges.values())
    points = [F.get("_points", F.lit(place)) for place in range(BUCKET_ROWS)]
    apart = F.array_min(F.array(*[_distance(F.col(_POINT), other, num) for other in points]))
    least = F.min(_NEAREST).alias(_NEAREST)
    return pairs.select("side", "row_id", apart.alias(_NEAREST)).groupBy("side", "row_id").agg(least)


def fit_near(near: DataFrame, num: Mapping[str, int]) -> NearCopies:
    """What of `nearest` is near; two aggregates.

    Args:
        num: rows of either side, with or without a neighbour.
    """
    limit = _near_limit(near.where(F.col("side") == REAL_SIDE), num[REAL_SIDE])
    within = near.where(F.col(_NEAREST) <= F.lit(limit)).groupBy("side").count().collect()
    found = {row["side"]: row["count"] for row in within}
    made, real = (Share(found.get(side, 0), num[side]) for side in (MADE, REAL_SIDE))
    return NearCopies(limit, Excess(made, real))


def drawn_near(near: DataFrame, fitted: NearCopies, *, seed: int) -> DataFrame:
    """row_id of the near copies that must go, drawn by its hash. Narrow."""
    drawn = unit_draw("row_id", salt="align near", seed=seed) < F.lit(fitted.excess.drop_share)
    near_made = (F.col("side") == MADE) & (F.col(_NEAREST) <= F.lit(fitted.distance))
    return near.where(near_made & drawn).select("row_id")


def _near_limit(near: DataFrame, num_rows: int) -> float:
    """The distance that NEAR_SHARE of `num_rows` stay within, to four digits; -1 where fewer have a neighbour up to
    FARTHEST, so that at most 10,000 x FARTHEST counts reach the driver.
    """
    steps = F.ceil(F.col(_NEAREST) * 10_000).alias("steps")
    table = near.where(F.col(_NEAREST) <= FARTHEST).groupBy(steps).count().orderBy("steps").toArrow()
    reached = np.cumsum(table.column("count").to_numpy()) >= max(1, math.ceil(NEAR_SHARE * num_rows))
    return float(table.column("steps")[int(reached.argmax())].as_py()) / 10_000 if reached.any() else -1.0


def _hashed(rows: DataFrame, ranges: dict[str, Range], categories: list[str]) -> DataFrame:
    """row_id, `_point` (standardised numbers, null as 0) and `_bucket`, one row per table."""
    varying = {feature_column(name): span for name, span in ranges.items() if span.sd > 0}
    values = {name: (F.col(name) - F.lit(span.mean)) / F.lit(span.sd) for name, span in varying.items()}
    point = F.array(*[F.coalesce(value, F.lit(0.0)) for value in values.values()])
    agreed = [part for name in categories for part in (F.col(name).isNull(), F.col(name))]
    agreed += [F.col(name).isNull() for name in varying]
    base = rows.select("row_id", point.alias(_POINT), F.xxhash64(F.lit(0), *agreed).alias("_agreed"))
    rng = np.random.default_rng(0)  # directions are the same in every run
    buckets = []
    for table in range(NUM_TABLES):
        hashes = []
        for _ in range(NUM_HASHES):
            direction, shift = rng.normal(size=len(varying)), float(rng.uniform(0, WIDTH))
            parts = [F.get(_POINT, F.lit(k)) * F.lit(float(a)) for k, a in enumerate(direction)]
            hashes.append(F.floor((reduce(Column.__add__, parts) + F.lit(shift)) / F.lit(WIDTH)))
        buckets.append(F.xxhash64(F.lit(table), "_agreed", *hashes))
    return base.select("row_id", _POINT, F.explode(F.array(*buckets)).alias(_BUCKET))


def _distance(left: Column, right: Column, num: int) -> Column:
    """Of two arrays of `num` numbers; null where one of them is. Written out: a function over an array would not be
    compiled.
    """
    apart = [F.get(left, F.lit(k)) - F.get(right, F.lit(k)) for k in range(num)]
    return F.sqrt(reduce(Column.__add__, [each * each for each in apart]))

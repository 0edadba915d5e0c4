"""Similar users, and what may be taken of them: never so much of one person that it were that person's history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clickweave.config.log import CATEGORY_KINDS, SchemaConfig
from clickweave.contracts.tables import DAY_US, feature_column
from clickweave.frames.augment.neighbours import alike

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MOST_LENDERS = 20  # of one item


def sharing_users(train: DataFrame, floor: int, seed: int) -> DataFrame:
    """Pairs of a user with at most `floor` events and one with more who have items in common, one row each: _borrower
    and _to_day (the first with events), _lender, _from_day and _all (number of events), _shared (items in common).

    Of the active users of an item MOST_LENDERS are looked at, so that an item of a million users costs no more.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    user = Window.partitionBy("user_id")
    day = F.min(F.floor(F.unix_micros("event_time") / F.lit(DAY_US))).over(user)
    counted = train.where("user_id is not null").select(
        "user_id", "item_id", F.count(F.lit(1)).over(user).alias("_all"), day.alias("_day")
    )
    touched = counted.where("item_id is not null").distinct()
    of_item = Window.partitionBy("item_id").orderBy(
        unit_draw("user_id", "item_id", salt="lender", seed=seed), "user_id"
    )
    active = touched.where(F.col("_all") > floor).withColumn("_rank", F.row_number().over(of_item))
    lender = F.struct(F.col("user_id").alias("_lender"), "_all", F.col("_day").alias("_from_day"))
    lenders = active.where(F.col("_rank") <= MOST_LENDERS).groupBy("item_id").agg(F.collect_list(lender).alias("_by"))
    sparse = touched.where(F.col("_all") <= floor).select(
        F.col("user_id").alias("_borrower"), "item_id", F.col("_day").alias("_to_day")
    )
    # lists travel, not pairs: what follows needs no shuffle more
    met = sparse.join(lenders, "item_id").select("_borrower", "_to_day", "_by").repartition("_borrower")
    pairs = met.select("_borrower", "_to_day", F.inline("_by"))
    return pairs.groupBy(*pairs.columns).agg(F.count(F.lit(1)).alias("_shared"))


def user_categories(log: SchemaConfig) -> list[str]:
    """Columns of users that are compared: categorical and id attributes."""
    return [feature_column(name) for name, spec in log.user_features.items() if spec.kind in CATEGORY_KINDS]


def alike_users(train: DataFrame, users: DataFrame, features: list[str], floor: int, seed: int) -> DataFrame:
    """Pairs of a user with at most `floor` events, but one at least, and one with more whose first attribute is the
    same: _borrower, _lender, _all (events of the lender), _shared (share of equal attributes).

    Of the active users with a value some are looked at, by hash: none is lent to all, only since it is active.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    counts = train.where("user_id is not null").groupBy("user_id").agg(F.count(F.lit(1)).alias("_all"))
    sparse = users.join(counts.where(F.col("_all") <= floor), "user_id", "left_semi")
    active = counts.where(F.col("_all") > floor)
    order = active.select("user_id", unit_draw("user_id", salt="alike users", seed=seed).alias("count"))
    pairs = alike(sparse, users, order, features, "user_id").withColumnRenamed("user_id", "_borrower")
    lenders = active.select(F.col("user_id").alias("neighbour_id"), "_all")
    named = pairs.join(lenders, "neighbour_id").withColumnRenamed("neighbour_id", "_lender")
    return named.select("_borrower", "_lender", "_all", F.col("alike").alias("_shared"))


def nearest(pairs: DataFrame, k: int, salt: str, seed: int) -> DataFrame:
    """The k pairs of each borrower with most in common, ties by hash. One shuffle by borrower."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    draw = unit_draw("_borrower", "_lender", salt=salt, seed=seed)
    best = Window.partitionBy("_borrower").orderBy(F.desc("_shared"), draw, "_lender")
    return pairs.withColumn("_place", F.row_number().over(best)).where(F.col("_place") <= k).drop("_place")


def lent(train: DataFrame, pairs: DataFrame, *, most: int, share: float, seed: int) -> DataFrame:
    """The events of each lender that anybody may borrow, with `_lender`: at most so many, and that share of its own."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    lenders = pairs.select(F.col("_lender").alias("user_id"), F.floor(F.col("_all") * share).alias("_most")).distinct()
    drawn = Window.partitionBy("user_id").orderBy(unit_draw("row_id", salt="lent", seed=seed), "row_id")
    events = train.join(lenders, "user_id").withColumn("_rank", F.row_number().over(drawn))
    kept = events.where((F.col("_rank") <= most) & (F.col("_rank") <= F.col("_most")))
    return kept.withColumn("_lender", F.col("user_id")).select("_lender", *train.columns)


def as_borrowed(events: DataFrame, log: SchemaConfig, weight: float, salt: str) -> DataFrame:
    """Events with `_borrower` as the borrower's, one session for each of a lender's; on no slate. Narrow."""
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import off_slates, session_copies

    made = events.withColumns(
        {
            "user_id": F.col("_borrower"),
            "entity_id": F.col("_borrower"),
            "session_id": F.concat_ws("-borrowed-", "_borrower", F.hex(F.xxhash64("session_id"))),
            "weight": F.col("weight") * F.lit(weight),
            "propensity": F.lit(None).cast("double"),
        }
    )
    return off_slates(session_copies(made, log, salt, row_key=("_borrower",)), log, F.lit(True))

"""borrow_neighbour: a sparse user gets some events of a similar active user, moved to the sparse user's days.

Collaborative filtering's assumption, that users with common items like each other's (Resnick et al. 1994), as data:
at a weight below 1, and never so much of one person that it were that person's history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import DAY_US
from clickweave.errors import ConfigError
from clickweave.frames.augment.copies import Sources, TimeWindow, fit_window

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHANGES_ITEM = False  # whether item attributes must be joined anew: an event brings its own
NEEDS_NEIGHBOURS = False
MOST_LENDERS = 20  # of one item
SPARE = 4  # events of a lender for each one that a user may borrow, so that users with one lender differ


class Params(Section):
    """Parameters of `borrow_neighbour`."""

    name: Literal["borrow_neighbour"] = "borrow_neighbour"
    floor: int = Field(5, ge=1, description="users with at most so many events borrow; those with more lend")
    max_events: int = Field(5, ge=0, le=200, description="events that a user borrows, at most")
    r: float = Field(0.5, gt=0, le=0.9, description="share of a lender's events that are lent, to all users together")
    weight: float = Field(0.5, gt=0, lt=1, description="training weight of a borrowed event, beside 1 of a real one")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no users, items or times."""
        for role, column in (("user", log.user), ("item", log.item), ("event_time", log.event_time)):
            if column is None:
                raise ConfigError(f"augment operator borrow_neighbour needs schema.{role}")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> TimeWindow:
    """The log's window; one aggregate over train."""
    return fit_window(sources.train)


def apply(sources: Sources, fitted: TimeWindow, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Sessions of sparse users with up to max_events of a lender's events, by hash; one for each session of the lender.

    A lender's events are first cut to SPARE * max_events and to the share r of them, so that no history is lent as a
    whole, not over many users either, and a lender of a million events costs no more than another. They are moved by
    whole days, so that the lender's first day becomes the user's; what then lies outside the log's window is left out.
    They stand on no slate. Shuffles: events by user, items of sparse and of active users by item, pairs of users, lent
    events. Where no side is small enough to be broadcast, 15 exchanges in all.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import off_slates, session_copies
    from clickweave.frames.draws import unit_draw

    pairs = _pairs(sources.train, params, seed)
    events = pairs.join(_lent(sources.train, pairs, params, seed), "_lender")
    drawn = Window.partitionBy("_borrower").orderBy(
        unit_draw("row_id", "_borrower", salt="borrow", seed=seed), "row_id"
    )
    taken = events.withColumn("_rank", F.row_number().over(drawn)).where(F.col("_rank") <= params.max_events)
    moved_us = F.unix_micros("event_time") + F.col("_move") * F.lit(DAY_US)
    taken = taken.withColumn("_time", moved_us.cast("bigint"))
    taken = taken.where(F.col("_time").between(fitted.first_us, fitted.last_us))
    made = taken.withColumns(
        {
            "user_id": F.col("_borrower"),
            "entity_id": F.col("_borrower"),
            "session_id": F.concat_ws("-borrowed-", "_borrower", F.hex(F.xxhash64("session_id"))),
            "event_time": F.timestamp_micros("_time"),
            "weight": F.col("weight") * F.lit(params.weight),
            "propensity": F.lit(None).cast("double"),
        }
    )
    copies = session_copies(made, log, f"borrow_neighbour {seed}", row_key=("_borrower",))
    return off_slates(copies, log, F.lit(True)).select(*sources.train.columns)


def _lent(train: DataFrame, pairs: DataFrame, params: Params, seed: int) -> DataFrame:
    """The events of each lender that anybody may borrow, with `_lender`."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    lenders = pairs.select(
        F.col("_lender").alias("user_id"), F.floor(F.col("_all") * params.r).alias("_most")
    ).distinct()
    drawn = Window.partitionBy("user_id").orderBy(unit_draw("row_id", salt="lent", seed=seed), "row_id")
    events = train.join(lenders, "user_id").withColumn("_rank", F.row_number().over(drawn))
    kept = events.where((F.col("_rank") <= SPARE * params.max_events) & (F.col("_rank") <= F.col("_most")))
    return kept.withColumn("_lender", F.col("user_id")).select("_lender", *train.columns)


def _pairs(train: DataFrame, params: Params, seed: int) -> DataFrame:
    """_borrower, _lender (who shares most items, ties by hash), _all (number of its events) and _move (days).

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
    active = touched.where(F.col("_all") > params.floor).withColumn("_rank", F.row_number().over(of_item))
    lender = F.struct(F.col("user_id").alias("_lender"), "_all", F.col("_day").alias("_from_day"))
    lenders = active.where(F.col("_rank") <= MOST_LENDERS).groupBy("item_id").agg(F.collect_list(lender).alias("_by"))
    sparse = touched.where(F.col("_all") <= params.floor).select(
        F.col("user_id").alias("_borrower"), "item_id", F.col("_day").alias("_to_day")
    )
    # lists travel, not pairs: what follows needs no shuffle more
    met = sparse.join(lenders, "item_id").select("_borrower", "_to_day", "_by").repartition("_borrower")
    pairs = met.select("_borrower", "_to_day", F.inline("_by"))
    shared = pairs.groupBy(*pairs.columns).agg(F.count(F.lit(1)).alias("_shared"))
    draw = unit_draw("_borrower", "_lender", salt="lender tie", seed=seed)
    best = Window.partitionBy("_borrower").orderBy(F.desc("_shared"), draw, "_lender")
    first = shared.withColumn("_place", F.row_number().over(best)).where("_place = 1")
    return first.select("_borrower", "_lender", "_all", (F.col("_to_day") - F.col("_from_day")).alias("_move"))

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
MOST_DONORS = 100  # of one item


class Params(Section):
    """Parameters of `borrow_neighbour`."""

    name: Literal["borrow_neighbour"] = "borrow_neighbour"
    floor: int = Field(5, ge=1, description="users with at most so many events borrow; those with more lend")
    max_events: int = Field(5, ge=0, description="events that a user borrows, at most")
    r: float = Field(0.5, gt=0, le=0.9, description="share of the lender's events that one user borrows, at most")
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
    """One session per sparse user of up to min(max_events, r * lender's events) of the lender's events, by hash.

    They are moved by whole days, so that the lender's first day becomes the user's; what then lies outside the log's
    window is left out. They stand on no slate. Shuffles: events by user, items of sparse and of active users by item,
    pairs of users, lent events. Where no side is small enough to be broadcast, 13 exchanges in all.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import off_slates, session_copies
    from clickweave.frames.draws import unit_draw

    day = F.floor(F.unix_micros("event_time") / F.lit(DAY_US))
    users = sources.train.where("user_id is not null").groupBy("user_id")
    known = users.agg(F.count(F.lit(1)).alias("_n"), F.min(day).alias("_first_day"))
    pairs = _pairs(sources.train, known, params, seed)
    events = pairs.join(sources.train, F.col("user_id") == F.col("_lender"))
    drawn = Window.partitionBy("_borrower").orderBy(
        unit_draw("row_id", "_borrower", salt="borrow", seed=seed), "row_id"
    )
    most = F.least(F.lit(params.max_events), F.floor(F.col("_lent") * params.r))
    taken = events.withColumn("_rank", F.row_number().over(drawn)).where(F.col("_rank") <= most)
    moved_us = F.unix_micros("event_time") + F.col("_move") * F.lit(DAY_US)
    taken = taken.withColumn("_time", moved_us.cast("bigint"))
    taken = taken.where(F.col("_time").between(fitted.first_us, fitted.last_us))
    made = taken.withColumns(
        {
            "user_id": F.col("_borrower"),
            "entity_id": F.col("_borrower"),
            "session_id": F.concat("_borrower", F.lit("-borrowed")),
            "event_time": F.timestamp_micros("_time"),
            "weight": F.col("weight") * F.lit(params.weight),
            "propensity": F.lit(None).cast("double"),
        }
    )
    copies = session_copies(made, log, f"borrow_neighbour {seed}", row_key=("_borrower",))
    return off_slates(copies, log, F.lit(True)).select(*sources.train.columns)


def _pairs(train: DataFrame, known: DataFrame, params: Params, seed: int) -> DataFrame:
    """_borrower, _lender (who shares most items, ties by hash), _lent (the lender's events) and _move (days)."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    touched = train.where("user_id is not null and item_id is not null").select("user_id", "item_id").distinct()
    touched = touched.join(known, "user_id")
    sparse = touched.where(F.col("_n") <= params.floor).select(
        F.col("user_id").alias("_borrower"), "item_id", F.col("_first_day").alias("_to_day")
    )
    per_item = Window.partitionBy("item_id").orderBy(
        unit_draw("user_id", "item_id", salt="lender", seed=seed), "user_id"
    )
    active = touched.where(F.col("_n") > params.floor).withColumn("_rank", F.row_number().over(per_item))
    lenders = active.where(F.col("_rank") <= MOST_DONORS).select(
        F.col("user_id").alias("_lender"), "item_id", F.col("_n").alias("_lent"), F.col("_first_day").alias("_from_day")
    )
    same = ("_borrower", "_lender", "_lent", "_to_day", "_from_day")
    shared = sparse.join(lenders, "item_id").groupBy(*same).agg(F.count(F.lit(1)).alias("_shared"))
    draw = unit_draw("_borrower", "_lender", salt="lender tie", seed=seed)
    best = Window.partitionBy("_borrower").orderBy(F.desc("_shared"), draw, "_lender")
    first = shared.withColumn("_place", F.row_number().over(best)).where("_place = 1")
    return first.select("_borrower", "_lender", "_lent", (F.col("_to_day") - F.col("_from_day")).alias("_move"))

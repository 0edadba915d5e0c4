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
CHANGES_USER = True  # whether user attributes must be: the borrower's
NEEDS_NEIGHBOURS = False
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

    from clickweave.frames.augment.similar_users import as_borrowed, lent, nearest, sharing_users
    from clickweave.frames.draws import unit_draw

    train, most = sources.train, SPARE * params.max_events
    pairs = nearest(sharing_users(train, params.floor, seed), 1, "lender tie", seed)
    pairs = pairs.select("_borrower", "_lender", "_all", (F.col("_to_day") - F.col("_from_day")).alias("_move"))
    events = pairs.join(lent(train, pairs, most=most, share=params.r, seed=seed), "_lender")
    drawn = Window.partitionBy("_borrower").orderBy(
        unit_draw("row_id", "_borrower", salt="borrow", seed=seed), "row_id"
    )
    taken = events.withColumn("_rank", F.row_number().over(drawn)).where(F.col("_rank") <= params.max_events)
    moved_us = F.unix_micros("event_time") + F.col("_move") * F.lit(DAY_US)
    taken = taken.withColumn("_time", moved_us.cast("bigint"))
    taken = taken.where(F.col("_time").between(fitted.first_us, fitted.last_us))
    moved = taken.withColumn("event_time", F.timestamp_micros("_time"))
    return as_borrowed(moved, log, params.weight, f"borrow_neighbour {seed}").select(*train.columns)

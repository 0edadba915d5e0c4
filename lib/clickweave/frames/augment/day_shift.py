"""day_shift: sessions on another week. They move by whole weeks, so that weekday, hour and gaps stay.

The sessions of one user that start on one UTC day move together. Shifting in time is a standard augmentation of
time series (Wen et al. 2021, "Time series data augmentation for deep learning: a survey").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import DAY_US
from clickweave.frames.augment.copies import Sources, TimeWindow, check_sessions, fit_window

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

CHANGES_ITEM = False  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False
WEEK_DAYS = 7


class Params(Section):
    """Parameters of `day_shift`."""

    name: Literal["day_shift"] = "day_shift"
    share: float = Field(0.2, ge=0, le=1, description="share of days of a user whose sessions get a shifted copy")
    days: int = Field(7, ge=7, le=70, multiple_of=WEEK_DAYS, description="longest shift in days, whole weeks")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no sessions."""
        check_sessions(log, "day_shift")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> TimeWindow:
    """The log's window; one aggregate over train."""
    return fit_window(sources.train)


def apply(sources: Sources, fitted: TimeWindow, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Copies of the sessions of a seeded share of days of users, one shift of 7 to `days` days a day of a user.

    A day that would fall outside the log's days moves the other way, or has no copy; a session that would still
    leave the window, on its first or last day, has none. One shuffle of all rows by session, since the day of a
    session's start chooses it; a session of a million events is summed up by one task, on disk where memory ends.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import SESSION, session_copies
    from clickweave.frames.draws import unit_draw

    session = Window.partitionBy(*SESSION)
    time_us = F.unix_micros("event_time")
    spans = sources.train.withColumns({"_start": F.min(time_us).over(session), "_end": F.max(time_us).over(session)})
    days = spans.withColumn("_day", F.floor(F.col("_start") / DAY_US))
    chosen = days.where(unit_draw("entity_id", "_day", salt="day_shift", seed=seed) < params.share)
    moved = chosen.withColumn("_shift", _shift_days(fitted, params.days // WEEK_DAYS, seed) * DAY_US)
    inside = (F.col("_start") + F.col("_shift") >= fitted.first_us) & (
        F.col("_end") + F.col("_shift") <= fitted.last_us
    )
    moved = moved.where(inside).withColumn("event_time", F.timestamp_micros(time_us + F.col("_shift")))
    return session_copies(moved, log, f"day_shift {seed}").drop("_start", "_end", "_day", "_shift")


def _shift_days(window: TimeWindow, num_weeks: int, seed: int) -> Column:
    """The shift of a day of a user; null where neither direction stays among the log's days."""
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    key = ("entity_id", "_day")
    days = (F.floor(unit_draw(*key, salt="day_shift weeks", seed=seed) * num_weeks) + 1) * WEEK_DAYS
    drawn = F.when(unit_draw(*key, salt="day_shift direction", seed=seed) < 0.5, days).otherwise(-days)
    first, last = window.first_us // DAY_US, window.last_us // DAY_US
    return F.when((F.col("_day") + drawn).between(first, last), drawn).when(
        (F.col("_day") - drawn).between(first, last), -drawn
    )

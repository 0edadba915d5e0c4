"""day_shift: the sessions that a user began on one day, some weeks earlier or later; weekday, hour and gaps stay."""

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
WEEK = 7


class Params(Section):
    """Parameters of `day_shift`."""

    name: Literal["day_shift"] = "day_shift"
    share: float = Field(0.2, ge=0, le=1, description="share of users' days that get a moved copy")
    days: int = Field(7, ge=7, le=364, multiple_of=7, description="largest move in days, either way: whole weeks")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no sessions."""
        check_sessions(log, "day_shift")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> TimeWindow:
    """The log's window; one aggregate over train."""
    return fit_window(sources.train)


def apply(sources: Sources, fitted: TimeWindow, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Copies of all sessions of a seeded share of (entity, UTC day of a session's first event), moved by 1 to days / 7
    weeks. A move out of the log's window goes the other way; where that leaves it too there is no copy. One shuffle by
    session.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import SESSION, session_copies
    from clickweave.frames.draws import unit_draw

    sessions, time_us = Window.partitionBy(*SESSION), F.unix_micros("event_time")
    ends = {"_start": F.min(time_us).over(sessions), "_end": F.max(time_us).over(sessions)}
    rows = sources.train.withColumns(ends).withColumn("_day", F.floor(F.col("_start") / F.lit(DAY_US)))
    day = ("entity_id", "_day")
    rows = rows.where(unit_draw(*day, salt="day_shift", seed=seed) < params.share)
    weeks = 1 + F.floor(unit_draw(*day, salt="day_shift weeks", seed=seed) * (params.days // WEEK))
    sign = F.when(unit_draw(*day, salt="day_shift way", seed=seed) < 0.5, F.lit(-1)).otherwise(F.lit(1))
    move_us = weeks * sign * F.lit(WEEK * DAY_US)

    def fits(move: Column) -> Column:
        return (F.col("_start") + move >= fitted.first_us) & (F.col("_end") + move <= fitted.last_us)

    rows = rows.withColumn("_move", F.when(fits(move_us), move_us).when(fits(-move_us), -move_us))
    moved = rows.where(F.col("_move").isNotNull()).withColumn(
        "event_time", F.timestamp_micros((time_us + F.col("_move")).cast("bigint"))
    )
    return session_copies(moved, log, f"day_shift {seed}").select(*sources.train.columns)

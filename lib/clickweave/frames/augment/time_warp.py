"""time_warp: all gaps of a session grow or shrink by one factor; order, items and labels stay.

A warp of the time axis (Um et al. 2017, section 3), with one factor a session, so that the rhythm inside it stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.frames.augment.copies import Sources, TimeWindow, check_sessions, fit_window

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHANGES_ITEM = False  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False


class Params(Section):
    """Parameters of `time_warp`."""

    name: Literal["time_warp"] = "time_warp"
    share: float = Field(0.2, ge=0, le=1, description="share of sessions that get a warped copy")
    sigma: float = Field(0.2, ge=0, le=1, description="standard deviation of the log of the factor")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no sessions."""
        check_sessions(log, "time_warp")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> TimeWindow:
    """The log's window; one aggregate over train."""
    return fit_window(sources.train)


def apply(sources: Sources, fitted: TimeWindow, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Copies of a seeded share of sessions that take longer or less long, from the same start.

    The factor is exp(sigma * normal), cut so that the copy ends inside the log and, where sessions were cut by
    `session_gap`, no gap becomes one that would cut it. Times are whole multiples of the log's unit after the start.
    One shuffle by session.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import SESSION, chosen_sessions, session_copies, time_step_us
    from clickweave.frames.draws import normal_draw

    sessions = Window.partitionBy(*SESSION)
    time_us = F.unix_micros("event_time")
    before_us = F.lag(time_us).over(sessions.orderBy("event_time", "row_id"))
    rows = chosen_sessions(sources.train, params.share, "time_warp", seed).withColumn("_gap", time_us - before_us)
    start_us, end_us = F.min(time_us).over(sessions), F.max(time_us).over(sessions)
    spans = {"_start": start_us, "_span": end_us - start_us, "_longest": F.max("_gap").over(sessions)}
    factor = F.exp(F.lit(params.sigma) * normal_draw(*SESSION, salt="time_warp", seed=seed))
    most = F.try_divide(F.lit(fitted.last_us) - F.col("_start"), F.col("_span"))
    if log.session is None:
        most = F.least(most, F.try_divide(F.lit(log.session_gap * 1e6), F.col("_longest")))
    rows = rows.withColumns(spans).withColumn("_factor", F.least(factor, most))
    step_us = time_step_us(log)
    steps = F.floor((time_us - F.col("_start")) * F.col("_factor") / F.lit(step_us))
    warped = F.timestamp_micros(F.col("_start") + steps.cast("bigint") * F.lit(step_us))
    copies = session_copies(rows.where("_span > 0").withColumn("event_time", warped), log, f"time_warp {seed}")
    return copies.select(*sources.train.columns)

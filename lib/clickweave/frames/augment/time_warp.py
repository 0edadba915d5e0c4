"""time_warp: the pace of a session. One factor stretches or squeezes all its gaps; items, order and labels stay.

Random time warping of sequences after Um et al. 2017 ("Data augmentation of wearable sensor data"), here with one
factor a session, exp(sigma * e) with e standard normal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.frames.augment.copies import Sources, TimeWindow, check_sessions, fit_window, time_step_us

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHANGES_ITEM = False  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False
MARGIN = 1.0 - 1e-9  # keeps a bounded factor below its bound when a product is rounded


class Params(Section):
    """Parameters of `time_warp`."""

    name: Literal["time_warp"] = "time_warp"
    share: float = Field(0.2, ge=0, le=1, description="share of sessions that get a warped copy")
    sigma: float = Field(0.2, ge=0, le=1, description="standard deviation of the logarithm of a session's factor")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no sessions."""
        check_sessions(log, "time_warp")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> TimeWindow:
    """The log's window; one aggregate over train."""
    return fit_window(sources.train)


def apply(sources: Sources, fitted: TimeWindow, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Copies of a seeded share of sessions that last longer than no time, each with its gaps times one factor.

    The factor is lowered where a gap would cut the session (in logs that session_gap cuts) or the last event would
    leave the log's window. Times are the first one plus whole steps, so equal times stay equal. One shuffle by
    session; a session of a million events is sorted and summed up by one task, on disk where memory ends.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import SESSION, chosen_sessions, session_copies
    from clickweave.frames.draws import normal_draw

    step = time_step_us(log)
    session = Window.partitionBy(*SESSION)
    rows = chosen_sessions(sources.train, params.share, "time_warp", seed)
    rows = rows.withColumn("_us", F.unix_micros("event_time"))
    bounds = [F.floor((fitted.last_us - F.col("_start")) / step) * step / (F.col("_end") - F.col("_start"))]
    if log.session is None:
        rows = rows.withColumn("_gap", F.col("_us") - F.lag("_us").over(session.orderBy("_us")))
        longest_us = int(log.session_gap * 1e6) // step * step
        # in a chain a session may hold a longer pause, which then grows no further
        bounds.append(F.greatest(F.lit(longest_us) / F.nullif("_widest", F.lit(0)), F.lit(1.0)))
    else:
        rows = rows.withColumn("_gap", F.lit(None).cast("bigint"))
    rows = rows.withColumns(
        {name: how("_us").over(session) for name, how in (("_start", F.min), ("_end", F.max))}
        | {"_widest": F.max("_gap").over(session)}
    )
    rows = rows.where("_end > _start")
    bound = F.least(*bounds) if len(bounds) > 1 else bounds[0]
    drawn = F.exp(F.lit(params.sigma) * normal_draw(*SESSION, salt="time_warp", seed=seed))
    factor = F.when(drawn > bound, bound * MARGIN).otherwise(drawn)
    steps = F.floor(factor * (F.col("_us") - F.col("_start")) / step)
    rows = rows.withColumn("event_time", F.timestamp_micros(F.col("_start") + steps * step))
    return session_copies(rows, log, f"time_warp {seed}").drop("_us", "_gap", "_start", "_end", "_widest")

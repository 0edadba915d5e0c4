"""reorder: another order of a few neighbouring events of a session. The moments stay, the events trade places.

Item reordering after CL4SRec (Xie et al. 2022, section 3.2.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.frames.augment.copies import Sources, check_sessions

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, WindowSpec

CHANGES_ITEM = False  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False
LONGEST = 50  # events; each carries the times of its window, so that a long session costs no more than this


class Params(Section):
    """Parameters of `reorder`."""

    name: Literal["reorder"] = "reorder"
    share: float = Field(0.2, ge=0, le=1, description="share of sessions that get a reordered copy")
    rate: float = Field(0.2, gt=0, le=0.5, description="share of the session's events in its window, 2 to 50 events")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no sessions."""
        check_sessions(log, "reorder")


def apply(sources: Sources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Copies of a seeded share of sessions in which the events of one window, uniform over the session, are shuffled.

    Events keep everything but their time, which is that of their new place. Events of an item that stands twice in
    the window stay, so that no purchase comes before its click. No copy where fewer than two events can move or all
    are of one moment. One shuffle by session; a session of a million events is sorted by one task, on disk where
    memory ends, with at most 50 times beside each event.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import SESSION, chosen_sessions, in_sessions, session_copies
    from clickweave.frames.draws import unit_draw

    session = Window.partitionBy(*SESSION)
    rows = in_sessions(chosen_sessions(sources.train, params.share, "reorder", seed)).where("_n >= 2")
    length = F.least(F.greatest(F.round(F.col("_n") * params.rate), F.lit(2.0)), F.lit(float(LONGEST)))
    start = F.floor(unit_draw(*SESSION, salt="reorder start", seed=seed) * (F.col("_n") - length + 1))
    rows = rows.withColumn("_moves", (F.col("_place") >= start) & (F.col("_place") < start + length))
    if log.item is not None:
        rows = rows.withColumn("_moves", F.col("_moves") & ~_stands_twice(session))
    rows = rows.withColumn("_draw", unit_draw("row_id", salt="reorder place", seed=seed))
    moving = F.when(F.col("_moves"), F.struct("event_time", "row_id", "_draw"))
    rows = rows.withColumn("_moving", F.sort_array(F.collect_list(moving).over(session)))
    rows = rows.where(F.get("_moving.event_time", F.lit(0)) < F.try_element_at("_moving.event_time", F.lit(-1)))
    made = rows.withColumn("event_time", F.when(F.col("_moves"), _new_time()).otherwise(F.col("event_time")))
    return session_copies(made, log, f"reorder {seed}").drop("_place", "_n", "_moves", "_draw", "_moving")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit."""


def _stands_twice(session: WindowSpec) -> Column:
    """Whether the event's item is that of another event that `_moves`."""
    from pyspark.sql import functions as F

    items = F.collect_list(F.when(F.col("_moves"), F.col("item_id"))).over(session)
    others = F.size(F.array_remove(items, F.col("item_id")))
    return F.coalesce(others < F.size(items) - 1, F.lit(False))


def _new_time() -> Column:
    """The time of the place that the event's draw has among the draws; of its reverse where no time would change, as
    when only events of one moment trade places.
    """
    from pyspark.sql import functions as F

    times, draws = F.col("_moving.event_time"), F.sort_array("_moving._draw")
    by_draw = F.sort_array(F.transform("_moving", lambda event: F.struct(event["_draw"], event["event_time"])))
    same = by_draw.getField("event_time") == times
    order = F.when(same, F.reverse(draws)).otherwise(draws)
    return F.get(times, F.array_position(order, F.col("_draw")) - 1)

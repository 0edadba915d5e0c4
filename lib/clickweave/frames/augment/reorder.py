"""reorder: the events of one short window of a session in another order, on the times of that window.

The item reorder of CL4SRec (Xie et al. 2022, section 3.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.frames.augment.copies import Sources, check_sessions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHANGES_ITEM = False  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False
MOST = 50  # events of a window, whose times one row holds


class Params(Section):
    """Parameters of `reorder`."""

    name: Literal["reorder"] = "reorder"
    share: float = Field(0.2, ge=0, le=1, description="share of sessions that get a copy in another order")
    rate: float = Field(0.2, ge=0, le=0.5, description=f"share of the session in the window; 2 to {MOST} events")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no sessions."""
        check_sessions(log, "reorder")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit."""


def apply(sources: Sources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Copies of a seeded share of sessions with n >= 2 events, in which max(2, rate * n) consecutive events share out
    their times anew. Every event keeps its item, label, slate and context.

    Events of an item that stands in the window more than once keep their places among the others', so that its labels
    stay in order. Copies in which no event moves are left out. One shuffle by session.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import SESSION, chosen_sessions, in_sessions, session_copies
    from clickweave.frames.draws import unit_draw

    numbered = in_sessions(chosen_sessions(sources.train, params.share, "reorder", seed)).where("_n >= 2")
    length = F.least(F.greatest(F.lit(2), F.round(F.col("_n") * params.rate).cast("int")), F.lit(MOST))
    first = F.floor(unit_draw(*SESSION, salt="reorder start", seed=seed) * (F.col("_n") - length + 1))
    marked = numbered.withColumn("_inside", (F.col("_place") >= first) & (F.col("_place") < first + length))
    item = F.coalesce("item_id", F.col("row_id").cast("string"))
    twice = F.count(F.lit(1)).over(Window.partitionBy(*SESSION, "_inside", item)) > 1
    marked = marked.withColumn("_moves", F.col("_inside") & ~twice)
    group = Window.partitionBy(*SESSION, "_moves")
    in_order = group.orderBy("_place").rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    times = F.collect_list(F.when(F.col("_moves"), F.col("event_time"))).over(in_order)  # nulls are not collected
    drawn = group.orderBy(unit_draw("row_id", salt="reorder place", seed=seed), "row_id")
    new_time = F.try_element_at(times, F.row_number().over(drawn))
    moved = marked.withColumn("_time", F.when(F.col("_moves"), new_time).otherwise(F.col("event_time")))
    changes = F.max(F.col("_time") != F.col("event_time")).over(Window.partitionBy(*SESSION))
    changed = moved.withColumn("_changes", changes).where("_changes").withColumn("event_time", F.col("_time"))
    return session_copies(changed, log, f"reorder {seed}").select(*sources.train.columns)

"""delete: a copy of a session without some of its events; order, times and labels of the others stay.

Random deletion (Wei and Zou 2019, section 2) on events.
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


class Params(Section):
    """Parameters of `delete`."""

    name: Literal["delete"] = "delete"
    share: float = Field(0.2, ge=0, le=1, description="share of sessions that get a shorter copy")
    rate: float = Field(0.1, ge=0, le=0.5, description="share of the copy's events that are left out")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no sessions."""
        check_sessions(log, "delete")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit."""


def apply(sources: Sources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Copies of a seeded share of sessions in which at least one event is left out and one stays.

    With an event goes what followed from it: later events of its item with a stronger label. One shuffle by session.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import SESSION, chosen_sessions, in_sessions, session_copies
    from clickweave.frames.draws import unit_draw

    chosen = in_sessions(chosen_sessions(sources.train, params.share, "delete", seed)).where("_n >= 2")
    drawn = chosen.withColumn("_drawn", unit_draw("row_id", salt="delete event", seed=seed) < params.rate)
    before = Window.partitionBy(*SESSION, "item_id").orderBy("event_time", "row_id")
    weakest = F.min(F.when(F.col("_drawn"), F.col("label"))).over(before)  # of the events left out so far
    follows = F.col("item_id").isNotNull() & F.coalesce(weakest < F.col("label"), F.lit(False))
    marked = drawn.withColumn("_gone", F.col("_drawn") | follows)
    some_go = F.max("_gone").over(Window.partitionBy(*SESSION))
    kept = marked.withColumn("_some", some_go).where(F.col("_some") & ~F.col("_gone"))
    return session_copies(kept, log, f"delete {seed}").select(*sources.train.columns)

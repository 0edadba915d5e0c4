"""delete: a session with gaps. Single events are dropped; what is left keeps items, times and labels.

The item-wise form of cropping in CL4SRec (Xie et al. 2022), as random deletion in EDA (Wei and Zou 2019).
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
    share: float = Field(0.2, ge=0, le=1, description="share of sessions that get a copy with events dropped")
    rate: float = Field(0.1, ge=0, le=0.5, description="share of events that are dropped; always at least one")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no sessions."""
        check_sessions(log, "delete")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit."""


def apply(sources: Sources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Copies of a seeded share of sessions with n >= 2 events, of which some are dropped and some stay.

    With an event go the later ones of its item that have a stronger label, so that no purchase stays without the
    click that was dropped. Where nothing is drawn the event with the lowest draw goes; where all would go the first
    one stays. One shuffle by session, which the windows by session and item use too; a session of a million events
    is sorted by one task, on disk where memory ends.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import SESSION, chosen_sessions, session_copies
    from clickweave.frames.draws import unit_draw

    session = Window.partitionBy(*SESSION)
    rows = chosen_sessions(sources.train, params.share, "delete", seed)
    rows = rows.withColumn("_draw", unit_draw("row_id", salt="delete event", seed=seed))
    # the session's windows stand first: rows that lie by session also lie by session and item, not the other way
    rows = rows.withColumns(
        {
            "_n": F.count(F.lit(1)).over(session),
            "_lowest": F.min("_draw").over(session),
            "_first": F.min(F.struct("event_time", "label", "row_id")).over(session),
        }
    ).where("_n >= 2")
    rows = rows.withColumn("_goes", (F.col("_draw") < params.rate) | (F.col("_draw") == F.col("_lowest")))
    if log.item is not None:
        # up to and with the same moment, in which the weaker label counts as the earlier one
        so_far = Window.partitionBy(*SESSION, "item_id").orderBy("event_time")
        so_far = so_far.rangeBetween(Window.unboundedPreceding, Window.currentRow)
        weakest = F.min(F.when(F.col("_goes"), F.col("label"))).over(so_far)
        follows = F.col("item_id").isNotNull() & (weakest < F.col("label"))
        rows = rows.withColumn("_goes", F.col("_goes") | F.coalesce(follows, F.lit(False)))
    first_of_none = F.bool_and("_goes").over(session) & (F.col("_first.row_id") == F.col("row_id"))
    rows = rows.withColumn("_stays", ~F.col("_goes") | first_of_none).where("_stays")
    return session_copies(rows, log, f"delete {seed}").drop("_draw", "_n", "_lowest", "_first", "_goes", "_stays")

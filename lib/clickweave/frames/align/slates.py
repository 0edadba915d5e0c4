"""Slates of generated histories: new ids, one for each run of events that belong together."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.frames.align.keys import IdSpace, renamed

_HISTORY, _PLACE, _SAME = ("block", "entity_place"), "place", "same_slate"
_TOGETHER = ("entity_id", *_HISTORY)  # the entity first, so that nothing moves where its events are together already


def with_slates(events: DataFrame, space: IdSpace, run_id: str, *, one_query: bool) -> DataFrame:
    """Adds `slate_id`, null where `same_slate` is. One shuffle and sort by history; nothing moves where entities lie
    together.

    Args:
        events: one row per event with entity_id, block, entity_place, place and same_slate.
        space: where new slate ids live.
        one_query: whether all events of a slate have the query of its first; rare ones were decoded one by one.
    """
    history = Window.partitionBy(*_TOGETHER).orderBy(_PLACE)
    begins = F.when(F.col(_SAME) == 1, 0).otherwise(1)
    made = {"_number": F.sum(begins).over(history)}
    if one_query:
        firsts = F.when(begins == 1, F.struct("query"))  # of a slate, the query or null
        made["query"] = F.last(firsts, ignorenulls=True).over(history)["query"]
    rows = events.withColumns(made)
    key = F.concat_ws("-", F.lit("slate"), *_HISTORY, "_number")
    rows = rows.withColumn("slate_id", F.when(F.col(_SAME).isNotNull(), key))
    return renamed(rows, "slate_id", space, run_id).drop("_number")


def with_shared_ids(events: DataFrame, log: SchemaConfig) -> DataFrame:
    """Slates that are sessions or users by another name have their ids. Narrow."""
    if log.slate is None or log.has_slates:
        return events
    return events.withColumn("slate_id", F.col("session_id" if log.slate == log.session else "user_id"))

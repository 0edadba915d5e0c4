"""Runs of items that belong to one real person must not come back in generated histories."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

RUN_LENGTH = 5  # items in a row that count as somebody's sequence, as the report counts them
_RUN = "_run"


def drop_copied_runs(events: DataFrame, train: DataFrame) -> DataFrame:
    """Generated events without those that complete a run of items which exactly one real entity has.

    Both frames: one row per event with entity_id, event_time and item_id. Dropping an event makes new neighbours, so
    it is done twice. Cost: for `train` one shuffle by entity and one by run, for `events` twice as much.
    """
    holders = F.min("entity_id").alias("first"), F.max("entity_id").alias("last")
    owned = _with_run(train).where(F.col(_RUN).isNotNull()).groupBy(_RUN).agg(*holders).where("first = last")
    for _ in range(2):
        events = _with_run(events).join(owned.select(_RUN), _RUN, "left_anti").drop(_RUN)
    return events


def _with_run(events: DataFrame) -> DataFrame:
    """Adds the hash of the last items up to each event, null before there are enough; order: time, then item."""
    order = Window.partitionBy("entity_id").orderBy("event_time", "item_id")
    items = [F.lag("item_id", step).over(order) for step in range(RUN_LENGTH)]
    return events.withColumn(_RUN, F.when(items[-1].isNotNull(), F.xxhash64(*items)))

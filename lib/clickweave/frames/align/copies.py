"""Runs of items that belong to one real person must not come back in generated histories."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.frames.runs import last_items

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
    """Adds the hash of the run of items that ends at each event; null where there is none."""
    items = last_items("event_time")
    return events.withColumn(_RUN, F.when(items[0].isNotNull() & F.col("item_id").isNotNull(), F.xxhash64(*items)))

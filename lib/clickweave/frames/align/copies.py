"""Runs of items that belong to one real person must not come back in generated histories."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.frames.runs import last_items

_RUN, _DROPPED = "_run", "_dropped"


def drop_copied_runs(events: DataFrame, train: DataFrame) -> DataFrame:
    """Generated events without those that complete a run of items which exactly one real entity has.

    Both frames: one row per event with row_id, entity_id, event_time and item_id. Dropping an event makes new
    neighbours, so it is done twice. Cost: of these columns, for `train` one shuffle by entity and one by run, for
    `events` twice as much; then one join by entity, which leaves alone what is partitioned so.
    """
    holders = F.min("entity_id").alias("first"), F.max("entity_id").alias("last")
    owned = _with_run(train).where(F.col(_RUN).isNotNull()).groupBy(_RUN).agg(*holders).where("first = last")
    owned = owned.select(_RUN, F.lit(True).alias("_owned"))
    rows = events.select("row_id", "entity_id", "event_time", "item_id", F.lit(False).alias(_DROPPED))
    for _ in range(2):
        found = _with_run(rows, _DROPPED).join(owned, _RUN, "left")
        rows = found.withColumn(_DROPPED, F.col(_DROPPED) | F.coalesce("_owned", F.lit(False))).drop(_RUN, "_owned")
    dropped = rows.where(_DROPPED).groupBy("entity_id").agg(F.collect_set("row_id").alias("_rows"))
    joined = events.join(dropped, "entity_id", "left")
    return joined.where(~F.coalesce(F.array_contains("_rows", F.col("row_id")), F.lit(False))).drop("_rows")


def _with_run(events: DataFrame, *group: str) -> DataFrame:
    """Adds the hash of the run of items that ends at each event, among those of its group; null without one."""
    items = last_items("event_time", *group)
    return events.withColumn(_RUN, F.when(items[0].isNotNull() & F.col("item_id").isNotNull(), F.xxhash64(*items)))

"""Training events as recommenders take them: what was consumed, exact sums of weights, bounded samples of users."""

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from scipy import sparse

from clickweave.evaluation.recommenders.protocol import Histories, ItemIndex, Task
from clickweave.frames.draws import unit_draw

WEIGHT_STEPS = 1 << 20  # of a weight of 1: whole numbers add up to the same sum in any order
NUM_BUCKETS = 4096
USERS = "users of recommenders"


def consumed(events: DataFrame, task: Task) -> DataFrame:
    """row_id, entity_id, item_id, time_us, label and weight of the rows with an item that count as consumed. Narrow.

    time_us is 0 in logs without time; a missing weight counts as 1.
    """
    wanted = F.col("item_id").isNotNull()
    if task.level is not None:
        wanted = wanted & (F.col("label") >= F.lit(task.level))
    return events.where(wanted).select(
        "row_id",
        "entity_id",
        "item_id",
        F.coalesce(F.unix_micros("event_time"), F.lit(0)).alias("time_us"),
        F.coalesce("label", F.lit(0)).cast("long").alias("label"),
        F.coalesce("weight", F.lit(1.0)).cast("double").alias("weight"),
    )


def whole_weight(weight: Column, steps: int = WEIGHT_STEPS) -> Column:
    """The weight in whole steps of 1 / `steps`, at least one: sums of it do not depend on the partitioning."""
    return F.greatest(F.round(weight * F.lit(steps)).cast("long"), F.lit(1))


def sample_histories(
    events: DataFrame, task: Task, *, max_users: int, max_events: int, least_events: int = 1
) -> tuple[Histories, np.ndarray]:
    """Histories of at most `max_users` users, those with the smallest hash of (seed, entity_id), and the row_id of
    each event.

    Of a longer history the last `max_events` are taken. One shuffle by entity for the counts, one of the sample's
    events; at most max_users x max_events rows reach the driver.

    Args:
        events: what `consumed` gives.
        least_events: users with fewer are passed over.
    """
    counts = events.groupBy("entity_id").agg(F.count(F.lit(1)).alias("num"))
    draw = unit_draw("entity_id", salt=USERS, seed=task.seed)
    drawn = counts.where(F.col("num") >= least_events).orderBy(draw, "entity_id").limit(max_users)
    held = events.join(F.broadcast(drawn.select("entity_id")), "entity_id", "left_semi")
    latest = Window.partitionBy("entity_id").orderBy(F.desc("time_us"), F.desc("row_id"))
    table = held.withColumn("_place", F.row_number().over(latest)).where(F.col("_place") <= max_events).drop("_place")
    found = in_order(table.toArrow())
    return Histories.of_table(found), found.column("row_id").to_numpy()


def in_order(table: pa.Table) -> pa.Table:
    """Events in the order of `Histories`: by entity, time and row_id."""
    return table.sort_by([(name, "ascending") for name in ("entity_id", "time_us", "row_id")])


def pairs(rows: DataFrame, task: Task, most_items: int) -> DataFrame:
    """entity_id, item_id, `total` (int64: the pair's weight in whole steps) and `num` (its rows), one row per pair.

    Of a user with more than `most_items` items that many are drawn by hash. One shuffle by pair, one by entity.
    """
    weight = whole_weight(F.col("weight"))
    found = rows.groupBy("entity_id", "item_id").agg(F.sum(weight).alias("total"), F.count(F.lit(1)).alias("num"))
    draw = unit_draw("entity_id", "item_id", salt="items of recommenders", seed=task.seed)
    drawn = Window.partitionBy("entity_id").orderBy(draw, "item_id")
    return found.withColumn("_place", F.row_number().over(drawn)).where(F.col("_place") <= most_items).drop("_place")


def item_counts(rows: DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Item ids [I], ascending, and the rows of each [I]: what codes of items count from."""
    table = rows.groupBy("item_id").count().toArrow().sort_by("item_id")
    return table.column("item_id").to_numpy(zero_copy_only=False), table.column("count").to_numpy()


def with_item_codes(rows: DataFrame, item_ids: np.ndarray) -> DataFrame:
    """Rows with `item` (int32, place in `item_ids`), which holds every item once and all of theirs; rows stay once."""
    codes = pa.array(np.arange(len(item_ids)), pa.int32())
    table = rows.sparkSession.createDataFrame(pa.table({"item_id": pa.array(item_ids, pa.string()), "item": codes}))
    return rows.join(table, "item_id", "inner")


def with_user_codes(rows: DataFrame) -> DataFrame:
    """Rows with `user` (int32, 0 up to the number of entities); the same for any partitioning.

    Entities are numbered inside NUM_BUCKETS hash buckets, whose sizes come to the driver: no sort of them all.
    """
    bucket = F.pmod(F.xxhash64("entity_id"), F.lit(NUM_BUCKETS)).alias("_bucket")
    entities = rows.select("entity_id").distinct().select("entity_id", bucket)
    sizes = entities.groupBy("_bucket").count().toArrow().sort_by("_bucket")
    before = np.cumsum(sizes.column("count").to_numpy()) - sizes.column("count").to_numpy()
    offsets = rows.sparkSession.createDataFrame(pa.table({"_bucket": sizes.column("_bucket"), "_before": before}))
    inside = F.row_number().over(Window.partitionBy("_bucket").orderBy("entity_id"))
    numbered = entities.withColumn("_inside", inside).join(F.broadcast(offsets), "_bucket", "inner")
    user = (F.col("_before") + F.col("_inside") - 1).cast("int").alias("user")
    return rows.join(numbered.select("entity_id", user), "entity_id", "inner")


def history_matrix(histories: Histories, index: ItemIndex, values_E: np.ndarray) -> sparse.csr_array:
    """float64 [U, I]: the sum of the values of a user's events of an item; items that `index` lacks are passed over."""
    places_E = index.places(histories.item_ids)
    known = places_E >= 0
    where = histories.owners[known], places_E[known]
    return sparse.coo_array((values_E[known], where), shape=(histories.num_users, len(index))).tocsr()

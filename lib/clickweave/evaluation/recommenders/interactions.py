"""Training events as recommenders take them: what was consumed, exact sums of weights, bounded samples of users."""

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clickweave.evaluation.recommenders.protocol import Histories, Task
from clickweave.frames.draws import unit_draw

WEIGHT_STEPS = 1 << 20  # of a weight of 1: whole numbers add up to the same sum in any order
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

"""Which items are visited together: the candidates from which a generated history often goes on.

Legend: V codes of the item column, K neighbours.
"""

import numpy as np
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from clickweave.codec.spec import FIRST_VALUE, PLACE, ColumnSpec

NEIGHBOURS = 20
REACH = 10  # events between two items that count as visited together


def covisited_items(coded: DataFrame, item: ColumnSpec) -> dict[str, np.ndarray]:
    """`item_id.neighbours` (codes, int32) and `item_id.neighbour_users` (entities, float32), both [V, K].

    For each item those that most entities visited within REACH events of it, before or after, the most first, then
    the nearest, ties by code; 0 where there are no more. Order and direction are forgotten, so that a walk along
    neighbours is nobody's own. One shuffle by entity, one by pair, one by item.

    Args:
        coded: one row per event with entity_id, place and code_item_id; events without a kept item are passed over.
    """
    coded = coded.withColumn("item", F.col("code_item_id"))
    kept = coded.where(F.col("item") >= FIRST_VALUE).select("entity_id", PLACE, "item")
    order = Window.partitionBy("entity_id").orderBy(PLACE)
    steps = [
        F.struct(F.lead("item", k).over(order).alias("other"), F.lit(k).alias("away")) for k in range(1, REACH + 1)
    ]
    pairs = kept.select("entity_id", "item", F.array(*steps).alias("steps"))
    pairs = pairs.select("entity_id", "item", F.explode("steps").alias("step")).select("entity_id", "item", "step.*")
    pairs = pairs.where(F.col("other") != F.col("item"))
    both = pairs.unionByName(
        pairs.select("entity_id", F.col("other").alias("item"), F.col("item").alias("other"), "away")
    )
    users = both.groupBy("item", "other").agg(F.count_distinct("entity_id").alias("users"), F.min("away").alias("away"))
    most = Window.partitionBy("item").orderBy(F.desc("users"), "away", "other")
    table = users.withColumn("rank", F.row_number().over(most) - 1).where(F.col("rank") < NEIGHBOURS).toArrow()
    place = table.column("item").to_numpy(), table.column("rank").to_numpy()
    neighbours_VK = np.zeros((item.num_codes, NEIGHBOURS), np.int32)
    users_VK = np.zeros((item.num_codes, NEIGHBOURS), np.float32)
    neighbours_VK[place], users_VK[place] = table.column("other").to_numpy(), table.column("users").to_numpy()
    return {f"{item.name}.neighbours": neighbours_VK, f"{item.name}.neighbour_users": users_VK}

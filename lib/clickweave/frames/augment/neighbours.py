"""Similar items, from what is visited together and what they are: one table for all operators that need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clickweave.config.log import CATEGORY_KINDS, SchemaConfig
from clickweave.contracts.tables import feature_column
from clickweave.frames.augment.copies import SESSION

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

NEIGHBOURS = 20  # of one item
MOST_ITEMS = 50  # of one session that are looked at: more are no visit of a person
LEAST_SESSIONS = 2  # that hold a pair; one alone is chance
MOST_ALIKE = 50  # items of one attribute value that others of it are compared with, the most frequent ones


def similar_items(train: DataFrame, items: DataFrame, log: SchemaConfig) -> DataFrame:
    """item_id, neighbour_id, similarity in (0, 1] and rank from 1 to NEIGHBOURS; one row per pair.

    Similarity is the normalised pointwise mutual information of two items in the log's sessions (Bouma 2009, equation
    for collocations; pairs above independence), where the log has attributes of items the mean of that and of the share
    of equal ones. One shuffle of events by session, of whose items MOST_ITEMS count, two of pairs, the
    rest of items.

    Args:
        items: one row per item_id; their categorical and id features are compared.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    features = [feature_column(name) for name, spec in log.item_features.items() if spec.kind in CATEGORY_KINDS]
    together = _together(train, log)
    if features:
        popular = train.groupBy("item_id").count()
        pairs = alike(items, items, popular, features, "item_id")
        equal = pairs.select("item_id", "neighbour_id", (F.col("alike") / 2).alias("part"))
        parts = together.select("item_id", "neighbour_id", (F.col("npmi") / 2).alias("part")).unionByName(equal)
    else:
        parts = together.withColumnRenamed("npmi", "part")
    pairs = parts.groupBy("item_id", "neighbour_id").agg(F.sum("part").alias("similarity"))
    nearest = Window.partitionBy("item_id").orderBy(F.desc("similarity"), "neighbour_id")
    ranked = pairs.withColumn("rank", F.row_number().over(nearest)).where(F.col("rank") <= NEIGHBOURS)
    return ranked.select("item_id", "neighbour_id", F.least("similarity", F.lit(1.0)).alias("similarity"), "rank")


def _together(train: DataFrame, log: SchemaConfig) -> DataFrame:
    """item_id, neighbour_id and npmi in (0, 1] of pairs that at least LEAST_SESSIONS sessions (or entities, in a log
    without times) hold more often than chance would have it.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    key = SESSION if log.event_time is not None else ("entity_id",)
    held = train.where(F.col("item_id").isNotNull()).select(F.xxhash64(*key).alias("unit"), "item_id")
    drawn = Window.partitionBy("unit").orderBy(F.xxhash64("unit", "item_id"), "item_id")
    held = held.withColumn("place", F.dense_rank().over(drawn)).where(
        F.col("place") <= MOST_ITEMS
    )  # of items, not events
    lists = held.groupBy("unit").agg(F.collect_set("item_id").alias("held"))
    ones = lists.select(F.explode("held").alias("item_id"), "held")
    pairs = ones.select("item_id", F.explode("held").alias("neighbour_id")).where("item_id <> neighbour_id")
    both = pairs.groupBy("item_id", "neighbour_id").agg(F.count(F.lit(1)).alias("both"))
    both = both.where(F.col("both") >= LEAST_SESSIONS)
    count = ones.groupBy("item_id").agg(F.count(F.lit(1)).alias("num"))
    other = count.select(F.col("item_id").alias("neighbour_id"), F.col("num").alias("other"))
    total = lists.agg(F.count(F.lit(1)).alias("total"))
    found = both.join(count, "item_id").join(other, "neighbour_id").crossJoin(F.broadcast(total))
    information = F.log(F.col("both") * F.col("total") / (F.col("num") * F.col("other")))
    most = -F.log(F.col("both") / F.col("total"))  # 0 where all sessions hold both
    npmi = F.when(most > 0, information / most).otherwise(F.lit(0.0))
    return found.select("item_id", "neighbour_id", npmi.alias("npmi")).where("npmi > 0")


def alike(asked: DataFrame, table: DataFrame, popular: DataFrame, features: list[str], key: str) -> DataFrame:
    """`key`, neighbour_id and the share of equal attributes of rows that have the first attribute in common; of its
    values the MOST_ALIKE rows of `table` with the highest `count` are neighbours.

    Args:
        asked: rows of `table` (one row per key) whose neighbours are wanted.
        popular: `key` and `count` of the rows that may be neighbours.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    known = F.col(features[0]).isNotNull()
    first = Window.partitionBy(features[0]).orderBy(F.desc("count"), key)
    ranked = table.where(known).select(key, *features).join(popular, key)
    heads = ranked.withColumn("place", F.row_number().over(first)).where(F.col("place") <= MOST_ALIKE)
    others = heads.select(F.col(key).alias("neighbour_id"), *[F.col(name).alias(f"other_{name}") for name in features])
    wanted = asked.where(known).select(key, *features)
    pairs = wanted.join(others, F.col(features[0]) == F.col(f"other_{features[0]}")).where(f"{key} <> neighbour_id")
    equal = F.lit(0)
    for name in features:
        equal = equal + F.coalesce((F.col(name) == F.col(f"other_{name}")).cast("int"), F.lit(0))
    return pairs.select(key, "neighbour_id", (equal / F.lit(len(features))).alias("alike"))

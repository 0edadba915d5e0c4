"""Columns that another one implies: the codec leaves them out, here they come back from real/train (law 5)."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def values_by_key(train: DataFrame, name: str, key: str, *, min_users: int = 1) -> DataFrame:
    """One row per key that has a value: `key`, `name`. Requires that `name` is a function of `key` in `train`.

    Values of fewer than `min_users` entities are left out. One shuffle by key, and one by value where that is asked.
    """
    known = train.where(F.col(key).isNotNull() & F.col(name).isNotNull())
    values = known.groupBy(key).agg(F.min(name).alias(name))
    if min_users == 1:
        return values
    backed = known.groupBy(name).agg(F.count_distinct("entity_id").alias("_users")).where(F.col("_users") >= min_users)
    return values.join(backed.select(name), name, "left_semi").select(key, name)


def with_value(events: DataFrame, values: DataFrame, key: str) -> DataFrame:
    """Adds the column of `values` (one row per key); every row stays once. One join by key."""
    return events.join(values, key, "left")

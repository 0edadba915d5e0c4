"""Texts that few real users wrote must not come back, not even put together anew from pieces that many share."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clickweave.frames.draws import unit_draw

INSTEAD = 256  # frequent values, at most, that replace such texts
_PRIVATE = "_private"


def private_texts(real: DataFrame, name: str, *, min_users: int) -> DataFrame:
    """One row per text of fewer than `min_users` entities, as `_same`: texts that differ in case and white space alone
    are one. One shuffle by text.

    Args:
        real: one row per event (or user), `name` and entity_id.
    """
    known = real.where(F.col(name).isNotNull()).select(same_text(F.col(name)).alias("_same"), "entity_id")
    counted = known.groupBy("_same").agg(F.count_distinct("entity_id").alias("_users"))
    return counted.where(F.col("_users") < min_users).select("_same")


def marked_private(rows: DataFrame, private: DataFrame, name: str) -> DataFrame:
    """Rows with `_private`: whether their text is one of these. Every row stays once; one join by text."""
    marks = private.withColumn(_PRIVATE, F.lit(True))
    joined = rows.withColumn("_same", same_text(F.col(name))).join(marks, "_same", "left").drop("_same")
    return joined.withColumn(_PRIVATE, F.coalesce(_PRIVATE, F.lit(False)))


def num_private(marked: DataFrame) -> int:
    """How many rows are marked; one job."""
    return marked.where(_PRIVATE).count()


def replaced_private(marked: DataFrame, name: str, frequent: tuple[str, ...], *key: str, seed: int) -> DataFrame:
    """Rows whose marked texts are values of many users, drawn by the hash of `key`; null where there are none. Narrow.

    Args:
        frequent: the most frequent values of the column, of which INSTEAD count.
    """
    value = F.lit(None).cast("string")
    if frequent:
        values = F.array(*[F.lit(text) for text in frequent[:INSTEAD]])
        place = F.floor(unit_draw(*key, salt=f"text {name}", seed=seed) * F.size(values)).cast("int")
        value = F.get(values, place)
    return marked.withColumn(name, F.when(F.col(_PRIVATE), value).otherwise(F.col(name))).drop(_PRIVATE)


def same_text(value: Column) -> Column:
    """What texts that differ in case and white space alone have in common."""
    return F.lower(F.trim(F.regexp_replace(value, r"(?U)\s+", " ")))

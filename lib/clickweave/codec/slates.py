"""Slates in histories: which events belong together, and what the slates of a log keep to."""

from pyspark.sql import Column, DataFrame, WindowSpec
from pyspark.sql import functions as F

from clickweave.codec.spec import GAP, SAME_SLATE, Slates
from clickweave.config.log import SchemaConfig

NO_LIMIT_US = 1 << 62  # where an event of a slate came after a long gap


def same_slate(ordered: WindowSpec) -> Column:
    """1 where an event has the slate of the event before it, else 0; null where it has none."""
    same = F.col("slate_id") == F.lag("slate_id").over(ordered)
    return F.when(F.col("slate_id").isNotNull(), F.coalesce(same, F.lit(False)).cast("bigint"))


def fit_slates(inputs: DataFrame, log: SchemaConfig) -> Slates | None:
    """What the slates of a log keep to; None where it has none. One aggregate and one shuffle by slate.

    Args:
        inputs: rows of `history_inputs`.
    """
    if not log.has_slates:
        return None
    inside = inputs.where(F.col(SAME_SLATE) == 1)
    longest = inside.agg(F.max(F.coalesce(F.col(GAP), F.lit(NO_LIMIT_US)))).collect()[0][0]
    always = F.lit(True)
    laws = {
        "items_once": _once("item_id") if log.item is not None else always,
        "positions_once": _once("position") if log.position is not None else always,
        "one_query": _one_value("query") if log.query is not None else always,
    }
    slates = inputs.where(F.col("slate_id").isNotNull()).groupBy("entity_id", "slate_id")
    held = slates.agg(F.count(F.lit(1)).alias("num"), *[law.alias(name) for name, law in laws.items()])
    kept = [F.coalesce(F.bool_and(name), always).alias(name) for name in laws]
    row = held.agg(F.coalesce(F.max("num"), F.lit(0)).alias("most"), *kept).collect()[0]
    return Slates(longest_gap_us=longest or 0, most_events=row["most"], **{name: row[name] for name in laws})


def _once(name: str) -> Column:
    return F.count(name) == F.count_distinct(name)


def _one_value(name: str) -> Column:
    return (F.count_distinct(name) <= 1) & F.count(name).isin(F.lit(0), F.count(F.lit(1)))

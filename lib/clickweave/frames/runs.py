"""Runs of items: what may be somebody's own sequence. The report counts copies of them, align drops them."""

from pyspark.sql import Column, Window
from pyspark.sql import functions as F

RUN_LENGTH = 5  # items in a row that count as somebody's sequence


def last_items(time: str, *group: str) -> list[Column]:
    """The last RUN_LENGTH items of an entity up to each event, the first of them first; null where there are fewer.

    Events without an item are passed over. Items of the same microsecond stand in the order of their ids, so that a
    copy reads the same as its original. One sort by entity and time.
    """
    order = Window.partitionBy(*group, "entity_id", F.col("item_id").isNull()).orderBy(time, "item_id")
    return [F.lag("item_id", step).over(order) for step in range(RUN_LENGTH - 1, -1, -1)]

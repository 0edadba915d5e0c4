"""Groups of rows (of one label, say) in parts of about GROUP_ROWS, so that a giant group does not go to one task."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

GROUP_ROWS = 10_000  # sorted in memory in well under a second, and enough to find a neighbour in
MOST_GROUPS = 64  # giant groups that are known by size; any other holds at most 1 / 64 of the rows


def fit_giants(rows: DataFrame, *group: str) -> dict[int, int]:
    """Hash of a group -> its rows, for the MOST_GROUPS largest with more than GROUP_ROWS.

    One shuffle of counts by group.
    """
    from pyspark.sql import functions as F

    counts = rows.groupBy(*group).agg(F.count(F.lit(1)).alias("_rows"))
    giants = counts.where(F.col("_rows") > GROUP_ROWS).select(F.xxhash64(*group).alias("_group"), "_rows")
    largest = giants.orderBy(F.desc("_rows"), "_group").limit(MOST_GROUPS).collect()
    return {row["_group"]: row["_rows"] for row in largest}


def parts_of(giants: dict[int, int], *group: str) -> Column:
    """In how many parts the row's group is cut: 1 where it is no giant. Narrow."""
    from pyspark.sql import functions as F

    if not giants:
        return F.lit(1)
    known = {number: -(-rows // GROUP_ROWS) for number, rows in giants.items()}
    parts = F.create_map(*[F.lit(number).cast("bigint") for pair in known.items() for number in pair])
    return F.coalesce(F.try_element_at(parts, F.xxhash64(*group)), F.lit(1).cast("bigint"))

"""Putting row sources together, and proving that real rows came through as they were."""

from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.frames.quality import comparable


def join_sources(sources: list[DataFrame], columns: tuple[str, ...]) -> DataFrame:
    """All rows of all sources, in canonical columns. Narrow: nothing is shuffled."""
    return reduce(DataFrame.unionByName, [source.select(*columns) for source in sources])


def content_hash(rows: DataFrame) -> dict[str, int]:
    """Count and order-free hash of row_id and `source`; one aggregate.

    The exclusive or of hashes finds a changed row; the sum of their low halves finds two equal changes.
    """
    hashed = F.xxhash64("row_id", comparable(rows.schema["source"].dataType))
    found = rows.agg(
        F.count(F.lit(1)).alias("rows"),
        F.bit_xor(hashed).alias("xor"),
        F.sum(F.pmod(hashed, F.lit(1 << 31)).cast("decimal(38,0)")).alias("sum"),
    ).collect()[0]
    return {"rows": found["rows"], "xor": found["xor"] or 0, "sum": int(found["sum"] or 0)}

"""Row identity: which rows are equal, and a key for each row."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructType


def number_equal_rows(events: DataFrame) -> DataFrame:
    """Adds `row_id` (int64 hash of content and number among equal rows) and `is_duplicate`; one shuffle by hash.

    Requires `source`. Two different rows whose hashes collide get different numbers, so row_id stays a key for
    them, and neither counts as a duplicate.
    """
    same = comparable(events.schema["source"].dataType)
    content = F.xxhash64(same)
    bucket = Window.partitionBy("_content").orderBy(same)
    numbered = events.withColumn("_content", content).withColumn("_number", F.row_number().over(bucket))
    repeated = F.lag(same).over(bucket).eqNullSafe(same) & (F.col("_number") > 1)
    keyed = numbered.withColumn("is_duplicate", repeated).withColumn("row_id", F.xxhash64("_content", "_number"))
    return keyed.drop("_content", "_number")


def content_totals(*columns: Column | str) -> tuple[Column, Column, Column]:
    """Aggregates `rows`, `xor` and `sum`: a count and an order-free hash of the columns (see `comparable`).

    The exclusive or of hashes finds a changed row; the sum of their low halves finds two equal changes.
    """
    hashed = F.xxhash64(*columns)
    low = F.pmod(hashed, F.lit(1 << 31)).cast("decimal(38,0)")
    return F.count(F.lit(1)).alias("rows"), F.bit_xor(hashed).alias("xor"), F.sum(low).alias("sum")


def comparable(source_type: DataType) -> Column:
    """`source` in a form that Spark can hash, order and compare: columns with maps, which it cannot, as JSON text."""
    if not isinstance(source_type, StructType) or "map<" not in source_type.simpleString():
        return F.col("source")
    fields = []
    for field in source_type.fields:
        value = F.col("source").getField(field.name)
        if "map<" in field.dataType.simpleString():
            value = F.to_json(F.struct(value), {"ignoreNullFields": "false"})
        fields.append(value.alias(field.name))
    return F.struct(*fields)


def entity_of_row() -> Column:
    """The entity of a row: its user, else its mapped session, else the row itself."""
    session = F.concat(F.lit("session-"), F.col("session_id"))
    row = F.concat(F.lit("row-"), F.hex("row_id"))
    return F.coalesce(F.col("user_id"), session, row)

"""Row identity: which rows are equal, and a key for each row."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F


def number_equal_rows(events: DataFrame) -> DataFrame:
    """Adds `row_id` (int64 hash of content and number among equal rows) and `is_duplicate`; one shuffle by hash.

    Requires `source`. Two different rows whose hashes collide get different numbers, so row_id stays a key for
    them, and neither counts as a duplicate.
    """
    content = F.xxhash64("source")
    bucket = Window.partitionBy("_content").orderBy("source")
    numbered = events.withColumn("_content", content).withColumn("_number", F.row_number().over(bucket))
    repeated = F.lag("source").over(bucket).eqNullSafe(F.col("source")) & (F.col("_number") > 1)
    keyed = numbered.withColumn("is_duplicate", repeated).withColumn("row_id", F.xxhash64("_content", "_number"))
    return keyed.drop("_content", "_number")


def entity_of_row() -> Column:
    """The entity of a row: its user, else its mapped session, else the row itself."""
    session = F.concat(F.lit("session-"), F.col("session_id"))
    row = F.concat(F.lit("row-"), F.hex("row_id"))
    return F.coalesce(F.col("user_id"), session, row)

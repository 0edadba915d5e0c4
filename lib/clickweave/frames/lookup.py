"""Constant tables of numbers that rows look up by place.

They are scalar subqueries over a local relation of one row, read without a job. As literals they would stand in full
wherever they are used in each plan that Spark tells, and it tells one for every frame that is cached, with those of the
cached frames it is made of: some thousand numbers then make hundreds of megabytes of text.
"""

from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import Column, SparkSession


def number_table(spark: SparkSession, numbers: Sequence[float] | Sequence[int]) -> Column:
    """An array of doubles, or of bigints where all numbers are ints. Rows look up by `F.get` in a column of their own
    that holds it: no function over arrays (`transform`, `aggregate`) may see a subquery.
    """
    return spark.createDataFrame(pa.table({"numbers": pa.array([list(numbers)])})).scalar()

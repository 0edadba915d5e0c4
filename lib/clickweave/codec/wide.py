"""Columns with very many values: their values become codes by a join, since a list of them does not fit every task."""

from dataclasses import replace

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from clickweave.codec.digits import num_digits
from clickweave.codec.spec import FIRST_VALUE, NULL_CODE, RARE_CODE, VALUES, CodecSpec, ColumnSpec
from clickweave.config.stages import EncodeConfig


def with_cold_items(spec: CodecSpec, items: DataFrame, *, max_values: int) -> CodecSpec:
    """The spec with the catalogue's items that have no events as further kept values of count 0, in order of id, while
    `max_values` allows; one anti-join by item.
    """

    def grown(column: ColumnSpec) -> ColumnSpec:
        room = max_values - len(column.values)
        if column.name != "item_id" or column.num_rare or room <= 0:
            return column
        known = code_table(items.sparkSession, column).withColumnRenamed("_value", "item_id")
        cold = items.select("item_id").join(known, "item_id", "left_anti").orderBy("item_id").limit(room).toArrow()
        added = cold.column("item_id").to_pylist()
        return replace(column, values=(*column.values, *added), counts=(*column.counts, *[0] * len(added)))

    return replace(spec, columns=tuple(grown(column) for column in spec.columns))


def with_digits(spec: CodecSpec, config: EncodeConfig) -> CodecSpec:
    """The spec with the number of digits of each column; rare codes decode to one of the most frequent values.

    Parts of columns have few values and no digits.
    """
    parts = {name for each in spec.parts for name in each.columns}

    def counted(column: ColumnSpec) -> ColumnSpec:
        if column.kind != VALUES or column.name in parts:
            return column
        seen = sum(count > 0 for count in column.counts[: config.direct_ids])
        digits = num_digits(len(column.values), config.direct_ids)
        return replace(column, num_digits=digits, rare_pool=tuple(range(seen)))

    return replace(spec, columns=tuple(counted(column) for column in spec.columns))


def code_table(spark: SparkSession, column: ColumnSpec) -> DataFrame:
    """One row per kept value: `_value` (text) and `_code`."""
    codes = pa.array(range(FIRST_VALUE, column.num_codes), pa.int32())
    return spark.createDataFrame(pa.table({"_value": pa.array(column.values, pa.string()), "_code": codes}))


def with_codes(rows: DataFrame, column: ColumnSpec) -> DataFrame:
    """Adds `code_<name>` (int, never null); every row stays once. One join by value."""
    table = code_table(rows.sparkSession, column)
    value = F.col(column.name).cast("string")
    joined = rows.join(table, value == F.col("_value"), "left")
    code = F.when(value.isNull(), NULL_CODE).otherwise(F.coalesce("_code", F.lit(RARE_CODE))).cast("int")
    return joined.withColumn(f"code_{column.name}", code).drop("_value", "_code")


def with_wide_codes(rows: DataFrame, spec: CodecSpec) -> DataFrame:
    """Adds the codes of the columns that have digits."""
    for column in spec.columns:
        if column.num_digits:
            rows = with_codes(rows, column)
    return rows


def without_wide_values(spec: CodecSpec) -> CodecSpec:
    """The spec as tasks need it where the codes of wide columns are already there."""
    return replace(spec, columns=tuple(replace(c, values=(), counts=()) if c.num_digits else c for c in spec.columns))

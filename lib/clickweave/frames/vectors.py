"""Features that are vectors: arrays of finite numbers, all of one length."""

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clickweave.config.log import FeatureSpec


def fit_lengths(rows: DataFrame, features: Mapping[str, FeatureSpec], *, inside: str = "") -> dict[str, int]:
    """Feature -> the most frequent length of its arrays, the least of equally frequent ones; features whose arrays are
    all null or empty have none. One aggregate over the rows, none without vectors.

    Args:
        inside: the struct column that holds the raw columns; empty where they are columns of `rows`.
    """
    vectors = {name: spec.column or name for name, spec in features.items() if spec.kind == "vector"}
    if not vectors:
        return {}
    sizes = []
    for name, column in vectors.items():
        size = F.size(F.col(inside).getField(column) if inside else F.col(f"`{column}`"))
        sizes.append(F.mode(F.when(size > 0, size), True).alias(name))
    row = rows.agg(*sizes).collect()[0]
    return {name: row[name] for name in vectors if row[name] is not None}


def vector_value(raw: Column, length: int | None) -> Column:
    """An array of doubles; null where one of its numbers is null or not finite, or it has another length."""
    value = raw.try_cast("array<double>")
    bad = F.exists(value, lambda number: number.isNull() | F.isnan(number) | (F.abs(number) == F.lit(float("inf"))))
    good = ~bad if length is None else ~bad & (F.size(value) == length)
    return F.when(good, value)

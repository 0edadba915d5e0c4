"""Side tables: one row per item or user with its normalised attributes, read or derived from real/train."""

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from clickweave.config.log import FeatureSpec, SchemaConfig
from clickweave.contracts.tables import feature_column
from clickweave.frames.normalise import feature_value
from clickweave.frames.source_rows import raw_feature


@dataclass(frozen=True)
class Side:
    """A side table: `items` or `users`, its canonical key, the log's key column and its attributes."""

    name: str
    key: str
    raw_key: str | None
    features: dict[str, FeatureSpec]

    def __hash__(self) -> int:
        return hash(self.name)

    def column(self, feature: str) -> str:
        """Name of an attribute when it is joined to events; event features have other names."""
        return f"{self.name}_{feature_column(feature)}"


def sides(log: SchemaConfig) -> tuple[Side, Side]:
    """The two side tables of a log."""
    items = Side("items", "item_id", log.item, log.item_features)
    return items, Side("users", "user_id", log.user, log.user_features)


def from_side_table(raw: DataFrame, raw_key: str, side: Side, lengths: Mapping[str, int] | None = None) -> DataFrame:
    """The text key and one `feature_<x>` per attribute; rows without a key are left out. Narrow.

    Args:
        lengths: of the vectors among the attributes (frames/vectors.py); others are null.
    """
    known = lengths or {}
    attributes = [
        feature_value(F.col(f"`{spec.column or name}`"), spec, known.get(name)).alias(feature_column(name))
        for name, spec in side.features.items()
    ]
    return raw.select(F.col(f"`{raw_key}`").cast("string").alias(side.key), *attributes).where(
        F.col(side.key).isNotNull()
    )


def from_events(events: DataFrame, side: Side, lengths: Mapping[str, int] | None = None) -> DataFrame:
    """One row per key found in the events; an attribute is its most frequent value there, ties by value.

    Attributes are read from `source`. One shuffle by key for the keys and one for each attribute.

    Args:
        lengths: of the vectors among the attributes (frames/vectors.py); others are null.
    """
    known = lengths or {}
    keyed = events.where(F.col(side.key).isNotNull())
    table = keyed.select(side.key).distinct()
    for name, spec in side.features.items():
        value = feature_value(F.col("source").getField(spec.column or name), spec, known.get(name)).alias("value")
        counted = keyed.select(side.key, value).where(F.col("value").isNotNull()).groupBy(side.key, "value").count()
        best = Window.partitionBy(side.key).orderBy(F.desc("count"), "value")
        top = counted.withColumn("_place", F.row_number().over(best)).where("_place = 1")
        table = table.join(top.select(side.key, F.col("value").alias(feature_column(name))), side.key, "left")
    return table


def join_attributes(events: DataFrame, table: DataFrame, side: Side) -> DataFrame:
    """Adds the attributes of `table` (one row per key) as `Side.column(...)`; every row stays once."""
    named = [F.col(feature_column(name)).alias(side.column(name)) for name in side.features]
    return events.join(table.select(side.key, *named), side.key, "left")


def raw_attributes(side: Side, raw_type: StructType) -> dict[str, Column]:
    """Raw column -> joined attribute in the log's unit, for the attributes that the raw log itself carries."""
    values = {}
    for name, spec in side.features.items():
        column = spec.column or name
        if column in raw_type.fieldNames():
            values[column] = raw_feature(F.col(side.column(name)), spec, raw_type[column].dataType)
    return values

"""From canonical rows back to rows in the raw log's own columns, units and types (law 2).

`source` of a real row is the row as it was read. For rows that we made it is rebuilt here: columns with a role from
the canonical values, attributes by join, columns without a role from the parent's `source` (augmented) or null.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, StructType

from clickweave.config.log import EventTypes, FeatureSpec, LabelColumns, SchemaConfig, Threshold, TimeFormat
from clickweave.contracts.tables import feature_column

_WHOLE = ("integer", "long", "short", "byte")
_UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}
_WHOLE_UNITS = {"s": F.unix_seconds, "ms": F.unix_millis, "us": F.unix_micros}  # rounded down


def with_source(
    rows: DataFrame, log: SchemaConfig, source_type: StructType, *, attributes: dict[str, Column]
) -> DataFrame:
    """Rebuilds `source` on rows in canonical columns; if the frame has one (the parent's), it is the base. Narrow.

    Args:
        rows: canonical columns without or with `source`.
        source_type: the raw log's columns, order and types.
        attributes: raw column -> its value, for item and user features that the log itself carries.
    """
    values = source_values(log, source_type) | attributes
    has_parent = "source" in rows.columns
    fields = []
    for field in source_type.fields:
        if field.name in values:
            value = _as_type(values[field.name], field.dataType)
        elif has_parent:
            value = F.col("source").getField(field.name)
        else:
            value = F.lit(None).cast(field.dataType)
        fields.append(value.alias(field.name))
    return rows.withColumn("source", F.struct(*fields))


def with_lean_source(rows: DataFrame, log: SchemaConfig, source_type: StructType) -> DataFrame:
    """Rows whose `source` is null wherever `with_source` tells the value anew, so that operators neither read nor
    shuffle it; its type stays. Narrow.
    """
    told = source_values(log, source_type)
    fields = [
        (F.lit(None).cast(field.dataType) if field.name in told else F.col("source").getField(field.name)).alias(
            field.name
        )
        for field in source_type.fields
    ]
    return rows.withColumn("source", F.struct(*fields))


def source_values(log: SchemaConfig, source_type: StructType) -> dict[str, Column]:
    """Raw column -> expression over canonical columns, for every column of the log that has a role in the event."""
    keys = {"user_id": log.user, "session_id": log.session, "item_id": log.item, "slate_id": log.slate}
    keys |= {"query": log.query, "position": log.position, "propensity": log.propensity}
    values = {column: F.col(name) for name, column in keys.items() if column is not None}
    for name, spec in log.event_features.items():
        column = spec.column or name
        values[column] = raw_feature(F.col(feature_column(name)), spec, source_type[column].dataType)
    values |= _label_values(log)
    if log.event_time is not None:
        raw_type = source_type[log.event_time.column].dataType
        values[log.event_time.column] = _raw_time(F.col("event_time"), log.event_time, raw_type)
    return values


def label_from_thresholds(log: SchemaConfig) -> Column:
    """The funnel level that the carried threshold columns imply; requires that every label is a threshold."""
    level = F.lit(0)
    for number, threshold in log.thresholds.items():
        reached = F.col(threshold_feature(log, threshold)) >= F.lit(threshold.at_least)
        level = F.when(reached, F.lit(number)).otherwise(level)
    return level.cast("bigint")


def threshold_feature(log: SchemaConfig, threshold: Threshold) -> str:
    """The canonical column that carries the raw column of a threshold label."""
    for name, spec in log.event_features.items():
        if (spec.column or name) == threshold.column:
            return feature_column(name)
    raise AssertionError(f"{threshold.column} is not carried")


def raw_feature(value: Column, spec: FeatureSpec, raw_type: DataType) -> Column:
    """A canonical feature in the unit, and for times the format, of its raw column."""
    if spec.kind == "time":
        return _raw_time(value, spec, raw_type)
    return value / F.lit(spec.scale) if spec.kind == "numeric" and spec.scale != 1.0 else value


def _label_values(log: SchemaConfig) -> dict[str, Column]:
    match log.labels:
        case EventTypes(column=column, order=order):
            name = F.try_element_at(F.array(*[F.lit(o) for o in order]), F.nullif(F.col("label"), F.lit(0)).cast("int"))
            return {column: name}
        case LabelColumns(columns=columns):
            plain = {c: F.col("label") >= number for number, c in enumerate(columns, start=1) if isinstance(c, str)}
            return {column: reached.cast("int") for column, reached in plain.items()}
    return {}


def _raw_time(time: Column, spec: TimeFormat, raw_type: DataType) -> Column:
    if spec.unit is not None:
        micros = F.unix_micros(time)
        whole = _WHOLE_UNITS[spec.unit](time)
        per_unit = F.lit(1_000_000 // _UNITS_PER_SECOND[spec.unit])
        exact = micros.cast("decimal(28,6)") / per_unit
        if raw_type.typeName() in _WHOLE:
            return whole
        if raw_type.typeName() == "string":  # 1700000000, or 1700000000.25 without trailing zeros
            return F.when(F.pmod(micros, per_unit) == 0, whole.cast("string")).otherwise(
                F.rtrim(exact.cast("string"), F.lit("0"))
            )
        return exact
    if spec.format is not None:
        return F.date_format(time, spec.format)
    return time


def _rounded(number: Column) -> Column:
    return F.round(number)


def _as_type(value: Column, kind: DataType) -> Column:
    """A cast that cannot fail: through double for whole numbers that stand as text such as `1.0`."""
    if kind.typeName() == "boolean":
        return value.cast("boolean")
    if kind.typeName() in _WHOLE:
        return F.coalesce(value.try_cast(kind), F.round(value.try_cast("double")).try_cast(kind))
    if isinstance(kind, ArrayType):
        kind = ArrayType(kind.elementType)  # to one that promises no nulls nothing that may have some can be cast
        if kind.elementType.typeName() in _WHOLE:
            value = F.transform(value.try_cast("array<double>"), _rounded)
    return value.try_cast(kind)

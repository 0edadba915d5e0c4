"""Is the raw log what the recipe says? Columns before any row is read, rows in one pass."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, NumericType, StructType

from clickweave.config.log import FeatureSpec, LabelColumns, SchemaConfig, Threshold, TimeFormat
from clickweave.errors import ContractError
from clickweave.frames.align.keys import id_space
from clickweave.frames.catalogue import Side, sides


def check_columns(source_type: StructType, log: SchemaConfig, where: str, *, given: set[str]) -> None:
    """Every column that the schema section names must be in the log; attributes only where no side table is `given`.

    Raises:
        ContractError: with the column, its role, and what there is.
    """
    roles = {"user": log.user, "item": log.item, "session": log.session, "slate": log.slate, "query": log.query}
    roles |= {"position": log.position, "propensity": log.propensity}
    if log.event_time is not None:
        roles["event_time"] = log.event_time.column
    if isinstance(log.labels, LabelColumns):
        for name, label in zip(log.labels.names, log.labels.columns, strict=True):
            roles[f"labels.{name}"] = label.column if isinstance(label, Threshold) else label
    elif log.labels is not None:
        roles["labels.column"] = log.labels.column
    for role, column in roles.items():
        if column is not None:
            _check_column(source_type, column, f"schema.{role}", where)
            _check_plain(source_type, column, f"schema.{role}")
    for name, spec in log.features.items():
        column = spec.column or name
        _check_column(source_type, column, f"schema.features.{name}", where)
        if spec.kind != "vector":
            _check_plain(source_type, column, f"schema.features.{name}")
        _check_kind(source_type, column, spec, f"schema.features.{name}")
    _check_types(source_type, log)
    for side in sides(log):
        if side.name not in given:
            _check_attributes(source_type, side, where)


def _check_types(source_type: StructType, log: SchemaConfig) -> None:
    """Types that later stages could not handle: ids without room for new ones, times and numbers of another kind."""
    for role, column in (("user", log.user), ("session", log.session)):
        if column is not None:
            try:
                id_space(source_type[column].dataType)
            except ContractError as error:
                raise ContractError(f"ingest: column {column!r} (schema.{role}): {error}") from None
    if log.event_time is not None:
        _check_time(source_type, log.event_time.column, log.event_time, "schema.event_time")
    numbers = {"schema.position": log.position, "schema.propensity": log.propensity}
    numbers |= {f"schema.labels.{level}": threshold.column for level, threshold in log.thresholds.items()}
    for role, column in numbers.items():
        if column is not None:
            _check_number(source_type, column, role)


def check_side_table(table_type: StructType, key: str, side: Side, where: str) -> None:
    """A side table must have its key and every attribute that the recipe names.

    Raises:
        ContractError: with the column, its role, and what there is.
    """
    _check_column(table_type, key, f"source.{side.name}.key", where)
    _check_attributes(table_type, side, where)


def check_unique(table: DataFrame, key: str, role: str) -> None:
    """One row per key in a side table; one shuffle by key.

    Raises:
        ContractError: a key stands more than once.
    """
    repeated = table.groupBy(key).count().where("count > 1").orderBy(F.desc("count"), key).first()
    if repeated is not None:
        raise ContractError(
            f"ingest: {role} has {repeated['count']} rows for {key} {repeated[key]!r}; keep one per {key}"
        )


def mark_unknown(events: DataFrame, known: DataFrame, key: str, role: str) -> DataFrame:
    """Adds a reason to rows whose key is not null and not in `known`, which has one row per `key`.

    Keeps every row. One join by key.
    """
    marked = events.join(known.select(key, F.lit(True).alias("_known")), key, "left")
    unknown = F.col(key).isNotNull() & F.col("_known").isNull()
    reason = F.when(unknown, F.array(F.lit(f"{key} is not in {role}"))).otherwise(F.array().cast("array<string>"))
    return marked.withColumn("reasons", F.concat("reasons", reason)).drop("_known")


def _check_attributes(table_type: StructType, side: Side, where: str) -> None:
    for name, spec in side.features.items():
        column, role = spec.column or name, f"schema.{side.name.removesuffix('s')}_features.{name}"
        _check_column(table_type, column, role, where)
        _check_kind(table_type, column, spec, role)


def _check_kind(table_type: StructType, column: str, spec: FeatureSpec, role: str) -> None:
    kind = table_type[column].dataType
    if spec.kind == "time":
        _check_time(table_type, column, spec, role)
    if spec.kind == "numeric":
        _check_number(table_type, column, role)
    if spec.kind == "vector" and not (isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType)):
        raise ContractError(
            f"ingest: column {column!r} ({role}) is {kind.simpleString()[:80]}; a vector is an array of numbers"
        )


def _check_time(table_type: StructType, column: str, spec: TimeFormat, role: str) -> None:
    kind = table_type[column].dataType.typeName()
    is_time = kind in ("timestamp", "date", "timestamp_ntz")
    if is_time and (spec.unit or spec.format):
        raise ContractError(f"ingest: column {column!r} ({role}) is {kind}; leave out its unit and format")
    if not is_time and kind != "string" and spec.unit is None:
        raise ContractError(f"ingest: column {column!r} ({role}) is {kind}; set {role}.unit to s, ms or us")


def _check_number(table_type: StructType, column: str, role: str) -> None:
    kind = table_type[column].dataType.typeName()
    if kind in ("timestamp", "date", "timestamp_ntz", "binary", "array", "map", "struct", "variant"):
        raise ContractError(f"ingest: column {column!r} is {kind}, not a number; map another one under {role}")


def _check_plain(table_type: StructType, column: str, role: str) -> None:
    kind = table_type[column].dataType
    if kind.typeName() in ("array", "map", "struct", "variant"):
        raise ContractError(
            f"ingest: column {column!r} is {kind.simpleString()[:80]}, not one value; leave it without a role ({role})"
        )


def _check_column(table_type: StructType, column: str, role: str, where: str) -> None:
    names = table_type.fieldNames()
    if column not in names:
        raise ContractError(f"ingest: column {column!r} missing in {where}; has {names}; map it under {role}")

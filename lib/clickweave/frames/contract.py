"""Is the raw log what the recipe says? Columns before any row is read, rows in one pass."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from clickweave.config.log import LabelColumns, SchemaConfig, Threshold
from clickweave.errors import ContractError
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
    roles |= {f"features.{name}": spec.column or name for name, spec in log.features.items()}
    for role, column in roles.items():
        if column is not None:
            _check_column(source_type, column, f"schema.{role}", where)
    for side in sides(log):
        for name, spec in side.features.items():
            if side.name not in given:
                _check_column(
                    source_type, spec.column or name, f"schema.{side.name.removesuffix('s')}_features.{name}", where
                )
    if log.event_time is not None and log.event_time.unit is None and log.event_time.format is None:
        kind = source_type[log.event_time.column].dataType.typeName()
        if kind not in ("timestamp", "date", "timestamp_ntz", "string"):
            column = log.event_time.column
            raise ContractError(
                f"ingest: event_time column {column!r} is {kind}; set schema.event_time.unit to s, ms or us"
            )


def check_side_table(table_type: StructType, key: str, side: Side, where: str) -> None:
    """A side table must have its key and every attribute that the recipe names.

    Raises:
        ContractError: with the column, its role, and what there is.
    """
    _check_column(table_type, key, f"source.{side.name}.key", where)
    for name, spec in side.features.items():
        _check_column(table_type, spec.column or name, f"schema.{side.name.removesuffix('s')}_features.{name}", where)


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


def _check_column(table_type: StructType, column: str, role: str, where: str) -> None:
    names = table_type.fieldNames()
    if column not in names:
        raise ContractError(f"ingest: column {column!r} missing in {where}; has {names}; map it under {role}")

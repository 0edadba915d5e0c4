"""Generated rows as events: keys, new ids, time inside the window, sessions and the label."""

from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import GENERATED, KEY_COLUMNS, feature_column
from clickweave.frames.align.keys import IdSpace, id_space
from clickweave.frames.draws import row_key
from clickweave.frames.sessions import cut_sessions
from clickweave.frames.source_rows import label_from_thresholds

ENTITY_CODE = "entity_code"


@dataclass(frozen=True)
class TimeWindow:
    """First and last event time of real/train, in microseconds since 1970; None without event_time."""

    first_us: int | None
    last_us: int | None


def fit_time_window(train: DataFrame) -> TimeWindow:
    """One aggregate over train."""
    row = train.agg(F.min(F.unix_micros("event_time")), F.max(F.unix_micros("event_time"))).collect()[0]
    return TimeWindow(row[0], row[1])


def entity_space(log: SchemaConfig, raw_type: StructType) -> IdSpace | None:
    """Where new entity ids live: by the raw type of the user (else session) column; None where rows are entities."""
    raw_key = log.user or log.session
    return None if raw_key is None else id_space(raw_type[raw_key].dataType)


def entity_table(
    spark: SparkSession, values: tuple[str, ...], first_code: int, space: IdSpace, run_id: str
) -> DataFrame:
    """One row per entity that the codec kept: `entity_code`, `real_id`, `new_id`. O(kept entities) on the driver."""
    coded = spark.createDataFrame(
        [(first_code + place, value) for place, value in enumerate(values)], f"{ENTITY_CODE} bigint, real_id string"
    )
    return coded.withColumn("new_id", space.new_id(run_id, F.col(ENTITY_CODE)))


def as_events(
    raw: DataFrame, entities: DataFrame | None, log: SchemaConfig, window: TimeWindow, run_id: str, op: str
) -> DataFrame:
    """Canonical key, label and provenance columns for raw synthetic rows; one row per row.

    Requires block, place, the decoded columns, and entity_code where `entities` is given. Every entity_code must be
    in `entities`. One join by entity.
    """
    rows = raw.withColumn("row_id", row_key("block", "place", salt=f"synthetic {run_id}"))
    if entities is None:
        rows = rows.withColumns({"user_id": F.lit(None).cast("string"), "session_id": F.lit(None).cast("string")})
        rows = rows.withColumn("entity_id", F.concat(F.lit("row-"), F.hex("row_id")))
    else:
        key = "user_id" if log.user is not None else "session_id"
        other = "session_id" if log.user is not None else "user_id"
        rows = rows.join(F.broadcast(entities.select(ENTITY_CODE, F.col("new_id").alias(key))), ENTITY_CODE, "left")
        rows = rows.withColumn(other, F.lit(None).cast("string"))
        rows = rows.withColumn("entity_id", F.col(key) if key == "user_id" else F.concat(F.lit("session-"), F.col(key)))
    rows = _in_window(rows, window)
    if log.labels is None:
        rows = rows.withColumn("label", F.lit(1).cast("bigint"))
    elif len(log.thresholds) == log.num_levels:
        rows = rows.withColumn("label", label_from_thresholds(log))
    provenance = {"origin": F.lit(GENERATED), "op": F.lit(op), "parent_id": F.lit(None).cast("bigint")}
    return rows.withColumns(provenance | {"weight": F.lit(1.0), "run_id": F.lit(run_id)})


def complete(rows: DataFrame, like: DataFrame) -> DataFrame:
    """Adds the canonical columns that the generator does not make, as nulls of the type they have in `like`."""
    names = (*KEY_COLUMNS, *[name for name in like.columns if name.startswith(feature_column(""))])
    missing = {name: F.lit(None).cast(like.schema[name].dataType) for name in names if name not in rows.columns}
    return rows.withColumns(missing)


def with_sessions(rows: DataFrame, log: SchemaConfig, raw_type: StructType, run_id: str) -> DataFrame:
    """Sessions of synthetic users, cut by the log's gap; where the log maps sessions they get ids of its type.

    One shuffle by entity; with mapped sessions also one sort of the session ids, which numbers them without gaps.
    """
    if log.user is None or log.event_time is None:
        return rows
    cut = cut_sessions(rows, gap_s=log.session_gap)
    if log.session is None:
        return cut
    space = id_space(raw_type[log.session].dataType)
    ids = cut.select("session_id").distinct()
    numbered = ids.withColumn("_number", F.row_number().over(Window.orderBy("session_id")))
    renamed = numbered.select("session_id", space.new_id(run_id, F.col("_number")).alias("_new"))
    return cut.join(renamed, "session_id").withColumn("session_id", F.col("_new")).drop("_new")


def _in_window(rows: DataFrame, window: TimeWindow) -> DataFrame:
    if window.first_us is None or window.last_us is None:
        return rows
    time_us = F.unix_micros("event_time")
    inside = F.least(F.greatest(time_us, F.lit(window.first_us)), F.lit(window.last_us))
    return rows.withColumn("event_time", F.timestamp_micros(inside))

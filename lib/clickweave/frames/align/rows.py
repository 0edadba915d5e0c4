"""Generated rows as events: keys, new ids, time inside the window, sessions and the label."""

from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import CONTINUED, DAY_US, GENERATED, KEY_COLUMNS, TARGETED, WHAT_IF, feature_column
from clickweave.frames.align.continued import CONTINUES
from clickweave.frames.align.keys import IdSpace, id_space, renamed
from clickweave.frames.draws import row_key
from clickweave.frames.sessions import cut_sessions
from clickweave.frames.source_rows import label_from_thresholds

ENTITY_CODE, ENTITY_PLACE = "entity_code", "entity_place"
NEW_ID = "_new_id"
TARGET = "target"  # of raw rows: number of the target that asked for the row; null for a plain sample's


@dataclass(frozen=True)
class TimeWindow:
    """First and last event time of real/train, in microseconds since 1970 (None without event_time), and the step
    that event times are multiples of.
    """

    first_us: int | None
    last_us: int | None
    step_us: int = 1


def fit_time_window(train: DataFrame, *, step_us: int = 1) -> TimeWindow:
    """One aggregate over train."""
    row = train.agg(F.min(F.unix_micros("event_time")), F.max(F.unix_micros("event_time"))).collect()[0]
    return TimeWindow(row[0], row[1], step_us)


@dataclass(frozen=True)
class EntityNumbers:
    """Generated entities are numbered block * per_block + place in the block, from 0."""

    per_block: int

    @property
    def number(self) -> Column:
        """The entity's number, an int64 over `block` and `entity_place`."""
        return F.col("block") * F.lit(self.per_block) + F.col(ENTITY_PLACE)


def fit_entity_numbers(raw: DataFrame) -> EntityNumbers:
    """One aggregate over the raw rows."""
    row = raw.agg(F.max(ENTITY_PLACE).alias("last")).collect()[0]
    return EntityNumbers((row["last"] or 0) + 1)


def entity_space(log: SchemaConfig, raw_type: StructType) -> IdSpace | None:
    """Where new entity ids live: by the raw type of the user (else session) column; None where rows are entities."""
    raw_key = log.user or log.session
    return None if raw_key is None else id_space(raw_type[raw_key].dataType)


def entity_table(
    spark: SparkSession, values: tuple[str, ...], first_code: int, space: IdSpace, run_id: str
) -> DataFrame:
    """One row per entity that the codec kept: `entity_code`, `real_id`, `new_id`. O(kept entities) on the driver."""
    codes = pa.array(range(first_code, first_code + len(values)), pa.int64())
    coded = spark.createDataFrame(pa.table({ENTITY_CODE: codes, "real_id": pa.array(values, pa.string())}))
    return coded.withColumn("new_id", space.new_id(run_id, F.col(ENTITY_CODE)))


def with_reenacted_ids(raw: DataFrame, entities: DataFrame) -> DataFrame:
    """Adds the new id of each row's entity code; every code must be in `entities`. One join by code."""
    ids = entities.select(ENTITY_CODE, F.col("new_id").alias(NEW_ID))
    return raw.join(ids, ENTITY_CODE, "left")


def with_new_ids(raw: DataFrame, numbers: EntityNumbers, space: IdSpace, run_id: str) -> DataFrame:
    """Adds the new id of each generated entity, hashed from run, block and place in the block, or the id of the real
    one whose history goes on. Narrow.
    """
    new_id = space.new_id(run_id, numbers.number)
    return raw.withColumn(NEW_ID, F.coalesce(CONTINUES, new_id) if CONTINUES in raw.columns else new_id)


def as_events(raw: DataFrame, log: SchemaConfig, run_id: str, op: str, *, what_if: tuple[int, ...] = ()) -> DataFrame:
    """Canonical key, label and provenance columns for raw synthetic rows; one row per row. Narrow.

    Requires block, place (with entity_place where rows are events of histories), the decoded columns, and the new ids
    except where each row is its own entity.

    Args:
        what_if: numbers of the targets that asked for items that do not exist.
    """
    places = [name for name in ("block", ENTITY_PLACE, "place") if name in raw.columns]
    rows = raw.withColumn("row_id", row_key(*places, salt=f"synthetic {run_id}"))
    nothing = F.lit(None).cast("string")
    if NEW_ID not in rows.columns:
        entity = F.concat(F.lit("row-"), F.hex("row_id"))
        rows = rows.withColumns({"user_id": nothing, "session_id": nothing, "entity_id": entity})
    elif log.user is not None:
        rows = rows.withColumns({"user_id": F.col(NEW_ID), "session_id": nothing, "entity_id": F.col(NEW_ID)})
    else:
        entity = F.concat(F.lit("session-"), NEW_ID)
        rows = rows.withColumns({"user_id": nothing, "session_id": F.col(NEW_ID), "entity_id": entity})
    if log.labels is None:
        rows = rows.withColumn("label", F.lit(1).cast("bigint"))
    elif len(log.thresholds) == log.num_levels:
        rows = rows.withColumn("label", label_from_thresholds(log))
    made_by = F.lit(op)
    if TARGET in rows.columns:
        made_by = F.concat(made_by, F.when(F.col(TARGET).isNull(), "").otherwise(F.concat(F.lit(TARGETED), TARGET)))
        made_by = F.concat(made_by, F.when(F.col(TARGET).isin(*what_if), WHAT_IF).otherwise(""))
    if CONTINUES in rows.columns:
        made_by = F.concat(made_by, F.when(F.col(CONTINUES).isNull(), "").otherwise(CONTINUED))
    provenance = {"origin": F.lit(GENERATED), "op": made_by, "parent_id": F.lit(None).cast("bigint")}
    return rows.withColumns(provenance | {"weight": F.lit(1.0), "run_id": F.lit(run_id)}).drop(
        NEW_ID, CONTINUES, TARGET
    )


def complete(rows: DataFrame, like: DataFrame) -> DataFrame:
    """Adds the canonical columns that the generator does not make, as nulls of the type they have in `like`."""
    names = (*KEY_COLUMNS, *[name for name in like.columns if name.startswith(feature_column(""))])
    missing = {name: F.lit(None).cast(like.schema[name].dataType) for name in names if name not in rows.columns}
    return rows.withColumns(missing)


def with_sessions(rows: DataFrame, log: SchemaConfig, raw_type: StructType, run_id: str) -> DataFrame:
    """Sessions of synthetic users, cut by the log's gap; where the log maps sessions they get ids of its type.

    One shuffle by entity.
    """
    if log.user is None or log.event_time is None:
        return rows
    cut = cut_sessions(rows, gap_s=log.session_gap)
    if log.session is None:
        return cut
    return renamed(cut, "session_id", id_space(raw_type[log.session].dataType), run_id)


def folded_into(rows: DataFrame, window: TimeWindow) -> DataFrame:
    """Rows with each time inside the window: on the window's first and last day clocks outside it wrap around inside
    the part of the day that belongs to it, so that none pile up at its ends. Every day must touch the window. Narrow.
    """
    if window.first_us is None or window.last_us is None:
        return rows
    time_us, step = F.unix_micros("event_time"), F.lit(window.step_us)
    day_us = time_us - F.pmod(time_us, F.lit(DAY_US))
    low = F.greatest(day_us, F.lit(window.first_us))
    high = F.least(day_us + F.lit(DAY_US) - step, F.lit(window.last_us))
    return rows.withColumn("event_time", F.timestamp_micros(low + F.pmod(time_us - low, high - low + step)))


def cut_to(rows: DataFrame, window: TimeWindow) -> DataFrame:
    """The rows inside the window; histories that go on beyond it end there. Narrow."""
    if window.first_us is None or window.last_us is None:
        return rows
    return rows.where(F.unix_micros("event_time").between(window.first_us, window.last_us))

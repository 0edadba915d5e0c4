"""What the codec sees of real rows: which columns it codes, and canonical rows with those columns prepared."""

from dataclasses import dataclass

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from clickweave.codec.slates import same_slate
from clickweave.codec.spec import (
    BINS,
    ENTITY,
    EVENT_CLOCK,
    EVENT_DAY,
    GAP,
    GAP_CLOCK,
    GAP_DAYS,
    LENGTH,
    LONG_GAP_US,
    PLACE,
    PROFILE_PREFIX,
    SAME_SLATE,
    START_CLOCK,
    START_DAY,
    TEXT,
    TIME,
    TIME_US,
    VALUES,
    VECTOR,
    ColumnSpec,
)
from clickweave.codec.totals import clock_of, codes_label, day_of, planned_totals, with_totals
from clickweave.config.log import FeatureSpec, SchemaConfig
from clickweave.contracts.tables import feature_column


@dataclass(frozen=True)
class Planned:
    """A column that is to be fitted.

    Attributes:
        backed: only values of at least encode.min_users users are kept.
        kind: `time` and `vector`, which stand for their parts, or `text`, which may get some; else empty.
    """

    column: ColumnSpec
    backed: bool = False
    kind: str = ""


def planned_columns(log: SchemaConfig, grain: str) -> tuple[Planned, ...]:
    """What is coded, in the order that generators see.

    The label is left out where threshold columns imply it: align computes it from them.
    """
    timed = log.event_time is not None
    found: list[Planned] = []
    if grain == ENTITY:
        features = log.user_features if log.user is not None else {}
        profile = [_feature(PROFILE_PREFIX + name, spec, ENTITY) for name, spec in features.items()]
        found += [_bins(LENGTH, level=ENTITY), *profile]
        found += [_bins(name, level=ENTITY) for name in planned_totals(log)]
        found += [_bins(name, level=ENTITY) for name in (START_DAY, START_CLOCK) if timed]
        found += [_bins(name) for name in (GAP, GAP_DAYS, GAP_CLOCK) if timed]
        if log.has_slates:
            found.append(Planned(ColumnSpec(SAME_SLATE, VALUES, "long")))
    else:
        if log.entity_column is not None:
            found.append(Planned(ColumnSpec("entity_id", VALUES, "string", is_entity=True)))
        found += [_bins(name) for name in (EVENT_DAY, EVENT_CLOCK) if timed]
    if log.query is not None:
        found.append(Planned(ColumnSpec("query", VALUES, "string"), backed=True, kind=TEXT))
    if log.item is not None:
        found.append(Planned(ColumnSpec("item_id", VALUES, "string")))
    if log.position is not None:
        found.append(_bins("position"))
    if log.propensity is not None:
        found.append(_bins("propensity", kind="double"))
    found += [_feature(feature_column(name), spec) for name, spec in log.event_features.items()]
    if codes_label(log):
        found.append(Planned(ColumnSpec("label", VALUES, "long")))
    return tuple(found)


def row_inputs(train: DataFrame) -> DataFrame:
    """Rows with `event_day` (days since 1970, UTC) and `event_clock` (microseconds since midnight). Narrow."""
    return train.withColumns(
        {EVENT_DAY: day_of(F.unix_micros("event_time")), EVENT_CLOCK: clock_of(F.unix_micros("event_time"))}
    )


def history_inputs(train: DataFrame, users: DataFrame, log: SchemaConfig) -> DataFrame:
    """Rows with the columns of their history; one join by user, one shuffle by entity_id. Events of the same time stand
    by slate and position where the log has slates.

    Args:
        train: one row per event, canonical columns.
        users: one row per user_id, `feature_<name>` for each of the log's user_features.
    """
    if log.user is not None and log.user_features:
        named = [F.col(feature_column(name)).alias(PROFILE_PREFIX + name) for name in log.user_features]
        train = train.join(users.select(F.col("user_id").alias("entity_id"), *named), "entity_id", "left")
    ties = ("slate_id", "position") if log.has_slates else ()
    ordered = Window.partitionBy("entity_id").orderBy("event_time", *ties, "row_id")
    whole = Window.partitionBy("entity_id")
    day = day_of(F.unix_micros("event_time"))
    time_us = F.coalesce(F.unix_micros("event_time"), F.lit(0).cast("bigint"))
    rows = train.withColumn(TIME_US, time_us)
    rows = rows.withColumns(
        {
            PLACE: F.row_number().over(ordered) - 1,
            LENGTH: F.count(F.lit(1)).over(whole),
            "_start": F.min(F.unix_micros("event_time")).over(whole),
            "_gap": F.coalesce(F.col(TIME_US) - F.lag(TIME_US).over(ordered), F.lit(0).cast("bigint")),
            "_days": day - F.lag(day).over(ordered),
        }
    )
    soon = F.col("_gap") < F.lit(LONG_GAP_US)
    gaps = {GAP: F.when(soon, F.col("_gap")), GAP_DAYS: F.when(~soon, F.col("_days"))}
    rows = rows.withColumns(gaps | {GAP_CLOCK: F.when(~soon, clock_of(F.unix_micros("event_time")))}).drop(
        "_gap", "_days"
    )
    if log.has_slates:
        rows = rows.withColumn(SAME_SLATE, same_slate(ordered))
    rows = rows.withColumns({START_DAY: day_of(F.col("_start")), START_CLOCK: clock_of(F.col("_start"))})
    return with_totals(rows, log)


def _bins(name: str, *, kind: str = "long", level: str = "event") -> Planned:
    return Planned(ColumnSpec(name, BINS, kind, level=level))


def _feature(name: str, spec: FeatureSpec, level: str = "event") -> Planned:
    if spec.kind == "numeric":
        return _bins(name, kind="double", level=level)
    kind = spec.kind if spec.kind in (TIME, VECTOR, TEXT) else ""
    backed = spec.kind in ("categorical", TEXT)
    return Planned(ColumnSpec(name, VALUES, "string", level=level), backed=backed, kind=kind)

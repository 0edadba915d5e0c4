"""Which day a row belongs to, and what a log holds of each day. Days are UTC dates as text, `2026-11-01`."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DateType, IntegralType, StringType, StructType, TimestampNTZType, TimestampType

from clickweave.config.log import SchemaConfig, TimeColumn
from clickweave.contracts.days import SourceDay
from clickweave.errors import ContractError
from clickweave.frames.normalise import MICROS_PER_UNIT, parsed_time
from clickweave.frames.quality import comparable, content_totals

DATE = "date"  # the column of a row's day in what is published, and so the name of its folder


def keep_days(raw: DataFrame, days: Collection[str], *, log: SchemaConfig, partition: str | None) -> DataFrame:
    """The rows of these days; those without a day are in none. Narrow.

    A column that holds the day is compared as it is, and so are whole numbers and timestamps of event_time at both
    ends, so that Spark leaves folders and row groups of other days unread.

    Args:
        raw: `source` and `raw_text`.
        partition: column that says the day; None: the UTC date of event_time says it.

    Raises:
        ContractError: `partition` is missing, or is no date.
    """
    kind = _type(raw)
    if partition is not None and isinstance(kind[_checked(kind, partition)].dataType, StringType):
        return raw.where(F.col("source").getField(partition).isin(sorted(days)))
    near = raw if partition is not None else raw.where(_between(kind, log, min(days), max(days)))
    return near.where(day_of_source(kind, log, partition).isin(sorted(days)))


def day_of_source(kind: StructType, log: SchemaConfig, partition: str | None) -> Column:
    """The day of a raw row with `source`; null where it has none.

    Raises:
        ContractError: `partition` is missing, or is no date.
    """
    if partition is None:
        assert log.event_time is not None
        time = parsed_time(F.col("source").getField(log.event_time.column), log.event_time)
        return time.cast("date").cast("string")
    value = F.col("source").getField(_checked(kind, partition))
    if isinstance(kind[partition].dataType, StringType):  # a day written in another way would miss its folder
        return F.when(value.try_cast("date").cast("string") == value, value)
    return value.cast("date").cast("string")


def day_of_event(kind: StructType, days: Collection[str] | None, log: SchemaConfig, partition: str | None) -> Column:
    """The one of `days` (None: of all) that an event with `source` and event_time is published under; null where it is
    in none.

    Real rows stand under the day that they were read under, so that replacing a day replaces what was read for it;
    rows that we made, without a value in `partition`, under the UTC date of their time. Where `partition` counts days
    in another time zone that date may be one off, and then the nearest day counts.
    """
    utc = F.col("event_time").cast("date")
    candidates = [utc.cast("string")]
    if partition is not None:
        near = [F.date_add(utc, step).cast("string") for step in (1, -1)]
        candidates = [day_of_source(kind, log, partition), *candidates, *near]
    if days is None:
        return F.coalesce(*candidates)
    return F.coalesce(*[F.when(day.isin(sorted(days)), day) for day in candidates])


def fit_source_days(
    raw: DataFrame, log: SchemaConfig, partition: str | None, *, earliest: str, latest: str
) -> dict[str, SourceDay]:
    """What the log holds of each day from `earliest` to before `latest`: one aggregate over all of its columns, since a
    changed value must change the day's hash. At most one row per day reaches the driver.
    """
    day = day_of_source(_type(raw), log, partition)
    inside = raw.select(day.alias(DATE), comparable(_type(raw)).alias("source"), "raw_text").where(
        (F.col(DATE) >= earliest) & (F.col(DATE) < latest)
    )
    found = inside.groupBy(DATE).agg(*content_totals("source", "raw_text")).collect()
    return {row[DATE]: SourceDay(row["rows"], f"{row['xor']}:{row['sum']}") for row in found}


def _type(raw: DataFrame) -> StructType:
    kind = raw.schema["source"].dataType
    assert isinstance(kind, StructType)
    return kind


def _checked(kind: StructType, partition: str) -> str:
    if partition not in kind.fieldNames():
        raise ContractError(
            f"ingest: column {partition!r} (source.events.partition) is missing; has {kind.fieldNames()}; a folder "
            "name such as dt=2026-11-01 is a column only where the path is the folder above it, without a glob"
        )
    found = kind[partition].dataType
    if not isinstance(found, StringType | DateType | TimestampType | TimestampNTZType):
        raise ContractError(
            f"ingest: column {partition!r} (source.events.partition) is {found.simpleString()[:80]}, not a date or "
            "text such as 2026-11-01; leave it out, then event_time says the day"
        )
    return partition


def _between(kind: StructType, log: SchemaConfig, first: str, last: str) -> Column:
    """Whether the raw time lies between two days' ends, where it can be compared as it is; else true."""
    assert log.event_time is not None
    spec, raw = log.event_time, F.col("source").getField(log.event_time.column)
    low, high = (datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC) for day in (first, last))
    high += timedelta(days=1)
    if isinstance(kind[spec.column].dataType, TimestampType):
        return (raw >= F.lit(low)) & (raw < F.lit(high))
    if spec.unit is not None and isinstance(kind[spec.column].dataType, IntegralType):
        return (raw >= F.lit(_in_units(low, spec))) & (raw < F.lit(_in_units(high, spec)))
    return F.lit(True)


def _in_units(time: datetime, spec: TimeColumn) -> int:
    assert spec.unit is not None
    return round(time.timestamp()) * 1_000_000 // MICROS_PER_UNIT[spec.unit]

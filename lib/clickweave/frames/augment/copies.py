"""What operators share: what they read, how a copy tells its parent, and copies of sessions that are sessions again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clickweave.config.log import SchemaConfig
from clickweave.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

SESSION = ("entity_id", "session_id")


@dataclass(frozen=True)
class Sources:
    """What an operator reads.

    Attributes:
        train: the rows that it rewrites, canonical columns; in a chain those of the operator before.
        items: one row per item_id with `feature_<x>` for each of the log's item_features; None for a log without items.
        neighbours: similar items (frames/augment/neighbours.py) where the operator asks for them by NEEDS_NEIGHBOURS.
        users: one row per user_id with `feature_<x>` for each of the log's user_features.
    """

    train: DataFrame
    items: DataFrame | None = None
    neighbours: DataFrame | None = None
    users: DataFrame | None = None


@dataclass(frozen=True)
class TimeWindow:
    """First and last event time of real/train, in microseconds since 1970; 0 for an empty log."""

    first_us: int
    last_us: int


def fit_window(train: DataFrame) -> TimeWindow:
    """The log's window; one aggregate over train."""
    from pyspark.sql import functions as F

    time_us = F.unix_micros("event_time")
    row = train.agg(F.min(time_us).alias("first"), F.max(time_us).alias("last")).collect()[0]
    return TimeWindow(row["first"] or 0, row["last"] or 0)


def check_sessions(log: SchemaConfig, name: str) -> None:
    """Raises ConfigError where the log has no sessions."""
    if log.event_time is None or log.entity_column is None:
        raise ConfigError(
            f"augment operator {name} needs sessions: schema.event_time and schema.user or schema.session"
        )


def copied(rows: DataFrame, salt: str, *key: str) -> DataFrame:
    """Rows as copies: `parent_id` is the real row, `row_id` is new. Narrow.

    Args:
        salt: names the operator and its seed.
        key: columns that tell copies of one row apart.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.draws import row_key

    parent = F.coalesce("parent_id", "row_id")  # in a chain the rows are copies already
    return rows.withColumns({"parent_id": parent, "row_id": row_key("row_id", *key, salt=salt)})


def row_copies(rows: DataFrame, log: SchemaConfig, salt: str, *key: str) -> DataFrame:
    """`copied` for single rows: on no slate, since an item stands once on one. Narrow."""
    from pyspark.sql import functions as F

    return off_slates(copied(rows, salt, *key), log, F.lit(True))


def off_slates(rows: DataFrame, log: SchemaConfig, which: Column) -> DataFrame:
    """Some rows on no slate; where the log's slates are its sessions or users, all stay. Narrow."""
    from pyspark.sql import functions as F

    return rows.withColumn("slate_id", F.when(~which, F.col("slate_id"))) if log.has_slates else rows


def session_copies(
    rows: DataFrame, log: SchemaConfig, salt: str, *key: str, row_key: tuple[str, ...] = ()
) -> DataFrame:
    """`copied` for events of sessions: a copy keeps its user and is a session of its own with slates of its own, so
    that none holds an event twice. Narrow.

    New ids have the raw column's type where the log maps sessions or slates.

    Args:
        key: columns that tell copies of one session apart.
        row_key: columns that tell copies of one row in one copy of its session apart.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.quality import entity_of_row

    made = copied(rows, salt, *key, *row_key)
    session = _new_id(rows, log.session, salt, *SESSION, *key)
    if session is None:
        session = F.concat_ws("-", "session_id", F.lit(salt.replace(" ", "")), *[F.col(name) for name in key])
    slate = _new_id(rows, log.slate, salt, *SESSION, "slate_id", *key) if log.has_slates else F.col("slate_id")
    assert slate is not None
    if log.slate is not None and log.slate == log.session:
        slate = session
    made = made.withColumns({"session_id": session, "slate_id": F.when(F.col("slate_id").isNotNull(), slate)})
    return made.withColumn("entity_id", entity_of_row())


def _new_id(rows: DataFrame, raw: str | None, salt: str, *key: str) -> Column | None:
    """A new id, hashed from key, that the raw column can hold; None where the log has no such column."""
    from pyspark.sql import functions as F

    from clickweave.frames.align.keys import id_space

    if raw is None:
        return None
    raw_type = rows.select(F.col("source").getField(raw)).schema[0].dataType
    return id_space(raw_type).new_id(salt, F.xxhash64(*key))


def chosen_sessions(train: DataFrame, share: float, salt: str, seed: int) -> DataFrame:
    """The events of a seeded share of sessions. Narrow."""
    from clickweave.frames.draws import unit_draw

    return train.where(unit_draw(*SESSION, salt=salt, seed=seed) < share)


def in_sessions(rows: DataFrame) -> DataFrame:
    """Adds `_place` (from 0, in order of time, ties by row_id) and `_n` (events) of the session. One shuffle by
    session; a session of a million events is sorted and counted by one task, on disk where memory ends.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    sessions = Window.partitionBy(*SESSION)
    place = F.row_number().over(sessions.orderBy("event_time", "row_id")) - 1
    return rows.withColumns({"_place": place, "_n": F.count(F.lit(1)).over(sessions)})


def time_step_us(log: SchemaConfig) -> int:
    """Microseconds of one unit of the log's times: new times are whole multiples of it."""
    units = {"s": 1_000_000, "ms": 1_000, "us": 1}
    if log.event_time is None or log.event_time.unit is None:
        return 1 if log.event_time is None or log.event_time.format is None else 1_000_000
    return units[log.event_time.unit]

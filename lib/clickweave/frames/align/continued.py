"""Generated events that go on with a real history: under the entity's own id, after its last event."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clickweave.contracts.tables import CONTINUED, GENERATED, TARGETED, WHAT_IF
from clickweave.frames.align.copies import drop_copied_runs
from clickweave.frames.align.keys import TEXT_PREFIX
from clickweave.frames.runs import RUN_LENGTH

CONTINUES = "continues"  # column of raw rows: id of the real user (else session) whose history goes on, null for new


def is_continued() -> Column:
    """Whether an event goes on with a real history, by `op`."""
    return F.col("op").endswith(CONTINUED)


def is_targeted() -> Column:
    """Whether sample.targets asked for an event, by `op`."""
    return F.col("op").contains(TARGETED)


def is_what_if() -> Column:
    """Whether an event was asked for as one of an item that does not exist, by `op`."""
    return F.col("op").contains(WHAT_IF)


def count_targeted(events: DataFrame) -> dict[str, int]:
    """Events by number of the target that asked for them. One aggregate, a row a target."""
    number = F.regexp_extract("op", TARGETED + r"(\d+)", 1).alias("number")
    return {row["number"]: row["count"] for row in events.where(is_targeted()).groupBy(number).count().collect()}


def continued_rows(train: DataFrame, events: DataFrame) -> DataFrame:
    """The real rows of the entities whose histories go on. One join by entity."""
    return train.join(events.where(is_continued()).select("entity_id").distinct(), "entity_id", "left_semi")


def last_of_each(rows: DataFrame) -> DataFrame:
    """The last row of each entity; one shuffle by entity."""
    latest = F.struct("event_time", "row_id")
    columns = [F.max_by(name, latest).alias(name) for name in rows.columns if name != "entity_id"]
    return rows.groupBy("entity_id").agg(*columns)


def without_copied_runs(events: DataFrame, real: DataFrame, train: DataFrame) -> DataFrame:
    """`copies.drop_copied_runs` where a run may begin with the last items of the real history that goes on.

    Args:
        real: `continued_rows`.
    """
    latest = Window.partitionBy("entity_id").orderBy(F.desc("event_time"), F.desc("item_id"))
    known = real.where(F.col("item_id").isNotNull()).withColumn("_back", F.row_number().over(latest))
    before = known.where(F.col("_back") < RUN_LENGTH).select("entity_id", "event_time", "item_id", "origin")
    joined = events.unionByName(before, allowMissingColumns=True)
    return drop_copied_runs(joined, train).where(F.col("origin") == GENERATED)


def with_own_values(events: DataFrame, last: DataFrame, *names: str) -> DataFrame:
    """Events of real histories with the real values of what all events of an entity have in common. One join."""
    if not names:
        return events
    own = last.select("entity_id", *[F.col(name).alias(f"_own_{name}") for name in names])
    joined = events.join(own, "entity_id", "left")
    values = {name: F.when(is_continued(), F.col(f"_own_{name}")).otherwise(F.col(name)) for name in names}
    return joined.withColumns(values).drop(*[f"_own_{name}" for name in names])


def with_sessions_gone_on(events: DataFrame, last: DataFrame, *, gap_s: float, mapped: bool) -> DataFrame:
    """Sessions of real histories: the first goes on with the session of the last real event, unless the pause between
    them is longer than the gap. One join and one shuffle by entity.

    Args:
        events: with the sessions of `rows.with_sessions`.
        last: `last_of_each`.
        mapped: whether the log has sessions; else new ones get the prefix of synthetic ids here.
    """
    before = last.select("entity_id", F.col("event_time").alias("_last"), F.col("session_id").alias("_real"))
    joined = events.join(before, "entity_id", "left")
    ordered = Window.partitionBy("entity_id").orderBy("event_time", "row_id")
    first = {"_first": F.first("session_id").over(ordered), "_begins": F.first("event_time").over(ordered)}
    pause_us = F.unix_micros("_begins") - F.unix_micros("_last")
    goes_on = (F.col("session_id") == F.col("_first")) & (pause_us <= F.lit(int(gap_s * 1e6)))
    new = F.col("session_id") if mapped else F.concat(F.lit(TEXT_PREFIX), F.col("session_id"))
    session = F.when(~is_continued(), F.col("session_id")).when(goes_on, F.col("_real")).otherwise(new)
    return joined.withColumns(first).withColumn("session_id", session).drop("_last", "_real", *first)

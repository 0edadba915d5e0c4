"""Sessions: a user's events, cut where the pause is longer than a gap."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def cut_sessions(events: DataFrame, *, gap_s: float) -> DataFrame:
    """Sets `session_id` to `<entity_id>-<microsecond of its first event>`; one shuffle by entity_id.

    Named by its start and not by a number, a session keeps its name when a run sees other days than the run before.
    Requires entity_id, event_time (not null) and row_id, which breaks ties. A pause of exactly `gap_s` seconds
    does not cut.
    """
    ordered = Window.partitionBy("entity_id").orderBy("event_time", "row_id")
    so_far = ordered.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    time_us = F.unix_micros("event_time")
    pause_us = time_us - F.lag(time_us).over(ordered)
    starts = F.when(pause_us.isNull() | (pause_us > F.lit(int(gap_s * 1e6))), time_us)
    begun = events.withColumn("_starts", starts).withColumn("_begun", F.max("_starts").over(so_far))
    session = F.concat_ws("-", F.col("entity_id"), F.col("_begun").cast("string"))
    return begun.withColumn("session_id", session).drop("_starts", "_begun")

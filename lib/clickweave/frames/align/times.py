"""Times that were generated as a distance from event_time."""

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def with_times(events: DataFrame, distances: Mapping[str, str]) -> DataFrame:
    """Adds each time and drops its distance; null where that is. Narrow.

    Args:
        distances: name of the time -> column of microseconds after event_time.
    """
    made = {name: F.timestamp_micros(F.unix_micros("event_time") + F.col(column)) for name, column in distances.items()}
    return events.withColumns(made).drop(*distances.values())

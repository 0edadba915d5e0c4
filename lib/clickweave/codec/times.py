"""Features that are times: how each is coded, and the columns that say it."""

from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clickweave.codec.inputs import Planned
from clickweave.codec.part_names import clock_part, day_part, since_part
from clickweave.codec.spec import (
    BINS,
    EVENT,
    SINCE,
    TIME,
    Parts,
)
from clickweave.codec.totals import clock_of, day_of


def fit_times(inputs: DataFrame, planned: Sequence[Planned], *, timed: bool, num_bins: int) -> tuple[Parts, ...]:
    """How each time is coded: what belongs to an event by its distance from event_time, others by day and clock.

    So are times that stay while event_time goes on (a constant, the start of a campaign): those with at most `num_bins`
    values that have less than half as many as the distance. One aggregate, none without times of events.

    Args:
        timed: whether the log has event_time.
    """
    times = [plan.column for plan in planned if plan.kind == TIME]
    near = [column.name for column in times if timed and column.level == EVENT]
    if near:
        distinct = [F.approx_count_distinct(name).alias(f"times {name}") for name in near]
        distinct += [F.approx_count_distinct(_since(name)).alias(f"distances {name}") for name in near]
        row = inputs.agg(*distinct).collect()[0]
        near = [
            name
            for name in near
            if row[f"times {name}"] > num_bins or 2 * row[f"times {name}"] >= row[f"distances {name}"] > 0
        ]
    return tuple(
        Parts(column.name, SINCE, (since_part(column.name),))
        if column.name in near
        else Parts(column.name, TIME, (day_part(column.name), clock_part(column.name)))
        for column in times
    )


def with_time_parts(inputs: DataFrame, parts: Sequence[Parts]) -> DataFrame:
    """Rows with the columns of these parts (int64, null where the time is). Narrow."""
    made: dict[str, Column] = {}
    for each in parts:
        if each.kind == SINCE:
            made[since_part(each.name)] = _since(each.name)
        else:
            time_us = F.unix_micros(each.name)
            made |= {day_part(each.name): day_of(time_us), clock_part(each.name): clock_of(time_us)}
    return inputs.withColumns(made)


def planned_time_parts(planned: Sequence[Planned], parts: Sequence[Parts]) -> tuple[Planned, ...]:
    """The planned columns with the parts of each time in its place."""
    columns = {each.name: each.columns for each in parts}
    found: list[Planned] = []
    for plan in planned:
        if plan.kind == TIME:
            bins = replace(plan.column, kind=BINS, type="long")
            found += [Planned(replace(bins, name=name)) for name in columns[plan.column.name]]
        else:
            found.append(plan)
    return tuple(found)


def _since(name: str) -> Column:
    return F.unix_micros(name) - F.unix_micros("event_time")

"""Totals of a history: what its events add up to, and how much of that is left before each event.

A generator that draws the totals first, and is told at each event what is left of them, need not hit their tails by
chance: how long a user stays, how often one comes back, repeats an item or buys.
"""

from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from clickweave.codec.spec import (
    END_CLOCK,
    GAP,
    LEFT_PREFIX,
    LENGTH,
    LONG_GAP_US,
    PLACE,
    REPEATS,
    RETURNS,
    SPAN,
    SPAN_DAYS,
    TIME_US,
    label_total,
    level_of_total,
)
from clickweave.config.log import EventTypes, SchemaConfig
from clickweave.contracts.tables import DAY_US

MAX_LEVELS = 4  # of the funnel that have a total, the strongest
SIZES = 8  # of histories that have a least pace of their own: the last from 16,384 events
AGAIN = "again"  # whether the history held the item, with this label where labels are coded, before


def planned_totals(log: SchemaConfig) -> list[str]:
    """Names of the columns of the totals that a log has.

    Levels that every event reaches have none, nor have labels that other columns imply.
    """
    timed, items = log.event_time is not None, log.item is not None
    found = [SPAN, SPAN_DAYS, END_CLOCK, RETURNS] if timed else []
    found += [REPEATS] if items else []
    if log.labels is None or not codes_label(log):
        return found
    lowest = 2 if isinstance(log.labels, EventTypes) else 1
    levels = range(max(lowest, log.num_levels - MAX_LEVELS + 1), log.num_levels + 1)
    return found + [label_total(level) for level in levels]


def codes_label(log: SchemaConfig) -> bool:
    """Whether the label is a column of the codec: not where other columns imply all of it."""
    return len(log.thresholds) < log.num_levels


def with_totals(rows: DataFrame, log: SchemaConfig) -> DataFrame:
    """The totals, `left_<name>` for each, and `again`; no shuffle beside that of `rows` by entity_id.

    Args:
        rows: one per event, with `place`, `length`, `time_us` and `gap`.
    """
    ordered = Window.partitionBy("entity_id").orderBy(PLACE)
    whole = Window.partitionBy("entity_id")
    before = ordered.rowsBetween(Window.unboundedPreceding, -1)
    labels = ("label",) if codes_label(log) else ()
    rows = rows.withColumns({"_repeat": _seen("item_id"), AGAIN: _seen("item_id", *labels)})
    made = _spans(ordered, whole) if log.event_time is not None else {}
    for name in [name for name in planned_totals(log) if name not in made]:
        happens = _happens(name).cast("bigint")
        total = F.sum(happens).over(whole)
        made[name] = total
        made[LEFT_PREFIX + name] = total - F.coalesce(F.sum(happens).over(before), F.lit(0).cast("bigint"))
    return rows.withColumns(made).drop("_repeat")


def least_paces() -> list[Column]:
    """Aggregates over all rows of `with_totals`, one for each size of history: CodecSpec.least_paces_us."""
    size = F.floor(F.log2(F.col(LENGTH)) / F.lit(2))
    pace = F.col(LEFT_PREFIX + SPAN) / (F.col(LENGTH) - 1)
    known = (F.col(PLACE) == 0) & (F.col(LENGTH) > 1)
    return [F.min(F.when(known & (F.least(size, F.lit(SIZES - 1)) == k), pace)) for k in range(SIZES)]


def _spans(ordered: WindowSpec, whole: WindowSpec) -> dict[str, Column]:
    """The span in its columns, and what is left of it when the event before has come."""
    first_us, last_us = F.min(TIME_US).over(whole), F.max(TIME_US).over(whole)
    short = last_us - first_us < F.lit(LONG_GAP_US)
    return {
        SPAN: F.when(short, last_us - first_us),
        SPAN_DAYS: F.when(~short, day_of(last_us) - day_of(first_us)),
        END_CLOCK: F.when(~short, clock_of(last_us)),
        LEFT_PREFIX + SPAN: last_us - F.coalesce(F.lag(TIME_US).over(ordered), F.col(TIME_US)),
    }


def _happens(name: str) -> Column:
    if name == RETURNS:
        return F.col(GAP).isNull()
    if name == REPEATS:
        return F.col("_repeat")
    return F.coalesce(F.col("label") == F.lit(level_of_total(name)), F.lit(False))


def _seen(*keys: str) -> Column:
    """Whether the history has these values at an event before; never for nulls."""
    same = Window.partitionBy("entity_id", *keys).orderBy(PLACE)
    known = F.col(keys[0]).isNotNull()
    return known & (F.row_number().over(same) > 1)


def clock_of(time_us: Column) -> Column:
    """Microseconds since midnight, UTC."""
    return F.pmod(time_us, F.lit(DAY_US))


def day_of(time_us: Column) -> Column:
    """Days since 1970-01-01, UTC."""
    return ((time_us - clock_of(time_us)) / F.lit(DAY_US)).cast("bigint")

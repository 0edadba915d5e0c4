"""Generated events of other days, moved by whole days into the days of this run: clocks stay, and order in an entity.

Days that follow one another are a run. A history begins on a drawn day and lies in that day's run; what does not fit
goes on at the run's beginning, as a piece that is an entity of its own. So a run of n days holds what n days of real
histories do: pieces of n days or less, cut at midnight, of people who come back within them or not. No event is lost.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clickweave.contracts.tables import DAY_US
from clickweave.frames.align.continued import CONTINUES
from clickweave.frames.draws import unit_draw

WEEK = 7
ANOTHER_WEEKDAY = 1e-6  # how likely it is to begin with, against the same one
ROUNDS = 500
_PLACE, _ENTITY_PLACE, _SLATE = "place", "entity_place", "same_slate"


@dataclass(frozen=True)
class Days:
    """Where histories (or rows) begin.

    Attributes:
        days: since 1970-01-01 UTC, ascending.
        chances: by weekday of a history's first event (that of day 0 is 0) the chance of each day to become its first.
        pieces: most of one history.
        apart: total variation distance between the events' days as they will be and real/train's.
    """

    days: tuple[int, ...]
    chances: tuple[tuple[float, ...], ...]
    pieces: int
    apart: float

    @property
    def runs(self) -> tuple[np.ndarray, np.ndarray]:
        """For each day the first day of its run, and the run's length."""
        return _runs(np.asarray(self.days))


def fit_days(raw: DataFrame, train: DataFrame) -> Days:
    """Events of real/train by day, and of new histories by days after their first; one aggregate each, one shuffle by
    history. The chances are fitted so that events fall on days as they do in real/train, from those of the same weekday
    where there are as many days as weekdays; by the multiplicative rule for mixing shares (Richardson 1972, Lucy 1974),
    which for rows is iterative proportional fitting.
    """
    counted = train.groupBy(_day().alias("day")).count().where(F.col("day").isNotNull()).orderBy("day").collect()
    days, real = np.asarray([row["day"] for row in counted]), np.asarray([row["count"] for row in counted], float)
    lags = _with_lags(_new(raw)).groupBy(F.pmod(_day() - F.col("_lag"), F.lit(WEEK)).alias("weekday"), "_lag")
    found = [row for row in lags.count().collect() if row["weekday"] is not None]
    most = max((row["_lag"] for row in found), default=0)
    made = np.zeros((WEEK, most + 1))
    for row in found:
        made[row["weekday"], row["_lag"]] = row["count"]
    made /= max(1.0, made.sum())
    firsts, lengths = _runs(days)
    falls = _falls(made, days, firsts, lengths)
    wanted = real / real.sum()
    same = days % WEEK == np.arange(WEEK)[:, None]
    by_weekday = len(days) >= WEEK
    chances = np.where(same | (not by_weekday), 1.0, ANOTHER_WEEKDAY) * wanted
    chances /= chances.sum(axis=1, keepdims=True)
    for _ in range(ROUNDS):
        fall = np.einsum("kp,kpd->d", chances, falls)
        chances = chances * (falls @ (wanted / np.maximum(fall, 1e-300)) + 1e-300)
        chances /= chances.sum(axis=1, keepdims=True)
    fall = np.einsum("kp,kpd->d", chances, falls)
    apart = float(np.abs(fall - wanted).sum() / 2) if found else 0.0
    pieces = int(((days - firsts + most) // lengths).max()) + 1
    return Days(tuple(days.tolist()), tuple(map(tuple, chances.tolist())), pieces, round(apart, 6))


def moved(raw: DataFrame, days: Days, *, seed: int) -> DataFrame:
    """New rows, or histories, in these days. Rows stay as they are but for their time; of histories each piece has an
    `entity_place` of its own and is numbered from 0 by `place`. One shuffle by history, none for rows.
    """
    whole = _ENTITY_PLACE in raw.columns
    key = ("block", _ENTITY_PLACE) if whole else ("block", _PLACE)
    firsts, lengths = days.runs
    ends = np.cumsum(days.chances, axis=1).tolist()
    table = pa.table({"_weekday": pa.array(range(WEEK), pa.int64()), "_ends": pa.array(ends, pa.list_(pa.float64()))})
    arrays = {"_firsts": firsts, "_lengths": lengths, "_places": np.asarray(days.days) - firsts}
    for name, numbers in arrays.items():
        table = table.append_column(name, pa.array([numbers.tolist()] * WEEK, pa.list_(pa.int64())))
    rows = _with_lags(_new(raw)).withColumn("_weekday", F.pmod(_day() - F.col("_lag"), F.lit(WEEK)))
    rows = rows.join(F.broadcast(raw.sparkSession.createDataFrame(table)), "_weekday", "left")
    draw = unit_draw(*key, salt="days", seed=seed)
    rows = rows.withColumn("_draw", draw)
    rows = rows.withColumn("_start", F.size(F.filter("_ends", lambda end: end <= F.col("_draw"))))
    rows = rows.withColumn("_start", F.least("_start", F.lit(len(days.days) - 1)) + 1)
    first, length, place = (F.element_at(name, F.col("_start")) for name in arrays)
    after = place + F.col("_lag")
    rows = rows.withColumn("_piece", F.floor(after / length))
    rows = rows.withColumn("event_time", _on_day(first + F.pmod(after, length)))
    helpers = ("_lag", "_weekday", "_ends", *arrays, "_draw", "_start", "_piece")
    if not whole:
        return rows.drop(*helpers)
    piece = Window.partitionBy(*key, "_piece").orderBy(_PLACE)
    rows = rows.withColumn(_PLACE, (F.row_number().over(piece) - 1).cast("int"))
    numbered = F.col(_ENTITY_PLACE) * F.lit(days.pieces) + F.col("_piece")
    return rows.withColumn(_ENTITY_PLACE, numbered).drop(*helpers)


def moved_on(raw: DataFrame, days: Days, last: DataFrame) -> DataFrame:
    """New events of real histories by the least number of whole days that puts the first after the last real event;
    those that then lie on no day of this run are left out. One join and one shuffle by history.

    Args:
        last: `continues` and `_last`, the time of the last real event, one row per history.
    """
    ours = raw.where(F.col(CONTINUES).isNotNull()).join(last, CONTINUES)
    history = Window.partitionBy("block", _ENTITY_PLACE)
    first = F.min(F.unix_micros("event_time")).over(history)
    ours = ours.withColumn("_shift", F.floor((F.unix_micros("_last") - first) / F.lit(DAY_US)) + 1)
    rows = ours.withColumn("event_time", _on_day(_day() + F.col("_shift"))).where(_day().isin(*days.days))
    return rows.withColumn(_ENTITY_PLACE, F.col(_ENTITY_PLACE) * F.lit(days.pieces)).drop("_shift", "_last")


def with_known_items(raw: DataFrame, items: DataFrame) -> DataFrame:
    """The raw rows whose item is one of `items` (one row per item_id), or null. What is left of a slate stays one. One
    join by item, and where there are slates one shuffle by history.
    """
    if "item_id" not in raw.columns:
        return raw
    slates = _SLATE in raw.columns
    if slates:
        history = Window.partitionBy("block", _ENTITY_PLACE).orderBy(_PLACE)
        raw = raw.withColumn("_slate", F.sum(F.when(F.col(_SLATE) == 1, 0).otherwise(1)).over(history))
    marked = raw.join(items.select("item_id", F.lit(True).alias("_known")), "item_id", "left")
    kept = marked.where(F.col("_known") | F.col("item_id").isNull()).drop("_known").select(*raw.columns)
    if not slates:
        return kept
    goes_on = F.coalesce(F.col("_slate") == F.lag("_slate").over(history), F.lit(False)).cast("bigint")
    return kept.withColumn(_SLATE, F.when(F.col(_SLATE).isNotNull(), goes_on)).drop("_slate")


def _new(raw: DataFrame) -> DataFrame:
    """Rows that go on with no real history."""
    return raw.where(F.col(CONTINUES).isNull()) if CONTINUES in raw.columns else raw


def _with_lags(rows: DataFrame) -> DataFrame:
    """Adds `_lag`: days after the first day of the history; 0 for rows."""
    if _ENTITY_PLACE not in rows.columns:
        return rows.withColumn("_lag", F.lit(0).cast("bigint"))
    return rows.withColumn("_lag", _day() - F.min(_day()).over(Window.partitionBy("block", _ENTITY_PLACE)))


def _day() -> Column:
    """Days since 1970-01-01, UTC."""
    return F.floor(F.unix_micros("event_time") / F.lit(DAY_US))


def _on_day(day: Column) -> Column:
    """The event's time of day, on another day."""
    return F.timestamp_micros(day * F.lit(DAY_US) + F.pmod(F.unix_micros("event_time"), F.lit(DAY_US)))


def _runs(days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    number = np.cumsum(np.diff(days, prepend=days[:1]) > 1)
    lengths = np.bincount(number)
    firsts = days[np.searchsorted(number, np.arange(len(lengths)))]
    return firsts[number], lengths[number]


def _falls(made: np.ndarray, days: np.ndarray, firsts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Share of events [weekday, first day, day] where histories that begin on a weekday begin on a day of ours."""
    lags, place_of_day = np.arange(made.shape[1]), {int(day): place for place, day in enumerate(days)}
    found = np.zeros((WEEK, len(days), len(days)))
    for start, (day, first, length) in enumerate(zip(days, firsts, lengths, strict=True)):
        on = place_of_day[int(first)] + (day - first + lags) % length
        for weekday in range(WEEK):
            found[weekday, start] = np.bincount(on, made[weekday], minlength=len(days))
    return found

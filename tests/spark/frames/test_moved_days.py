"""Generated events in the days of another run: none is lost, none elsewhere, clocks and order stay."""

import numpy as np
import pyarrow as pa
import pytest
from chispa import assert_df_equality
from pyspark.sql import functions as F

from clickweave.contracts.tables import DAY_US, HOUR_US
from clickweave.frames.align.days import fit_days, moved, moved_on, with_known_items

OLD, NEW = 19_000, 19_100  # days since 1970
TIME = pa.timestamp("us", tz="UTC")
WEEKS = {NEW + n: 1000 + 50 * n for n in range(14)}
DAYS = {
    "one": {NEW: 100},
    "apart": {NEW - 30: 100, NEW: 300, NEW + 1: 400},
    "weeks": WEEKS,
    "ten": {NEW + n: 10 for n in range(10)},
}


def times(spark, name_values):
    return spark.createDataFrame(pa.table(name_values))


def real(spark, days):
    time = [day * DAY_US + n for day, num in days.items() for n in range(num)]
    return times(spark, {"event_time": pa.array(time, TIME)})


@pytest.fixture(scope="module")
def histories(spark):
    """3,000 histories of up to 9 events in seven days, most of one day."""
    rng = np.random.default_rng(0)
    block, place, time = [], [], []
    for _ in range(3000):
        day, length = rng.integers(0, 7), rng.integers(1, 10)
        gaps = np.where(rng.random(length) < 0.2, rng.integers(1, 40, length) * HOUR_US, 60_000_000)
        at = (OLD + day) * DAY_US + rng.integers(0, DAY_US) + np.cumsum(gaps)
        time.append(at[at < (OLD + 7) * DAY_US])
    block = np.concatenate([np.full(len(at), n // 100) for n, at in enumerate(time)])
    owner = np.concatenate([np.full(len(at), n % 100) for n, at in enumerate(time)])
    place = np.concatenate([np.arange(len(at)) for at in time])
    table = {"block": block, "entity_place": owner, "place": pa.array(place, pa.int32())}
    table |= {"event_time": pa.array(np.concatenate(time), TIME), "was": pa.array(np.concatenate(time))}
    return times(spark, table).cache()


@pytest.fixture(scope="module")
def rows(histories):
    row = F.col("entity_place") * 100 + F.col("place")
    return histories.select("block", row.alias("place"), "event_time", "was").cache()


@pytest.mark.parametrize("name", list(DAYS))
@pytest.mark.parametrize("grain", ["histories", "rows"])
def test_every_event_lies_in_the_days_as_often_as_real_ones_do(spark, request, name, grain):
    raw, days = request.getfixturevalue(grain), DAYS[name]
    fitted = fit_days(raw, real(spark, days))
    made = moved(raw, fitted, seed=0).cache()
    assert made.count() == raw.count()
    assert made.where((F.unix_micros("event_time") - F.col("was")) % DAY_US != 0).count() == 0
    found = {row[0]: row[1] for row in made.groupBy(F.floor(F.unix_micros("event_time") / DAY_US)).count().collect()}
    assert set(found) == set(days)
    apart = sum(abs(found[day] / made.count() - num / sum(days.values())) for day, num in days.items()) / 2
    assert fitted.apart < 0.02
    assert apart < 0.03
    if name == "weeks":
        other = made.where((F.unix_micros("event_time") - F.col("was")) / DAY_US % 7 != 0).count()
        assert other < 0.2 * made.count()  # as many as it takes that weekdays are as frequent as in the real days
    made.unpersist()


@pytest.mark.parametrize("name", ["one", "apart", "weeks"])
def test_a_piece_is_a_history_in_order_within_one_run(spark, histories, name):
    fitted = fit_days(histories, real(spark, DAYS[name]))
    made = moved(histories, fitted, seed=0)
    pieces = made.groupBy("block", "entity_place").agg(
        F.count("*").alias("n"),
        F.min("place").alias("first"),
        F.max("place").alias("last"),
        F.count_distinct("place").alias("places"),
        F.count_distinct(F.unix_micros("event_time") - F.col("was")).alias("shifts"),
        F.array_sort(F.collect_list(F.struct("place", "event_time")))["event_time"].alias("times"),
        F.array_sort(F.collect_list("event_time")).alias("sorted"),
        F.first(F.floor(F.col("entity_place") / fitted.pieces)).alias("owner"),
    )
    assert pieces.where("first != 0 or last != n - 1 or places != n or shifts != 1 or times != sorted").count() == 0
    owners = histories.select("block", F.col("entity_place").alias("owner")).distinct()
    assert_df_equality(pieces.select("block", "owner").distinct(), owners, ignore_row_order=True, ignore_nullable=True)
    if name == "weeks":
        whole = pieces.groupBy("block", "owner").count()
        assert whole.where("count > 1").count() < 0.4 * whole.count()


def test_moving_depends_on_seed_and_keys_alone(spark, histories):
    fitted = fit_days(histories, real(spark, WEEKS))
    again = histories.repartition(7, "place")
    assert fit_days(again, real(spark, WEEKS)) == fitted
    one, two = (moved(raw, fitted, seed=1) for raw in (histories, again))
    assert_df_equality(one, two, ignore_row_order=True, ignore_nullable=True)
    assert one.exceptAll(moved(histories, fitted, seed=2)).count() > 0


def test_real_histories_go_on_after_their_last_event_within_the_days(spark):
    hour = HOUR_US
    rows = [("a", 5, OLD * DAY_US + 9 * hour), ("a", 6, OLD * DAY_US + 33 * hour), ("b", 2, OLD * DAY_US + 9 * hour)]
    rows += [("c", 3, OLD * DAY_US + 9 * hour), ("d", 1, OLD * DAY_US + 9 * hour)]
    names, places, at = zip(*rows, strict=True)
    raw = times(spark, {"continues": names, "place": pa.array(places, pa.int32()), "event_time": pa.array(at, TIME)})
    raw = raw.withColumns({"block": F.lit(0), "entity_place": F.ascii("continues")})
    ends = {"a": NEW * DAY_US + 8 * hour, "b": NEW * DAY_US + 9 * hour, "c": (NEW + 1) * DAY_US + 10 * hour}
    last = times(spark, {"continues": list(ends), "_last": pa.array(list(ends.values()), TIME)})
    days = fit_days(raw, real(spark, {NEW: 1, NEW + 1: 1}))
    made = moved_on(raw, days, last).orderBy("continues", "place").collect()
    when = [(row["continues"], row["place"], int(row["event_time"].timestamp()) * 1_000_000) for row in made]
    assert when == [
        ("a", 5, NEW * DAY_US + 9 * hour),
        ("a", 6, (NEW + 1) * DAY_US + 9 * hour),
        ("b", 2, (NEW + 1) * DAY_US + 9 * hour),
    ]


def test_rows_of_unknown_items_go_and_what_is_left_of_a_slate_stays_one(spark):
    rows = [("x", 0), ("a", 1), ("b", 1), ("c", 0), ("x", 0), ("x", 1), ("d", 0), (None, 1), ("a", None)]
    raw = spark.createDataFrame(
        [(0, 0, n, item, same) for n, (item, same) in enumerate(rows)],
        "block bigint, entity_place bigint, place int, item_id string, same_slate bigint",
    )
    items = spark.createDataFrame([(name,) for name in "abcd"], "item_id string")
    found = with_known_items(raw, items).orderBy("place").collect()
    assert [(row["place"], row["item_id"], row["same_slate"]) for row in found] == [
        (1, "a", 0), (2, "b", 1), (3, "c", 0), (6, "d", 0), (7, None, 1), (8, "a", None)
    ]  # fmt: skip

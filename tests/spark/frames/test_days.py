"""Days of rows: which rows a run by days sees, and what changes a day's hash."""

import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from clickweave.config.log import FileSource, SchemaConfig
from clickweave.contracts.days import SourceDay
from clickweave.errors import ContractError
from clickweave.frames.days import day_of_event, fit_source_days, keep_days
from clickweave.store.tables import day_folders, read_raw

FIRST_S = 1_793_491_200  # 2026-11-01 00:00 UTC
DAY_S = 86_400
DAYS = ("2026-11-01", "2026-11-02", "2026-11-03")
BOUNDS = {"earliest": "1970-01-01", "latest": "2100-01-01"}


def log(**time):
    return SchemaConfig.model_validate({"item": "i", "event_time": {"column": "t"} | time})


SECONDS = log(unit="s")


def raw(spark, rows, kind):
    frame = spark.createDataFrame(rows, kind)
    return frame.select(F.struct(*frame.columns).alias("source"), F.lit(None).cast("string").alias("raw_text"))


def items(frame):
    return sorted(row["source"]["i"] for row in frame.collect())


EDGES = (
    [FIRST_S - 1, FIRST_S, FIRST_S + DAY_S - 1, FIRST_S + DAY_S, FIRST_S + 2 * DAY_S, None],
    ["before", "first", "last", "second", "third", "none"],
)


@pytest.mark.parametrize(
    ("kind", "value", "schema"),
    [
        ("i string, t bigint", int, SECONDS),
        ("i string, t bigint", lambda s: s * 1000, log(unit="ms")),
        ("i string, t string", str, SECONDS),
        ("i string, t double", lambda s: s + 0.25, SECONDS),
        ("i string, t timestamp", lambda s: dt.datetime.fromtimestamp(s, dt.UTC), log()),
        ("i string, t timestamp_ntz", lambda s: dt.datetime.fromtimestamp(s, dt.UTC).replace(tzinfo=None), log()),
        ("i string, t string", lambda s: f"{dt.datetime.fromtimestamp(s, dt.UTC):%Y/%m/%d %H:%M:%S}",
         log(format="yyyy/MM/dd HH:mm:ss")),
    ],
)  # fmt: skip
def test_a_day_ends_where_the_next_one_begins_whatever_the_time_is_written_in(spark, kind, value, schema):
    rows = [(item, None if s is None else value(s)) for s, item in zip(*EDGES, strict=True)]
    frame = raw(spark, rows, kind)
    assert items(keep_days(frame, ["2026-11-01"], log=schema, partition=None)) == ["first", "last"]
    assert items(keep_days(frame, ["2026-11-01", "2026-11-03"], log=schema, partition=None)) == [
        "first", "last", "third"
    ]  # fmt: skip
    found = fit_source_days(frame, schema, None, **BOUNDS)
    assert {day: one.rows for day, one in found.items()} == {
        "2026-10-31": 1, "2026-11-01": 2, "2026-11-02": 1, "2026-11-03": 1
    }  # fmt: skip


def test_the_bounds_of_a_time_reach_the_files(spark, tmp_path):
    pq.write_table(pa.table({"i": ["a"], "t": [FIRST_S]}), tmp_path / "log.parquet")
    frame = read_raw(spark, FileSource(path=str(tmp_path / "log.parquet")), "events")
    plan = keep_days(frame, ["2026-11-01"], log=SECONDS, partition=None)._jdf.queryExecution().executedPlan().toString()
    pushed = plan.partition("PushedFilters: ")[2].partition("]")[0]
    assert f"GreaterThanOrEqual(t,{FIRST_S})" in pushed
    assert f"LessThan(t,{FIRST_S + DAY_S})" in pushed


@pytest.mark.parametrize(
    ("kind", "value"),
    [("string", str), ("date", lambda day: day), ("timestamp", lambda d: dt.datetime(d.year, d.month, d.day, 23))],
)
def test_a_column_that_says_the_day_wins_over_the_time(spark, kind, value):
    days = [dt.date(2026, 11, 1), dt.date(2026, 11, 2), None]
    rows = [(str(number), FIRST_S, None if day is None else value(day)) for number, day in enumerate(days)]
    frame = raw(spark, [*rows, ("no time", None, rows[0][2])], f"i string, t bigint, dt {kind}")
    assert items(keep_days(frame, ["2026-11-01"], log=SECONDS, partition="dt")) == ["0", "no time"]
    found = fit_source_days(frame, SECONDS, "dt", **BOUNDS)
    assert {day: one.rows for day, one in found.items()} == {"2026-11-01": 2, "2026-11-02": 1}


def test_a_day_written_in_another_way_is_no_day(spark):
    frame = raw(spark, [("a", 1, "2026-11-1"), ("b", 1, "20261101"), ("c", 1, "soon")], "i string, t bigint, dt string")
    assert fit_source_days(frame, SECONDS, "dt", **BOUNDS) == {}
    assert items(keep_days(frame, ["2026-11-01"], log=SECONDS, partition="dt")) == []


@pytest.mark.parametrize(
    ("column", "said"), [("day", "'day' .source.events.partition. is missing"), ("t", "is bigint")]
)
def test_a_column_that_cannot_say_the_day_is_told(spark, column, said):
    frame = raw(spark, [("a", 1)], "i string, t bigint")
    with pytest.raises(ContractError, match=said):
        keep_days(frame, ["2026-11-01"], log=SECONDS, partition=column)


def test_a_days_hash_sees_its_rows_alone_and_all_of_them(spark):
    kind = "i string, t bigint, n double, props map<string,int>"
    rows = [("a", FIRST_S, 1.0, {"x": 1}), ("b", FIRST_S + 5, None, None), ("c", FIRST_S + DAY_S, 2.0, {})]

    def days(*rows, partitions=1):
        return fit_source_days(raw(spark, rows, kind).repartition(partitions), SECONDS, None, **BOUNDS)

    found = days(*rows)
    assert days(*reversed(rows), partitions=3) == found
    more = days(*rows, ("d", FIRST_S + DAY_S + 1, None, None))
    assert more["2026-11-01"] == found["2026-11-01"]
    assert more["2026-11-02"].rows == 2
    for changed in (("b", FIRST_S + 5, 0.5, None), ("b", FIRST_S + 6, None, None), ("b", FIRST_S + 5, None, {"y": 1})):
        now = days(rows[0], changed, rows[2])
        assert now["2026-11-01"].rows == 2
        assert now["2026-11-01"] != found["2026-11-01"]
        assert now["2026-11-02"] == found["2026-11-02"]
    assert days(*rows, rows[0], rows[0])["2026-11-01"].content != found["2026-11-01"].content


@pytest.fixture
def folders(tmp_path):
    """A log in folders `shop=.../dt=...`; one file of another day is broken."""
    table = pa.table({"i": ["a", "b"], "t": [FIRST_S, FIRST_S + 1]})
    for shop, day in (("x", DAYS[0]), ("y", DAYS[0]), ("x", DAYS[1])):
        (tmp_path / f"shop={shop}/dt={day}").mkdir(parents=True)
        pq.write_table(table, tmp_path / f"shop={shop}/dt={day}/part.parquet")
    (tmp_path / f"shop=x/dt={DAYS[2]}").mkdir()
    (tmp_path / f"shop=x/dt={DAYS[2]}/part.parquet").write_bytes(b"PAR1 and no more")
    return tmp_path


def test_folders_of_other_days_are_not_opened(spark, folders):
    source = FileSource(path=str(folders))
    found = day_folders(source, "dt")
    assert found == {
        DAYS[0]: [f"{folders}/shop=x/dt={DAYS[0]}", f"{folders}/shop=y/dt={DAYS[0]}"],
        DAYS[1]: [f"{folders}/shop=x/dt={DAYS[1]}"],
        DAYS[2]: [f"{folders}/shop=x/dt={DAYS[2]}"],
    }
    assert day_folders(source, "day") is None
    frame = keep_days(read_raw(spark, source, "events", found[DAYS[0]]), DAYS[:1], log=SECONDS, partition="dt")
    assert frame.schema["source"].dataType.fieldNames() == ["i", "t", "shop", "dt"]
    assert sorted((row["source"]["shop"], row["source"]["i"]) for row in frame.collect()) == [
        ("x", "a"), ("x", "b"), ("y", "a"), ("y", "b")
    ]  # fmt: skip
    assert {path.split("dt=")[1][:10] for path in frame.inputFiles()} == {DAYS[0]}
    plan = frame._jdf.queryExecution().executedPlan().toString()
    assert "dt#" in plan.partition("PartitionFilters: [")[2].partition("]")[0]


def test_a_glob_has_no_folders_of_days(folders):
    assert day_folders(FileSource(path=f"{folders}/shop=*"), "dt") is None


def test_events_stand_under_the_day_they_were_read_under_and_made_rows_under_that_of_their_time(spark):
    kind = "source struct<dt:string>, s bigint, wanted string"
    rows = [
        ({"dt": DAYS[0]}, FIRST_S - 3600, DAYS[0]),  # dt counts local days: east of Greenwich they begin earlier
        ({"dt": DAYS[1]}, FIRST_S, DAYS[1]),
        ({"dt": None}, FIRST_S + DAY_S, DAYS[1]),
        ({"dt": None}, FIRST_S - 1, DAYS[0]),
        ({"dt": None}, FIRST_S + 2 * DAY_S, DAYS[1]),
        ({"dt": None}, FIRST_S - DAY_S - 1, None),
        ({"dt": None}, FIRST_S + 3 * DAY_S, None),
    ]
    events = spark.createDataFrame(rows, kind).withColumn("event_time", F.timestamp_seconds("s"))
    inner = events.schema["source"].dataType
    found = events.withColumn("found", day_of_event(inner, DAYS[:2], SECONDS, "dt")).collect()
    assert [row["found"] for row in found] == [row["wanted"] for row in found]
    by_time = events.withColumn("found", day_of_event(inner, DAYS[:2], SECONDS, None)).collect()
    assert [row["found"] for row in by_time] == [None, DAYS[0], DAYS[1], None, None, None, None]


def test_an_empty_log_has_no_days(spark):
    assert fit_source_days(raw(spark, [], "i string, t bigint"), SECONDS, None, **BOUNDS) == {}
    assert SourceDay(1, "x") != SourceDay(None, "x")

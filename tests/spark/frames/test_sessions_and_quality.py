import random
from itertools import pairwise

from chispa import assert_df_equality
from pyspark.sql import functions as F

from clickweave.frames.mix.join import hash_by_origin
from clickweave.frames.quality import entity_of_row, number_equal_rows
from clickweave.frames.sessions import cut_sessions

TYPE = "entity_id string, row_id bigint, second double"


def cut(spark, rows, gap_s, partitions=2):
    frame = spark.createDataFrame(rows, TYPE).repartition(partitions)
    events = frame.withColumn("event_time", F.timestamp_micros((F.col("second") * 1_000_000).cast("bigint")))
    return cut_sessions(events, gap_s=gap_s).select("entity_id", "row_id", "session_id")


def test_a_pause_of_exactly_the_gap_does_not_cut(spark):
    rows = [("a", 1, 0.0), ("a", 2, 60.0), ("a", 3, 120.000001), ("a", 4, 120.000001), ("b", 5, 0.0)]
    found = {row["row_id"]: row["session_id"] for row in cut(spark, rows, 60.0).collect()}
    assert found == {1: "a-0", 2: "a-0", 3: "a-120000001", 4: "a-120000001", 5: "b-0"}


def test_sessions_are_the_same_in_any_order_and_one_user_may_be_giant(spark):
    rng = random.Random(0)
    rows = [("giant", number, float(rng.randrange(200_000))) for number in range(3000)]
    rows += [(f"u{number}", 3000 + number, 5.0) for number in range(50)]
    rows += [("ties", 4000 + number, 7.0) for number in range(20)]
    expected = cut(spark, rows, 60.0, partitions=1).cache()
    rng.shuffle(rows)
    assert_df_equality(expected, cut(spark, rows, 60.0, partitions=7), ignore_row_order=True)
    times = sorted(second for entity, _, second in rows if entity == "giant")
    starts = [times[0], *[after for before, after in pairwise(times) if after - before > 60]]
    sessions = {row[0] for row in expected.where("entity_id = 'giant'").select("session_id").distinct().collect()}
    assert sessions == {f"giant-{int(start) * 1_000_000}" for start in starts}


def test_equal_rows_are_numbered_and_ids_are_unique(raw_of):
    rows = [("a", 1.0, None)] * 3 + [("a", 2.0, None), ("a", None, None), (None, None, None), ("a", 1.0, "x")]
    found = number_equal_rows(raw_of(rows, "u string, x double, n string")).select("row_id", "is_duplicate", "source.x")
    found = found.collect()
    assert len({row["row_id"] for row in found}) == len(rows)
    assert sum(row["is_duplicate"] for row in found) == 2
    assert all(row["x"] == 1.0 for row in found if row["is_duplicate"])


def test_row_ids_depend_on_content_alone(raw_of):
    rows = [("a", number % 40, float(number % 3)) for number in range(120)]
    ddl = "u string, n int, x double"
    here = number_equal_rows(raw_of(rows, ddl).repartition(1)).select("source.*", "row_id", "is_duplicate")
    there = number_equal_rows(raw_of(rows[::-1], ddl).repartition(7)).select("source.*", "row_id", "is_duplicate")
    assert_df_equality(here, there, ignore_row_order=True)


def test_a_row_with_maps_and_arrays_is_compared_by_its_content(raw_of):
    ddl = "u string, props map<string,int>, tags array<string>, deep array<map<string,int>>"
    one, other = ("a", {"k": 1}, ["t"], [{"z": 1}]), ("a", {"k": None}, ["t"], [{"z": 1}])
    rows = [one, one, other, ("a", None, None, None), ("a", {}, ["t"], [{"z": 1}])]
    raw = raw_of(rows, ddl)
    found = number_equal_rows(raw).withColumn("origin", F.lit("real"))
    assert found.where("is_duplicate").count() == 1
    assert found.select("row_id").distinct().count() == len(rows)
    assert found.schema["source"] == raw.schema["source"]
    assert hash_by_origin(found.repartition(3)) == hash_by_origin(found)
    assert hash_by_origin(found.where("not is_duplicate")) != hash_by_origin(found)


def test_the_entity_is_the_user_else_the_session_else_the_row(spark):
    rows = spark.createDataFrame(
        [("u", "s", 1), (None, "s", 2), (None, None, 255)], "user_id string, session_id string, row_id bigint"
    )
    assert [row[0] for row in rows.select(entity_of_row()).collect()] == ["u", "session-s", "row-FF"]

import pytest
from chispa import assert_df_equality
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import functions as F
from pyspark.sql.types import DecimalType, DoubleType, IntegerType, LongType, ShortType, StringType, StructType

from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import event_columns
from clickweave.errors import ContractError
from clickweave.frames.align import derived, keys, rows
from clickweave.frames.mix.join import hash_by_origin

COLUMNS = event_columns(("price", "stock"))


def test_a_changed_value_and_a_lost_row_change_the_hash(shop):
    whole = hash_by_origin(shop)
    assert hash_by_origin(shop.limit(0)) == {}
    assert hash_by_origin(shop.where(F.col("row_id") != shop.first()["row_id"])) != whole
    changed = F.col("source").withField("note", F.lit("other"))
    assert hash_by_origin(shop.withColumn("source", changed)) != whole


SPACES = {LongType(): "long", IntegerType(): "integer", StringType(): "text", DecimalType(20, 0): "long"}


@pytest.mark.parametrize("raw_type", SPACES, ids=str)
def test_new_ids_are_distinct_fit_the_column_and_lie_where_no_real_id_may(spark, raw_type):
    space = keys.id_space(raw_type)
    assert space.kind == SPACES[raw_type]
    ids = spark.range(2, 50_002).select(space.new_id("run", F.col("id")).alias("user_id")).cache()
    keys.check_distinct(ids, "user_id")
    row = ids.agg(
        F.count_distinct(F.col("user_id").try_cast(raw_type)), F.bool_and(space.reached_by(F.col("user_id")))
    ).first()
    assert tuple(row) == (50_000, True)
    with pytest.raises(ContractError, match="lies where synthetic ids go"):
        keys.check_free(ids.limit(5), "user_id", space)
    low = {"text": ["synn", "0", "SYN-1", None]}.get(space.kind, ["1073741823", "-5", "0", None])
    keys.check_free(spark.createDataFrame([(value,) for value in low], "user_id string"), "user_id", space)
    other = spark.range(2, 100).select(space.new_id("other run", F.col("id")).alias("user_id"))
    assert set(other.collect()) != set(ids.limit(98).collect())


def test_two_entities_with_one_id_are_refused(spark):
    with pytest.raises(ContractError, match="2 synthetic entities share a user_id"):
        keys.check_distinct(spark.createDataFrame([("a",), ("a",), ("b",)], "user_id string"), "user_id")


@pytest.mark.parametrize("raw_type", [DoubleType(), ShortType(), DecimalType(10, 0), DecimalType(38, 2)], ids=str)
def test_a_type_without_room_is_refused(raw_type):
    with pytest.raises(ContractError, match="leave no room"):
        keys.id_space(raw_type)


@given(st.sets(st.integers(0, keys.INT_FROM - 1), max_size=50), st.integers(0, keys.INT_FROM - 1))
def test_an_odd_factor_and_an_offset_permute_the_integers_below_two_to_the_thirty(numbers, offset):
    mixed = {(number * keys.ODD_FACTOR + offset) % keys.INT_FROM for number in numbers}
    assert len(mixed) == len(numbers)
    assert keys.ODD_FACTOR % 2 == 1
    assert pow(keys.ODD_FACTOR, -1, keys.INT_FROM) * keys.ODD_FACTOR % keys.INT_FROM == 1


RAW = StructType().add("user", "string").add("item", "string").add("ts", "long")


def raw_synthetic(spark, num=40):
    frame = spark.range(num).select(
        (F.col("id") / 10).cast("bigint").alias("block"),
        (F.col("id") % 10).alias("place"),
        (F.col("id") % 4 + 2).alias("entity_code"),
        F.lit("i1").alias("item_id"),
        F.timestamp_seconds(F.col("id") * 3600).alias("event_time"),
        F.lit(1).cast("bigint").alias("label"),
    )
    return frame


def reenacting(spark, log, raw_type, num=1):
    """Four real entities re-enacted; rows in `num` partitions."""
    entities = rows.entity_table(spark, ("ann", "bob", "cid", "dan"), 2, rows.entity_space(log, raw_type), "run")
    raw = rows.with_reenacted_ids(raw_synthetic(spark).repartition(num), entities)
    return entities, rows.as_events(raw, log, "run", "vae")


def test_generated_rows_get_keys_ids_time_and_sessions(spark, shop_log, shop):
    window = rows.TimeWindow(5 * 3_600_000_000, 30 * 3_600_000_000, 1_000_000)

    def made(num):
        entities, events = reenacting(spark, shop_log, RAW, num)
        folded = rows.folded_into(events, window)
        return entities, rows.complete(rows.with_sessions(folded, shop_log, RAW, "run"), shop)

    entities, events = made(1)
    found = events.collect()
    assert len({row["row_id"] for row in found}) == len(found) == 40
    assert {row["user_id"] for row in found} == {row["new_id"] for row in entities.collect()}
    assert all(row["user_id"] == row["entity_id"] and row["user_id"].startswith("syn-") for row in found)
    assert all(row["session_id"].startswith(row["user_id"]) for row in found)
    assert {(row["origin"], row["op"], row["parent_id"], row["weight"], row["run_id"]) for row in found} == {
        ("generated", "vae", None, 1.0, "run")
    }
    assert set(COLUMNS) - {"source"} <= set(events.columns)
    assert_df_equality(events, made(7)[1], ignore_row_order=True)


def test_times_outside_the_window_wrap_into_its_part_of_their_day_and_the_others_stay(spark):
    hour, second = 3_600_000_000, 1_000_000
    window = rows.TimeWindow(5 * hour, 30 * hour, second)
    times = spark.range(48 * 3600).select(F.timestamp_seconds("id").alias("event_time"), F.col("id").alias("second"))
    found = rows.folded_into(times, window).select(F.unix_micros("event_time").alias("us"), "second").toPandas()
    assert found["us"].between(window.first_us, window.last_us).all()
    assert (found["us"] % second == 0).all()
    assert (found["us"] // (24 * hour) == found["second"] // 86_400).all()
    inside = found["second"].between(5 * 3600, 30 * 3600)
    assert (found["us"] == found["second"] * second)[inside].all()
    assert found["us"].value_counts().max() <= 4  # 24 hours in the last six: three wraps and the place itself
    nothing = rows.TimeWindow(None, None)
    assert rows.folded_into(times, nothing) is rows.cut_to(times, nothing) is times


def test_histories_end_where_the_window_does(spark):
    times = spark.range(100).select(F.timestamp_seconds("id").alias("event_time"))
    found = rows.cut_to(times, rows.TimeWindow(5_000_000, 30_000_000)).agg(F.min("event_time"), F.max("event_time"))
    assert [value.second for value in found.first()] == [5, 30]


@pytest.mark.parametrize("kind", ["string", "int", "bigint"])
def test_generated_entities_get_distinct_new_ids_of_the_logs_type(spark, kind):
    raw = spark.range(3000).selectExpr("id div 100 block", "id % 20 entity_place", "cast(id % 100 div 20 as int) place")
    log = SchemaConfig.model_validate({"user": "user", "item": "item"})
    space = rows.entity_space(log, StructType.fromDDL(f"user {kind}, item string"))
    numbers = rows.fit_entity_numbers(raw)
    made = rows.as_events(rows.with_new_ids(raw, numbers, space, "run"), log, "run", "journey").cache()
    assert made.select("user_id").distinct().count() == raw.select("block", "entity_place").distinct().count() == 600
    assert made.select("row_id").distinct().count() == 3000
    assert made.where(~space.reached_by(F.col("user_id")) | F.col("user_id").try_cast(kind).isNull()).count() == 0
    again = rows.as_events(rows.with_new_ids(raw.repartition(5), numbers, space, "run"), log, "run", "journey")
    assert_df_equality(made, again, ignore_row_order=True)
    other = rows.as_events(rows.with_new_ids(raw, numbers, space, "other"), log, "other", "journey")
    assert made.join(other, "row_id").count() == 0


def test_mapped_sessions_of_generated_users_get_ids_of_the_raw_type(spark):
    log = SchemaConfig.model_validate(
        {"user": "user", "session": "s", "item": "item", "event_time": {"column": "ts", "unit": "s"}}
    )
    raw_type = StructType.fromDDL("user string, s int, item string, ts bigint")
    _, events = reenacting(spark, log, raw_type)
    found = (
        rows.with_sessions(events, log, raw_type, "run")
        .select("entity_id", F.col("session_id").cast("int").alias("s"))
        .collect()
    )
    assert len(found) == 40
    assert len({row["s"] for row in found}) == 40  # events of a user lie four hours apart
    assert all(row["s"] >= keys.INT_FROM for row in found)


@pytest.mark.parametrize(("schema", "entity"), [({"session": "s"}, "session-syn-"), ({}, "row-")])
def test_without_users_the_session_or_the_row_is_the_entity(spark, schema, entity):
    log = SchemaConfig.model_validate({"item": "item"} | schema)
    events = (
        reenacting(spark, log, StructType.fromDDL("s string, item string"))[1]
        if schema
        else rows.as_events(raw_synthetic(spark).drop("entity_code"), log, "run", "vae")
    )
    found = events.collect()
    assert len(found) == 40
    assert all(row["entity_id"].startswith(entity) and row["user_id"] is None and row["label"] == 1 for row in found)


def test_derived_values_come_back_by_key_once_a_row(spark):
    train = spark.createDataFrame(
        [("i1", "u1", "red"), ("i1", "u2", "red"), ("i2", "u3", "odd"), ("i3", "u3", None), (None, "u3", None)],
        "item_id string, entity_id string, feature_colour string",
    )
    events = spark.createDataFrame([("i1",), ("i1",), ("i2",), ("i3",), ("cold",), (None,)], "item_id string")
    for least, expected in ((1, ["red", "red", "odd", None, None, None]), (2, ["red", "red", None, None, None, None])):
        values = derived.values_by_key(train, "feature_colour", "item_id", min_users=least)
        found = derived.with_value(events, values, "item_id").collect()
        assert sorted(map(str, (row["feature_colour"] for row in found))) == sorted(map(str, expected))
        assert len(found) == 6


def test_the_time_window_is_trains(shop, spark):
    window = rows.fit_time_window(shop)
    assert window.first_us == 1_700_000_000_000_000
    assert window.last_us > window.first_us
    assert rows.fit_time_window(shop.limit(0)) == rows.TimeWindow(None, None)

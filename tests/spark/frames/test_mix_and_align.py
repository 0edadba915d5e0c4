import pytest
from chispa import assert_df_equality
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import functions as F
from pyspark.sql.types import DecimalType, DoubleType, IntegerType, LongType, ShortType, StringType, StructType

from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import event_columns
from clickweave.errors import ConfigError, ContractError
from clickweave.frames.align import keys, rows
from clickweave.frames.mix.join import content_hash, join_sources
from clickweave.frames.mix.registry import PLANNED, STRATEGIES, strategy

COLUMNS = event_columns(("price", "stock"))


@pytest.fixture
def synthetic(shop):
    """The shop's rows under other ids, as if a generator had made them."""
    return shop.withColumns({"origin": F.lit("generated"), "row_id": F.xxhash64("row_id", F.lit("x"))})


def chosen_by(name, synthetic, num_real, num_synthetic, seed=0, **params):
    found = strategy(name)
    return found.choose(synthetic, found.Params(**params), num_real=num_real, num_synthetic=num_synthetic, seed=seed)


@pytest.mark.parametrize("name", STRATEGIES)
def test_mix_never_drops_or_changes_a_real_row(shop, synthetic, name):
    num = shop.count()
    mixed = join_sources([shop, chosen_by(name, synthetic, num, num)], COLUMNS)
    assert mixed.columns == list(COLUMNS)
    real = mixed.where("origin = 'real'")
    assert content_hash(real.repartition(7)) == content_hash(shop)
    assert_df_equality(real, shop.select(*COLUMNS), ignore_row_order=True)


@pytest.mark.parametrize("name", STRATEGIES)
def test_zero_synthetic_rows_are_a_legal_answer(shop, synthetic, name):
    nothing = synthetic.limit(0)
    assert join_sources([shop, chosen_by(name, nothing, shop.count(), 0)], COLUMNS).count() == shop.count()


def test_the_share_is_about_right_and_the_same_on_any_partitioning(spark):
    many = spark.range(10_000).select(F.xxhash64("id").alias("row_id"))
    some = chosen_by("share", many, 20_000, 10_000, synthetic_per_real=0.15)
    assert some.count() == pytest.approx(3000, abs=4 * (10_000 * 0.3 * 0.7) ** 0.5)
    again = chosen_by("share", many.orderBy(F.desc("row_id")).repartition(7), 20_000, 10_000, synthetic_per_real=0.15)
    assert content_ids(some) == content_ids(again)
    assert content_ids(some) != content_ids(chosen_by("share", many, 20_000, 10_000, seed=1, synthetic_per_real=0.15))
    assert chosen_by("share", many, 20_000, 10_000, synthetic_per_real=9).count() == 10_000
    assert chosen_by("share", many, 20_000, 10_000, synthetic_per_real=0).count() == 0


def content_ids(frame):
    return {row[0] for row in frame.select("row_id").collect()}


def test_a_changed_value_and_a_lost_row_change_the_hash(shop):
    whole = content_hash(shop)
    assert content_hash(shop.limit(0)) == {"rows": 0, "xor": 0, "sum": 0}
    assert content_hash(shop.where(F.col("row_id") != shop.first()["row_id"])) != whole
    changed = F.col("source").withField("note", F.lit("other"))
    assert content_hash(shop.withColumn("source", changed)) != whole


def test_strategies_that_are_not_built_yet_are_named_as_such():
    with pytest.raises(ConfigError, match="not built yet"):
        strategy(PLANNED[0])
    with pytest.raises(ConfigError, match="unknown"):
        strategy("sahre")


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


def test_generated_rows_get_keys_ids_time_and_sessions(spark, shop_log, shop):
    space = rows.entity_space(shop_log, RAW)
    entities = rows.entity_table(spark, ("ann", "bob", "cid", "dan"), 2, space, "run")
    window = rows.TimeWindow(5 * 3_600_000_000, 30 * 3_600_000_000)

    def made(num):
        raw = raw_synthetic(spark).repartition(num)
        events = rows.as_events(raw, entities, shop_log, window, "run", "vae")
        return rows.complete(rows.with_sessions(events, shop_log, RAW, "run"), shop)

    events = made(1).cache()
    found = events.collect()
    assert len({row["row_id"] for row in found}) == len(found) == 40
    assert {row["user_id"] for row in found} == {row["new_id"] for row in entities.collect()}
    assert all(row["user_id"] == row["entity_id"] and row["user_id"].startswith("syn-") for row in found)
    assert all(row["session_id"].startswith(row["user_id"]) for row in found)
    span = events.agg(F.min(F.unix_micros("event_time")), F.max(F.unix_micros("event_time"))).first()
    assert tuple(span) == (window.first_us, window.last_us)
    assert {(row["origin"], row["op"], row["parent_id"], row["weight"], row["run_id"]) for row in found} == {
        ("generated", "vae", None, 1.0, "run")
    }
    assert set(COLUMNS) - {"source"} <= set(events.columns)
    assert_df_equality(events, made(7), ignore_row_order=True)


def test_mapped_sessions_of_generated_users_get_ids_of_the_raw_type(spark):
    log = SchemaConfig.model_validate(
        {"user": "user", "session": "s", "item": "item", "event_time": {"column": "ts", "unit": "s"}}
    )
    raw_type = StructType.fromDDL("user string, s int, item string, ts bigint")
    entities = rows.entity_table(spark, ("a", "b", "c", "d"), 2, rows.entity_space(log, raw_type), "run")
    events = rows.as_events(raw_synthetic(spark), entities, log, rows.TimeWindow(0, 2**50), "run", "vae")
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
    space = rows.entity_space(log, StructType.fromDDL("s string, item string"))
    entities = None if space is None else rows.entity_table(spark, ("a", "b", "c", "d"), 2, space, "run")
    raw = raw_synthetic(spark).drop("event_time", "label", *([] if schema else ["entity_code"]))
    found = rows.as_events(raw, entities, log, rows.TimeWindow(None, None), "run", "vae").collect()
    assert len(found) == 40
    assert all(row["entity_id"].startswith(entity) and row["user_id"] is None and row["label"] == 1 for row in found)


def test_the_time_window_is_trains(shop, spark):
    window = rows.fit_time_window(shop)
    assert window.first_us == 1_700_000_000_000_000
    assert window.last_us > window.first_us
    assert rows.fit_time_window(shop.limit(0)) == rows.TimeWindow(None, None)

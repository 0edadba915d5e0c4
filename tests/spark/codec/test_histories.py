"""The codec at grain entity: histories as Spark prepares them, and back through the decoder."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from chispa import assert_df_equality
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from clickweave.codec.analyse import fit_codec, with_bin_counts
from clickweave.codec.decode import Decoder, HistoryDecoder, decoded_schema
from clickweave.codec.derived import fit_derived, functions_of, without_derived
from clickweave.codec.encode import encode_batch, shard_schema
from clickweave.codec.inputs import history_inputs, planned_columns
from clickweave.codec.spec import ENTITY, EVENT, LONG_GAP_US, CodecSpec, Derived
from clickweave.config.log import SchemaConfig
from clickweave.config.stages import EncodeConfig

LOG = SchemaConfig.model_validate(
    {
        "user": "u",
        "item": "i",
        "event_time": {"column": "t", "unit": "s"},
        "labels": {"click": "c"},
        "features": {"price": "numeric", "brand": "categorical", "city": "categorical", "constant": "numeric"},
        "user_features": {"age": "numeric", "gender": "categorical"},
    }
)
TYPE = (
    "row_id bigint, entity_id string, user_id string, item_id string, event_time timestamp, label bigint, "
    "feature_price double, feature_brand string, feature_city string, feature_constant double"
)
CONFIG = EncodeConfig(num_bins=8, min_users=2)
START = dt.datetime(2023, 1, 30, 22)
LENGTHS = [1, 2, 3, 5, 8, 13, 1, 2, 40, 4]


def train_rows():
    rng, rows = np.random.default_rng(0), []
    for user, length in enumerate(LENGTHS):
        time = START + dt.timedelta(seconds=int(rng.integers(0, 9_000)))
        for _ in range(length):
            item = int(rng.integers(0, 9))
            fixed = (f"u{user}", f"u{user}", f"i{item}", time, int(rng.integers(0, 2)), float(rng.integers(0, 900)) / 7)
            rows.append((len(rows), *fixed, f"b{item % 3}", f"c{user % 4}", 3.5))
            time += dt.timedelta(seconds=int(rng.choice([0, 30, 3600, 200_000])) + int(rng.integers(0, 50)))
    return rows


@pytest.fixture(scope="module")
def users(spark):
    rows = [(f"u{n}", 20.0 + n, "fm"[n % 2]) for n in range(len(LENGTHS))]
    return spark.createDataFrame(rows, "user_id string, feature_age double, feature_gender string").cache()


@pytest.fixture(scope="module")
def train(spark):
    return spark.createDataFrame(train_rows(), TYPE).cache()


@pytest.fixture(scope="module")
def inputs(train, users):
    return history_inputs(train, users, LOG).cache()


def fitted(inputs):
    planned = without_derived(planned_columns(LOG, ENTITY), fit_derived(inputs, LOG, ENTITY))
    return fit_codec(inputs, planned, CONFIG, grain=ENTITY, fitted_on="x")


@pytest.fixture(scope="module")
def spec(inputs):
    return fitted(inputs)


def test_columns_of_the_entity_come_first_and_attributes_are_not_coded_with_events(spec, inputs):
    totals = ["span", "span_days", "end_clock", "returns", "repeats", "events_of_label_1"]
    about = ["length", "profile_age", "profile_gender", *totals, "start_day", "start_clock", "feature_city"]
    assert [column.name for column in spec.at_level(ENTITY)] == about
    events = ["gap", "gap_days", "gap_clock", "item_id", "feature_price", "feature_constant", "label"]
    assert [column.name for column in spec.columns] == about + events
    expected = (Derived("feature_brand", "item_id"), Derived("feature_city", "entity_id"))
    assert fit_derived(inputs, LOG, ENTITY) == expected
    assert fit_derived(inputs, LOG, "row")[1] == Derived("feature_city", "user_id")
    assert spec.num_rows == sum(LENGTHS)


def test_a_column_that_breaks_the_rule_once_is_no_function(spark):
    rows = [(f"i{n % 5}", f"b{n % 5}", "x" if n else "y", None if n == 3 else 1.0) for n in range(50)]
    frame = spark.createDataFrame([*rows, ("once", "b", "x", 1.0)], "item_id string, b string, x string, n double")
    assert functions_of(frame, "item_id", ["b", "x", "n"]) == ["b"]
    assert functions_of(frame.where("item_id = 'once'"), "item_id", ["b", "x", "n"]) == []
    assert functions_of(frame.withColumn("item_id", F.expr("if(x = 'y', null, item_id)")), "item_id", ["b"]) == []
    empty = frame.withColumn("b", F.lit(None).cast("string"))
    assert functions_of(empty, "item_id", ["b"]) == []


def test_histories_are_numbered_in_order_of_time_on_any_partitioning(inputs, train, users):
    again = history_inputs(train.repartition(7), users, LOG)
    assert_df_equality(inputs, again, ignore_row_order=True)
    frame = inputs.orderBy("entity_id", "place").toPandas()
    for entity, rows in frame.groupby("entity_id"):
        number = int(entity[1:])
        assert rows["place"].tolist() == list(range(LENGTHS[number]))
        assert rows["time_us"].is_monotonic_increasing
        assert set(rows["length"]) == {LENGTHS[number]}
        assert set(rows["profile_age"]) == {20.0 + number}


def test_totals_are_what_the_events_add_up_to(inputs):
    frame = inputs.orderBy("entity_id", "place").toPandas()
    day_us = 86_400_000_000
    for _, rows in frame.groupby("entity_id"):
        first_us, last_us = rows["time_us"].iloc[[0, -1]]
        span = rows[["span", "span_days", "end_clock"]].iloc[0]
        if last_us - first_us < LONG_GAP_US:
            assert (span["span"], span.isna().tolist()) == (last_us - first_us, [False, True, True])
        else:
            assert first_us // day_us + span["span_days"] == last_us // day_us and span["end_clock"] == last_us % day_us
        happens = {
            "returns": rows["gap"].isna(),
            "repeats": rows["item_id"].duplicated(),
            "events_of_label_1": rows["label"] == 1,
        }
        for name, events in happens.items():
            assert set(rows[name]) == {events.sum()}, name
            assert rows[f"left_{name}"].tolist() == (events[::-1].cumsum()[::-1]).tolist(), name
        before_us = rows["time_us"].shift(fill_value=first_us)
        assert rows["left_span"].tolist() == (last_us - before_us).tolist()


def test_a_log_is_known_to_hold_an_item_once_only_with_each_label(spec, spark, users):
    assert not spec.once
    seen, kept = set(), []
    for row in train_rows():
        if (row[1], row[3], row[5]) not in seen:
            seen.add((row[1], row[3], row[5]))
            kept.append(row)
    assert fitted(history_inputs(spark.createDataFrame(kept, TYPE), users, LOG)).once


def test_gaps_say_when_the_next_event_is(inputs):
    frame = inputs.orderBy("entity_id", "place").toPandas()
    day_us, time_us = 86_400_000_000, frame["time_us"].to_numpy()
    first = (frame["place"] == 0).to_numpy()
    assert (time_us == frame["start_day"] * day_us + frame["start_clock"])[first].all()
    long = (np.diff(time_us, prepend=0) >= LONG_GAP_US) & ~first
    assert 0 < long.sum() < len(frame) / 2
    assert frame["gap"].isna().to_numpy().tolist() == long.tolist()
    assert frame["gap_days"].notna().tolist() == frame["gap_clock"].notna().tolist() == long.tolist()
    before = np.roll(time_us, 1)
    assert (before + frame["gap"] == time_us)[~long & ~first].all()
    assert (frame["gap"] == 0)[first].all()
    back = before - before % day_us + frame["gap_days"] * day_us + frame["gap_clock"]
    assert (back == time_us)[long].all()


def coded_histories(inputs, spec):
    """The coded rows of all histories, one after another."""
    names = sorted({column.name for column in spec.columns} | set(spec.history_columns))
    ordered = inputs.orderBy("entity_id", "place").coalesce(1).select(*names)
    return ordered.mapInArrow(
        lambda batches: (encode_batch(spec, batch) for batch in batches), from_arrow_schema(shard_schema(spec))
    )


def parts(frame, columns):
    """Codes and positions of some columns as a generator gives them."""
    codes = frame[[f"code_{column.name}" for column in columns]].to_numpy()
    return codes, frame[[f"position_{column.name}" for column in columns if column.has_position]].to_numpy()


def test_whole_histories_come_back_through_the_decoder(inputs, spec):
    coded = coded_histories(inputs, spec).toPandas()
    first = (coded["place"] == 0).to_numpy()
    owner = np.cumsum(first) - 1
    about, events = parts(coded[first], spec.at_level(ENTITY)), parts(coded, spec.at_level(EVENT))
    time_us = coded["time_us"].to_numpy()
    found = HistoryDecoder(spec)(*about, owner, *events, time_us, np.random.default_rng(0))
    assert found.schema == decoded_schema(spec)
    found, real = found.to_pandas(), inputs.orderBy("entity_id", "place").toPandas()
    assert found["entity_place"].tolist() == owner.tolist()
    for name in ("place", "item_id", "label", "profile_gender", "profile_age", "feature_city", "feature_constant"):
        assert found[name].tolist() == real[name].tolist(), name
    assert (found["event_time"].astype("int64") == time_us).all()


TIME_PARTS = ["length", "start_day", "start_clock", "gap", "gap_days", "gap_clock", "span", "span_days", "end_clock"]


@pytest.mark.parametrize("name", TIME_PARTS)
def test_each_part_of_time_comes_back_exactly(inputs, spec, name):
    column = next(column for column in spec.columns if column.name == name)
    alone = CodecSpec((replace(column, name=f"feature_{name}", level=EVENT),), spec.num_rows, "x")
    codes = parts(coded_histories(inputs, spec).toPandas(), [column])
    found = Decoder(alone)(*codes, np.random.default_rng(0)).column(0).to_pylist()
    real = [row[0] for row in inputs.orderBy("entity_id", "place").select(name).collect()]
    if name == "gap":  # fitted on events that have one before; a first 0 goes to the nearest bin
        place = [row[0] for row in inputs.orderBy("entity_id", "place").select("place").collect()]
        real, found = zip(
            *[pair for pair, k in zip(zip(real, found, strict=True), place, strict=True) if k], strict=True
        )
    assert list(found) == list(real)


def test_counts_are_of_histories_at_level_entity_and_of_events_below(inputs, spec):
    counted = with_bin_counts(spec, coded_histories(inputs, spec))
    assert counted.num_entities == len(LENGTHS)
    for column in counted.columns:
        rows = len(LENGTHS) if column.level == ENTITY else sum(LENGTHS)
        assert sum(column.counts) + column.num_null + column.num_rare == rows, column.name


def test_a_log_without_time_and_users_has_histories_of_one_event_and_a_length(spark, train):
    log = SchemaConfig.model_validate({"item": "i"})
    rows = train.withColumns(
        {"entity_id": F.concat(F.lit("row-"), "row_id"), "event_time": F.lit(None).cast("timestamp")}
    )
    inputs = history_inputs(rows, rows, log)
    spec = fit_codec(inputs, planned_columns(log, ENTITY), CONFIG, grain=ENTITY, fitted_on="x")
    assert [column.name for column in spec.columns] == ["length", "repeats", "item_id", "label"]
    assert spec.columns[0].lows == (1.0,)
    assert inputs.agg(F.max("place"), F.max("time_us")).first() == (0, 0)

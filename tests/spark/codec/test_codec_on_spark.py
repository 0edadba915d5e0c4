"""Fitting from Spark aggregates, and encoding inside Spark tasks."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from chispa import assert_df_equality
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from clickweave.codec.analyse import TAIL_HALVINGS, fit_codec, with_bin_counts
from clickweave.codec.decode import Decoder
from clickweave.codec.encode import encode_batch, shard_schema
from clickweave.codec.inputs import planned_columns, row_inputs
from clickweave.codec.spec import BINS, CodecSpec
from clickweave.config.log import SchemaConfig
from clickweave.config.stages import EncodeConfig
from clickweave.errors import ContractError

LOG = SchemaConfig.model_validate(
    {
        "user": "u",
        "item": "i",
        "query": "q",
        "position": "p",
        "event_time": {"column": "t", "unit": "s"},
        "labels": {"click": "c"},
        "features": {
            "price": "numeric",
            "stock": "numeric",
            "constant": "numeric",
            "empty": "numeric",
            "odd": "numeric",
            "colour": "categorical",
            "none": "categorical",
        },
    }
)
TYPE = (
    "entity_id string, item_id string, query string, position bigint, event_time timestamp, label bigint, "
    "feature_price double, feature_stock double, feature_constant double, feature_empty double, "
    "feature_odd double, feature_colour string, "
    "feature_none string"
)
CONFIG = EncodeConfig(num_bins=8, max_values=30, min_users=3)
NUM = 600
START = dt.datetime(2023, 1, 1)


def train_rows():
    rows = []
    for n in range(NUM):
        odd = {0: 1e15, 1: -0.0, 2: None}.get(n % 50, float(n % 3))
        colour = "x" * 300 if n % 5 == 0 else "one in a million" if n == 7 else ("red", "blue")[n % 2]
        rows.append(
            (
                f"u{n % 40}",
                f"i{n % 25}",
                f"q{n % 150}",
                n % 90,
                START + dt.timedelta(seconds=n * 977),
                n % 2,
                None if n % 9 == 0 else (n * 7919 % 1000) / 7,
                float(n % 4) if n % 3 else None,
                3.5,
                None,
                odd,
                colour,
                None,
            )
        )
    return rows


@pytest.fixture(scope="module")
def train(spark):
    return row_inputs(spark.createDataFrame(train_rows(), TYPE)).cache()


def fitted(train, log=LOG):
    return fit_codec(train, planned_columns(log, "row"), CONFIG, grain="row", fitted_on="x")


@pytest.fixture(scope="module")
def spec(train):
    return fitted(train)


def encoded(frame, spec):
    frame = frame.select(*[column.name for column in spec.columns])
    return frame.mapInArrow(
        lambda batches: (encode_batch(spec, b) for b in batches), from_arrow_schema(shard_schema(spec))
    )


def column_of(spec, name):
    return next(column for column in spec.columns if column.name == name)


def test_columns_stand_in_the_generators_order_with_all_rows_accounted_for(spec):
    features = [field.split()[0] for field in TYPE.split(", ") if field.startswith("feature")]
    first = ["entity_id", "event_day", "event_clock", "query", "item_id", "position"]
    assert [column.name for column in spec.columns] == [*first, *features, "label"]
    assert spec.num_rows == NUM
    start_us = int(START.replace(tzinfo=dt.UTC).timestamp()) * 1_000_000
    assert spec.window_us == (start_us, start_us + (NUM - 1) * 977_000_000)
    for column in spec.columns:
        if column.kind != BINS:
            assert sum(column.counts) + column.num_null + column.num_rare == NUM
            assert list(column.counts) == sorted(column.counts, reverse=True)
    assert [column.name for column in spec.columns if column.is_entity] == ["entity_id"]


def test_fitting_does_not_depend_on_partitions(train, spec):
    assert fitted(train.orderBy("position").repartition(7)) == spec


def test_encoding_does_not_depend_on_partitions(train, spec):
    expected = encoded(train.repartition(1), spec).cache()
    assert expected.count() == NUM
    for num in (2, 7):
        assert_df_equality(expected, encoded(train.repartition(num), spec), ignore_row_order=True)


def test_values_of_few_users_are_never_kept(train, spec):
    for name, least in (("query", 3), ("feature_colour", 3), ("item_id", 1), ("entity_id", 1)):
        column = column_of(spec, name)
        users = {row[0]: row[1] for row in train.groupBy(name).agg(F.count_distinct("entity_id")).collect()}
        assert all(users[value] >= least for value in column.values)
        assert len(column.values) <= CONFIG.max_values
    colour = column_of(spec, "feature_colour")
    assert "one in a million" not in colour.values
    assert "x" * 300 in colour.values
    assert colour.num_rare == 1


def test_decoding_what_was_encoded_keeps_values_and_stays_in_the_bin(train, spec):
    rows = train.orderBy("event_time").collect()
    batch = pa.RecordBatch.from_pylist([row.asDict() for row in rows])
    coded = encode_batch(spec, batch)
    codes = np.stack([coded.column(name).to_numpy() for name in spec.code_columns], 1)
    positions = np.stack([coded.column(name).to_numpy() for name in spec.position_columns], 1)
    found = Decoder(spec)(codes, positions, np.random.default_rng(0)).to_pylist()
    for number, (before, after) in enumerate(zip(rows, found, strict=True)):
        for name in (
            "item_id",
            "label",
            "position",
            "feature_stock",
            "feature_constant",
            "feature_empty",
            "feature_none",
        ):
            assert before[name] == after[name], name
        assert before["event_time"] == after["event_time"].replace(tzinfo=None)
        if before["query"] in column_of(spec, "query").values:
            assert before["query"] == after["query"]
        price = column_of(spec, "feature_price")
        code = codes[number, spec.columns.index(price)]
        if before["feature_price"] is None:
            assert after["feature_price"] is None
        else:
            low, high = price.lows[code - 1], price.highs[code - 1]
            assert low <= before["feature_price"] <= high
            assert after["feature_price"] == pytest.approx(before["feature_price"], abs=(high - low) * 1e-6)
        assert after["feature_odd"] == before["feature_odd"]


def test_bins_are_about_equally_full_but_for_finer_ones_in_the_tails_and_their_counts_sum_to_the_rows(train, spec):
    counted = with_bin_counts(spec, encoded(train, spec).cache())
    for column in counted.columns:
        if column.kind == BINS:
            assert len(column.counts) == len(column.lows)
            assert sum(column.counts) + column.num_null == NUM
    price = column_of(counted, "feature_price")
    assert len(price.lows) == CONFIG.num_bins + 2 * TAIL_HALVINGS
    inner = price.counts[TAIL_HALVINGS + 1 : -TAIL_HALVINGS - 1]
    assert max(inner) < 1.3 * min(inner)
    tail = price.counts[: TAIL_HALVINGS + 1]
    assert sum(tail) == pytest.approx(min(inner), rel=0.3)
    assert list(tail) == sorted(tail)
    assert CodecSpec.from_json(counted.to_json()) == counted


def test_a_constant_an_empty_and_a_stepped_column(spec):
    constant, empty = column_of(spec, "feature_constant"), column_of(spec, "feature_empty")
    assert (constant.lows, constant.highs, constant.has_position) == ((3.5,), (3.5,), False)
    assert (empty.lows, empty.num_null, empty.num_codes) == ((), NUM, 1)
    assert column_of(spec, "feature_stock").lows == (0.0, 1.0, 2.0, 3.0)
    assert (column_of(spec, "event_clock").step, column_of(spec, "position").step) == (1e6, 1.0)
    days = column_of(spec, "event_day")
    assert (days.lows, days.has_position) == (tuple(float(19_358 + n) for n in range(7)), False)
    assert column_of(spec, "feature_none").values == ()


def test_a_log_without_rows_is_refused(train):
    with pytest.raises(ContractError, match="real/train has no rows"):
        fitted(train.limit(0))


def test_the_label_is_left_out_where_thresholds_imply_it(train):
    log = SchemaConfig.model_validate({"item": "i", "labels": {"good": {"column": "price", "at_least": 50}}})
    names = [column.name for column in fitted(train, log).columns]
    assert names == ["item_id", "feature_price"]

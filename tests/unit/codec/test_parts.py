"""Columns that are coded in parts, as decoded rows show them."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickweave.codec.decode import Decoder, HistoryDecoder, decoded_schema
from clickweave.codec.encode import encode_batch
from clickweave.codec.part_names import clock_part, day_part, length_part, numbered_part, since_part
from clickweave.codec.spec import BINS, VALUES, CodecSpec, ColumnSpec, Parts

DAY_US = 86_400_000_000
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def values(name, *kept, **more):
    counts, pool = tuple(range(len(kept), 0, -1)), tuple(range(len(kept)))
    return ColumnSpec(name, VALUES, more.pop("type", "string"), values=kept, counts=counts, rare_pool=pool, **more)


def bins(name, *edges, **more):
    return ColumnSpec(name, BINS, "long", lows=edges, highs=edges, step=1.0, **more)


def time_spec(days, clocks, name="feature_t", level="event"):
    columns = (bins(day_part(name), *days, level=level), bins(clock_part(name), *clocks, level=level))
    return CodecSpec(columns, 9, "x", parts=(Parts(name, "time", tuple(c.name for c in columns)),))


@given(st.lists(st.none() | st.tuples(st.sampled_from([-3, 0, 18_500]), st.sampled_from([0, 1, DAY_US - 1]))))
def test_a_time_comes_back_from_its_day_and_clock(drawn):
    spec = time_spec((-3.0, 0.0, 18_500.0), (0.0, 1.0, DAY_US - 1.0))
    rows = {
        day_part("feature_t"): pa.array([None if each is None else each[0] for each in drawn], pa.int64()),
        clock_part("feature_t"): pa.array([None if each is None else each[1] for each in drawn], pa.int64()),
    }
    coded = encode_batch(spec, pa.RecordBatch.from_pydict(rows))
    codes = np.stack([coded.column(name).to_numpy() for name in spec.code_columns], 1)
    found = Decoder(spec)(codes, np.zeros((len(codes), 0)), np.random.default_rng(0))
    assert found.schema == decoded_schema(spec)
    wanted = [None if each is None else EPOCH + dt.timedelta(days=each[0], microseconds=each[1]) for each in drawn]
    assert found.to_pydict() == {"feature_t": wanted}


def test_a_distance_of_times_stays_one():
    name = since_part("feature_t")
    spec = CodecSpec((bins(name, -5.0, 7.0),), 9, "x", parts=(Parts("feature_t", "since", (name,)),))
    found = Decoder(spec)(np.array([[1], [2], [0]]), np.zeros((3, 0)), np.random.default_rng(0))
    assert found.to_pydict() == {name: [-5, 7, None]}


DIGITS = [numbered_part("feature_v", number) for number in (0, 1)]
VECTOR = CodecSpec(
    tuple(values(name, "1", "0", type="long") for name in DIGITS),
    9,
    "x",
    parts=(Parts("feature_v", "vector", tuple(DIGITS)),),
)
CENTROIDS = {"feature_v.centroids": np.array([[[1, 2], [3, 4]], [[0.5, 0], [0, 0.25]]], np.float32)}


def test_a_vector_is_the_sum_of_its_centroids_and_null_where_the_first_digit_is():
    codes = np.array([[3, 2], [2, 3], [0, 2], [2, 0]])
    found = Decoder(VECTOR, CENTROIDS)(codes, np.zeros((4, 0)), np.random.default_rng(0))
    assert found.schema == decoded_schema(VECTOR)
    assert found.to_pydict() == {"feature_v": [[1.0, 2.25], [3.5, 4.0], None, [3.0, 4.0]]}


def text_spec(level="event", name="query"):
    slots = [
        values(numbered_part(name, n), *kept, level=level) for n, kept in enumerate([("red", "blue"), (" car", "s")])
    ]
    length = values(length_part(name), "2", "1", "0", type="long", level=level)
    columns = (values(name, "red shoes", level=level), length, *slots)
    parts = Parts(name, "text", tuple(c.name for c in columns[1:]), ("red", "blue", "car", "s"))
    return CodecSpec(columns, 9, "x", parts=(parts,))


def test_a_text_is_a_whole_value_or_its_pieces_or_null():
    codes = np.array([[2, 0, 0, 0], [1, 2, 3, 2], [1, 3, 2, 3], [0, 2, 2, 2], [1, 4, 0, 0], [1, 0, 2, 2]])
    found = Decoder(text_spec())(codes, np.zeros((6, 0)), np.random.default_rng(0))
    assert found.schema.names == ["query"]
    # what has no piece becomes a frequent value, as a rare code of any other column
    assert found["query"].to_pylist() == ["red shoes", "blue car", "red", None, "red shoes", "red shoes"]


def test_a_users_parts_stand_at_each_of_the_events():
    name = "profile_since"
    spec = time_spec((0.0, 1.0), (0.0,), name, level="entity")
    spec = CodecSpec((*spec.columns, values("item_id", "a")), 9, "x", grain="entity", parts=spec.parts)
    owner, events = np.array([0, 0, 1]), np.array([[2], [2], [2]])
    none = np.zeros((3, 0))
    about = np.array([[2, 1], [0, 0]]), np.zeros((2, 0))
    found = HistoryDecoder(spec)(*about, owner, events, none, np.zeros(3, np.int64), np.random.default_rng(0))
    assert found.schema == decoded_schema(spec)
    assert found[name].to_pylist() == [EPOCH + dt.timedelta(days=1)] * 2 + [None]


@pytest.mark.parametrize("spec", [VECTOR, text_spec(), time_spec((0.0,), (0.0,))])
def test_a_codec_with_parts_comes_back_from_json(spec):
    assert CodecSpec.from_json(spec.to_json()) == spec

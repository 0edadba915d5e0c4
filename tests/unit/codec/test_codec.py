"""Laws of the codec on Arrow batches; fitting from Spark is tested in tests/spark/codec."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clickweave.codec.analyse import bins_between
from clickweave.codec.decode import ENTITY_CODE, Decoder, decoded_schema
from clickweave.codec.encode import encode_batch, shard_schema
from clickweave.codec.spec import BINS, FIRST_VALUE, NULL_CODE, RARE_CODE, VALUES, CodecSpec, ColumnSpec
from clickweave.errors import ContractError


def spec_of(*columns):
    return CodecSpec(columns, 10, "x")


def values(name, kept, **more):
    counts = more.pop("counts", tuple(range(len(kept), 0, -1)))
    return ColumnSpec(
        name, VALUES, more.pop("type", "string"), values=kept, counts=counts, rare_pool=tuple(range(len(kept))), **more
    )


def bins(name, lows, highs, kind="double", step=0.0):
    return ColumnSpec(name, BINS, kind, lows=lows, highs=highs, step=step)


def round_trip(spec, **columns):
    """Encodes one column, then decodes it."""
    coded = encode_batch(spec, pa.RecordBatch.from_pydict(columns))
    codes = np.stack([coded.column(name).to_numpy() for name in spec.code_columns], 1)
    places = [coded.column(name).to_numpy() for name in spec.position_columns]
    positions = np.stack(places, 1) if places else np.zeros((len(codes), 0), np.float32)
    return Decoder(spec)(codes, positions, np.random.default_rng(0)).to_pydict()


numbers = st.floats(-1e9, 1e9, allow_nan=False, width=32)
edges_of = st.lists(numbers, min_size=1, max_size=12).map(sorted)
whole_edges_of = st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=12).map(sorted)


def assert_bins_partition(edges, lows, highs):
    assert len(lows) == len(highs) > 0
    assert all(low <= high for low, high in zip(lows, highs, strict=True))
    assert all(high <= low for high, low in zip(highs, lows[1:], strict=False))
    assert list(zip(lows, highs, strict=True)) == sorted(set(zip(lows, highs, strict=True)))
    assert (lows[0], highs[-1]) == (edges[0], edges[-1])
    for edge in edges:
        assert any(low <= edge <= high for low, high in zip(lows, highs, strict=True))
        if edges.count(edge) > 1:
            assert (edge, edge) in zip(lows, highs, strict=True)  # much mass: a spike of its own


@given(edges_of)
def test_bins_ascend_without_overlap_and_cover_every_edge(edges):
    assert_bins_partition(edges, *bins_between(edges, 0.0))


@given(whole_edges_of)
def test_bins_with_a_step_share_no_number(edges):
    edges = [float(edge) for edge in edges]
    lows, highs = bins_between(edges, 1.0)
    assert_bins_partition(edges, lows, highs)
    assert all(after - high == 1 for high, after in zip(highs, lows[1:], strict=False))
    assert all(number == int(number) for number in (*lows, *highs))


@given(edges_of, st.lists(numbers, min_size=1, max_size=20))
def test_a_number_decodes_inside_its_bin(edges, drawn):
    lows, highs = bins_between(edges, 0.0)
    inside = [min(max(x, edges[0]), edges[-1]) for x in drawn]
    found = round_trip(spec_of(bins("x", lows, highs)), x=inside)["x"]
    for before, after in zip(inside, found, strict=True):
        assert any(low <= before <= high and low <= after <= high for low, high in zip(lows, highs, strict=True))


@given(st.lists(st.integers(-500_000, 500_000), min_size=1, max_size=12).map(sorted), st.data())
def test_a_whole_number_comes_back_exactly(edges, data):
    lows, highs = bins_between([float(edge) for edge in edges], 1.0)
    drawn = data.draw(st.lists(st.integers(edges[0], edges[-1]), min_size=1, max_size=20))
    assert round_trip(spec_of(bins("position", lows, highs, "long", 1.0)), position=drawn)["position"] == drawn


@given(st.lists(numbers, min_size=1, max_size=12, unique=True).map(sorted), st.data())
def test_few_values_come_back_exactly(kept, data):
    drawn = data.draw(st.lists(st.sampled_from(kept), min_size=1))
    assert round_trip(spec_of(bins("x", tuple(kept), tuple(kept))), x=drawn)["x"] == drawn


@given(st.lists(st.text(max_size=5), min_size=1, max_size=6, unique=True), st.data())
def test_a_kept_value_comes_back_exactly(kept, data):
    drawn = data.draw(st.lists(st.none() | st.sampled_from(kept), min_size=1))
    assert round_trip(spec_of(values("v", tuple(kept))), v=pa.array(drawn, pa.string()))["v"] == drawn


@given(edges_of, st.floats(0, 1, width=32), st.sampled_from([0.0, 1.0]))
def test_no_position_leaves_the_bin(edges, inside, step):
    edges = [float(round(edge)) for edge in edges] if step else edges
    lows, highs = bins_between(edges, step)
    spec = spec_of(bins("x", lows, highs, step=step))
    assume(spec.position_columns)
    codes = np.arange(1, len(lows) + 1)[:, None]
    found = Decoder(spec)(codes, np.full((len(lows), 1), inside, np.float32), np.random.default_rng(0))
    decoded = found.column("x").to_pylist()
    assert all(low <= x <= high for low, x, high in zip(lows, decoded, highs, strict=True))


def test_time_comes_back_to_the_step():
    edges = [float(1_600_000_000_000_000 + second * 1_000_000) for second in (0, 500, 5000, 90_000)]
    lows, highs = bins_between(edges, 1e6)
    first = dt.datetime(2020, 9, 13, 12, 26, 40, tzinfo=dt.UTC)
    times = [first + dt.timedelta(seconds=second) for second in (0, 499, 500, 4999, 77_777, 90_000)]
    column = pa.array([*times, None], pa.timestamp("us", tz="UTC"))
    found = round_trip(spec_of(bins("event_time", lows, highs, "timestamp", 1e6)), event_time=column)
    assert found["event_time"] == [*times, None]


def test_null_is_code_zero_and_comes_back_as_null():
    spec = spec_of(values("v", ("a",)), bins("x", (0.0, 1.0), (1.0, 2.0)), values("label", ("1",), type="long"))
    nulls = pa.nulls(2)
    rows = {"v": nulls.cast("string"), "x": nulls.cast("double"), "label": nulls.cast("int64")}
    coded = encode_batch(spec, pa.RecordBatch.from_pydict(rows))
    assert all(coded.column(name).to_pylist() == [NULL_CODE, NULL_CODE] for name in spec.code_columns)
    assert round_trip(spec, **rows) == {"v": [None, None], "x": [None, None], "label": [None, None]}


def test_an_unseen_value_is_rare_and_becomes_a_kept_one_by_frequency():
    spec = spec_of(values("v", ("a", "b"), counts=(90, 10)))
    found = round_trip(spec, v=["never seen"] * 4000)["v"]
    assert set(found) == {"a", "b"}
    assert found.count("b") / 4000 == pytest.approx(0.1, abs=4 * (0.09 / 4000) ** 0.5)


def test_a_rare_code_without_any_kept_value_is_null():
    assert round_trip(spec_of(values("v", ())), v=["x", "y"])["v"] == [None, None]


def test_a_number_outside_all_bins_goes_to_the_nearest_end():
    spec = spec_of(bins("x", (0.0, 10.0), (1.0, 20.0)))
    assert round_trip(spec, x=[-5.0, 2.0, 9.0, 99.0])["x"] == [0.0, 1.0, 10.0, 20.0]


def test_a_column_without_any_number_is_null():
    assert round_trip(spec_of(bins("x", (), ())), x=[1.0, None])["x"] == [None, None]


def test_numbers_past_the_53_bits_of_a_double_do_not_stop_encoding():
    spec = spec_of(bins("position", (0.0,), (2.0**60,), "long", 1.0))
    assert round_trip(spec, position=[2**53 + 1])["position"][0] == pytest.approx(2**53, abs=2**60 * 1e-6)


def test_minus_zero_and_zero_share_a_code():
    spec = spec_of(bins("x", (-1.0, 0.0, 1.0), (-1.0, 0.0, 1.0)))
    assert round_trip(spec, x=[-0.0, 0.0])["x"] == [0.0, 0.0]


def test_the_entity_comes_back_as_its_code_never_as_the_real_id():
    spec = spec_of(values("entity_id", ("ann", "bob"), is_entity=True))
    assert decoded_schema(spec).names == [ENTITY_CODE]
    assert round_trip(spec, entity_id=["bob", "ann"]) == {ENTITY_CODE: [FIRST_VALUE + 1, FIRST_VALUE]}


def test_a_missing_column_is_named():
    with pytest.raises(ContractError, match=r"column 'v' of the codec is missing; has \['w'\]"):
        encode_batch(spec_of(values("v", ("a",))), pa.RecordBatch.from_pydict({"w": ["a"]}))


def test_codes_stay_inside_their_space_and_the_schema_holds():
    spec = spec_of(values("v", ("a", "b")), bins("x", (0.0, 1.0), (1.0, 2.0)))
    coded = encode_batch(spec, pa.RecordBatch.from_pydict({"v": ["a", "b", "c", None], "x": [0.5, None, 3.0, -3.0]}))
    assert coded.schema == shard_schema(spec)
    for column in spec.columns:
        assert max(coded.column(f"code_{column.name}").to_pylist()) < column.num_codes
    assert coded.column("code_v").to_pylist() == [2, 3, RARE_CODE, NULL_CODE]


@given(st.lists(st.text(max_size=4), unique=True, max_size=4), edges_of)
def test_a_codec_comes_back_from_json(kept, edges):
    spec = spec_of(values("v", tuple(kept), is_entity=True), bins("x", *bins_between(edges, 0.0)), bins("y", (), ()))
    assert CodecSpec.from_json(spec.to_json()) == spec

"""Laws of the codec on Arrow batches; fitting from Spark is tested in tests/spark/codec."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clickweave.codec.analyse import bins_between
from clickweave.codec.decode import ENTITY_CODE, Decoder, HistoryDecoder, decoded_schema
from clickweave.codec.encode import encode_batch, shard_schema
from clickweave.codec.spec import BINS, FIRST_VALUE, NULL_CODE, RARE_CODE, VALUES, CodecSpec, ColumnSpec, Derived
from clickweave.errors import ContractError


def spec_of(*columns):
    return CodecSpec(columns, 10, "x")


def values(name, kept, **more):
    counts = more.pop("counts", tuple(range(len(kept), 0, -1)))
    return ColumnSpec(
        name, VALUES, more.pop("type", "string"), values=kept, counts=counts, rare_pool=tuple(range(len(kept))), **more
    )


def bins(name, lows, highs, kind="double", step=0.0, **more):
    return ColumnSpec(name, BINS, kind, lows=lows, highs=highs, step=step, **more)


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


DAY_US = 86_400_000_000
MICROS = st.integers(0, DAY_US - 1)


def time_spec(days, clock_edges, step):
    clock = bins("event_clock", *bins_between([float(edge) for edge in clock_edges], float(step)), "long", float(step))
    days = tuple(float(day) for day in days)
    return spec_of(bins("event_day", days, days, "long", 1.0), clock)


def test_day_and_clock_come_back_as_one_time_to_the_step():
    spec = time_spec([18_500, 18_503], [0, 40_000_000_000, 40_000_000_000, DAY_US - 1_000_000], 1_000_000)
    clocks = [0, 39_999_000_000, 40_000_000_000, 40_001_000_000, 77_777_000_000, DAY_US - 1_000_000]
    days = [18_500, 18_503] * 3
    found = round_trip(spec, event_day=[*days, None], event_clock=[*clocks, None])
    assert decoded_schema(spec).names == list(found) == ["event_time"]
    times = [
        dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=day, microseconds=clock)
        for day, clock in zip(days, clocks, strict=True)
    ]
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


TEXT, NUMBER = pa.array(["1"]), pa.array([1.5])


@pytest.mark.parametrize(
    ("column", "wrong"),
    [
        (values("v", ("1",)), pa.array([1])),
        (values("v", ("1",)), pa.array([["1"]])),
        (values("label", ("1",), type="long"), TEXT),
        (values("label", ("1",), type="long"), NUMBER),
        (bins("x", (0.0,), (2.0,)), TEXT),
        (bins("event_day", (0.0,), (2.0,), "long"), pa.array([0], pa.timestamp("us"))),
    ],
)
def test_a_column_of_another_type_is_refused_by_name(column, wrong):
    with pytest.raises(ContractError, match=f"column '{column.name}' holds .*fitted for {column.type}; encode"):
        encode_batch(spec_of(column), pa.RecordBatch.from_pydict({column.name: wrong}))


@pytest.mark.parametrize("code", [-1, 4])
def test_a_code_of_another_codec_is_refused_by_name(code):
    spec = spec_of(values("label", ("0",), type="long"), values("v", ("a", "b")))
    with pytest.raises(ContractError, match="column 'v' has codes outside 0 to 3"):
        Decoder(spec)(np.array([[2, 2], [2, code]]), np.zeros((2, 0)), np.random.default_rng(0))


def test_a_wide_column_comes_as_codes_and_needs_no_list_of_values():
    column = values("item_id", ("a", "b"), num_digits=1)
    light = spec_of(replace(column, values=(), counts=()))
    coded = encode_batch(light, pa.RecordBatch.from_pydict({"code_item_id": pa.array([3, 0, 1, 2], pa.int32())}))
    assert coded.schema == shard_schema(spec_of(column))
    assert coded.column("code_item_id").to_pylist() == [3, 0, 1, 2]
    with pytest.raises(ContractError, match="column 'code_item_id' of the codec is missing"):
        encode_batch(light, pa.RecordBatch.from_pydict({"item_id": ["a"]}))


HISTORY = CodecSpec(
    (
        bins("length", (1.0,), (9.0,), "long", 1.0, level="entity"),
        values("profile_sex", ("f", "m"), level="entity"),
        bins("gap", (0.0, 1e6), (0.0, 9e6), "long", 1e6),
        values("item_id", ("a", "b")),
    ),
    10,
    "x",
    grain="entity",
)


def test_events_of_a_history_carry_its_profile_their_place_and_their_time():
    owner, time_us = np.array([0, 0, 2, 2, 2]), np.array([5, 6, 7, 7, 9]) * 1_000_000
    about = np.array([[1, 2], [1, 3], [1, 0]]), np.full((3, 1), 0.5)
    events = np.array([[1, 2], [2, 3], [1, 2], [1, 0], [2, 3]]), np.full((5, 1), 0.5)
    found = HistoryDecoder(HISTORY)(*about, owner, *events, time_us, np.random.default_rng(0))
    assert found.schema == decoded_schema(HISTORY)
    rows = found.to_pydict()
    assert rows.pop("event_time") == [dt.datetime.fromtimestamp(s, dt.UTC) for s in (5, 6, 7, 7, 9)]
    assert rows == {
        "entity_place": [0, 0, 2, 2, 2],
        "place": [0, 1, 0, 1, 2],
        "item_id": ["a", "b", "a", None, "b"],
        "profile_sex": ["f", "f", None, None, None],
    }


def test_no_history_gives_no_row():
    empty = np.zeros((0, 2), np.int64), np.zeros((0, 1), np.float32)
    nothing = np.zeros(0, np.int64)
    found = HistoryDecoder(HISTORY)(*empty, nothing, *empty, nothing, np.random.default_rng(0))
    assert (found.num_rows, found.schema) == (0, decoded_schema(HISTORY))


def test_shards_of_histories_carry_place_and_time():
    rows = {"length": [2, 2], "profile_sex": ["f", "f"], "gap": [0, 4_000_000], "item_id": ["a", None]}
    more = {"place": [0, 1], "time_us": [5, 4_000_005]}
    coded = encode_batch(HISTORY, pa.RecordBatch.from_pydict(rows | more))
    assert coded.schema.names == [*HISTORY.code_columns, *HISTORY.position_columns, "place", "time_us"]
    assert [str(field.type) for field in coded.schema][-2:] == ["int64", "int64"]
    assert {name: coded.column(name).to_pylist() for name in more} == more
    with pytest.raises(ContractError, match="column 'place' of the codec is missing"):
        encode_batch(HISTORY, pa.RecordBatch.from_pydict(rows))


def test_codes_stay_inside_their_space_and_the_schema_holds():
    spec = spec_of(values("v", ("a", "b")), bins("x", (0.0, 1.0), (1.0, 2.0)))
    coded = encode_batch(spec, pa.RecordBatch.from_pydict({"v": ["a", "b", "c", None], "x": [0.5, None, 3.0, -3.0]}))
    assert coded.schema == shard_schema(spec)
    for column in spec.columns:
        assert max(coded.column(f"code_{column.name}").to_pylist()) < column.num_codes
    assert coded.column("code_v").to_pylist() == [2, 3, RARE_CODE, NULL_CODE]


@given(st.lists(st.text(max_size=4), unique=True, max_size=4), edges_of)
def test_a_codec_comes_back_from_json(kept, edges):
    columns = values("v", tuple(kept), num_digits=2), bins("x", *bins_between(edges, 0.0), level="entity")
    derived = Derived("feature_genre", "item_id"), Derived("feature_city", "user_id")
    spec = CodecSpec((*columns, bins("y", (), ())), 9, "k", grain="entity", derived=derived, window_us=(3, 2**60))
    assert CodecSpec.from_json(spec.to_json()) == spec

import datetime as dt

import pytest

from clickweave.config.log import SchemaConfig
from clickweave.config.stages import IngestConfig
from clickweave.frames.normalise import canonical_events
from clickweave.frames.vectors import fit_lengths

NAN, INF = float("nan"), float("inf")
ITEM = {"item": "i"}
LONG_MIN = -(2**63)


def at(text):
    return dt.datetime.fromisoformat(text)


def column(raw_of, schema, ddl, values, canonical):
    """The canonical values and the reasons of a log with the item `x` and one more column `c`."""
    rows = [("x", number, value) for number, value in enumerate(values)]
    log = SchemaConfig.model_validate(ITEM | schema)
    events = canonical_events(raw_of(rows, f"i string, n int, c {ddl}"), log, IngestConfig())
    found = events.orderBy("source.n").select(canonical, "reasons").collect()
    return [row[0] for row in found], [row["reasons"] for row in found]


GOOD_TIME = at("2023-11-14 22:13:20")
TIMES = [
    # event_time, type of the column, raw value, microseconds that it means beyond 2023-11-14 22:13:20
    ({"unit": "s"}, "bigint", 1_700_000_000, 0),
    ({"unit": "s"}, "int", 1_700_000_000, 0),
    ({"unit": "s"}, "string", "1700000000", 0),
    ({"unit": "s"}, "double", 1_700_000_000.25, 250_000),
    ({"unit": "s"}, "string", "1700000000.123456", 123_456),
    ({"unit": "ms"}, "bigint", 1_700_000_000_007, 7_000),
    ({"unit": "ms"}, "double", 1_700_000_000_007.5, 7_500),
    ({"unit": "us"}, "bigint", 1_700_000_000_000_009, 9),
    ({"format": "dd/MM/yyyy HH:mm:ss"}, "string", "14/11/2023 22:13:20", 0),
    ({}, "timestamp", GOOD_TIME, 0),
    ({}, "string", "2023-11-14T22:13:20Z", 0),
    ({}, "string", "2023-11-14 23:13:20+01:00", 0),
]


@pytest.mark.parametrize(("spec", "ddl", "value", "more_us"), TIMES, ids=[f"{r[0]} {r[1]} {r[2]}" for r in TIMES])
def test_time_is_utc_to_the_microsecond(raw_of, spec, ddl, value, more_us):
    found, reasons = column(raw_of, {"event_time": {"column": "c"} | spec}, ddl, [value], "event_time")
    assert found == [GOOD_TIME + dt.timedelta(microseconds=more_us)]
    assert reasons == [[]]


BAD_TIMES = [
    ({"unit": "s"}, "bigint", [None, LONG_MIN, 2**63 - 1], "null or does not parse"),
    ({"unit": "us"}, "bigint", [LONG_MIN, 2**63 - 1], "is outside 1970-01-01 to 2100-01-01"),
    ({"unit": "s"}, "double", [NAN, INF, 1e300], "null or does not parse"),
    ({"unit": "s"}, "string", ["", "soon", "1,5"], "null or does not parse"),
    ({"format": "yyyy-MM-dd"}, "string", ["", "14/11/2023", None], "null or does not parse"),
    ({}, "string", ["", "never", None], "null or does not parse"),
    ({"unit": "s"}, "bigint", [-1, 4_102_444_800, 1_700_000_000_000], "is outside 1970-01-01 to 2100-01-01"),
]


@pytest.mark.parametrize(("spec", "ddl", "values", "said"), BAD_TIMES, ids=[f"{r[0]} {r[1]} {r[3]}" for r in BAD_TIMES])
def test_a_bad_time_has_exactly_one_reason(raw_of, spec, ddl, values, said):
    _, reasons = column(raw_of, {"event_time": {"column": "c"} | spec}, ddl, values, "item_id")
    assert reasons == [[f"event_time (c) {'is ' if said[0] == 'n' else ''}{said}"]] * len(values)


LABEL = "label is null or not one that the recipe names"
LABELS = [
    ({"click": "c"}, "boolean", [True, False, None], [1, 0, None]),
    ({"click": "c"}, "string", ["true", "FALSE", "1", "0", "0.0", "2", "yes", ""], [1, 0, 1, 0, 0, 1, None, None]),
    ({"click": "c"}, "double", [1.0, 0.0, -1.0, NAN, None], [1, 0, 0, None, None]),
    ({"click": {"column": "c", "at_least": 4}}, "double", [4.0, 3.99, INF, NAN, None], [1, 0, 1, None, None]),
    ({"click": {"column": "c", "at_least": 4}}, "string", ["5", "x", None], [1, None, None]),
    ({"column": "c", "order": ["view", "buy"]}, "string", ["view", "buy", "View", None], [1, 2, None, None]),
    (None, "string", ["a", None], [1, 1]),
]


@pytest.mark.parametrize(("labels", "ddl", "values", "levels"), LABELS, ids=[f"{r[0]} {r[1]}" for r in LABELS])
def test_labels_become_levels_and_what_cannot_be_told_is_a_reason(raw_of, labels, ddl, values, levels):
    found, reasons = column(raw_of, {"labels": labels}, ddl, values, "label")
    assert found == levels
    wanted = [[LABEL] if level is None else [] for level in levels]
    if labels == {"click": {"column": "c", "at_least": 4}}:  # the column is also carried as a feature
        reasons = [[reason for reason in row if not reason.startswith("feature c")] for row in reasons]
    assert reasons == wanted


def test_a_stronger_label_needs_the_weaker_one(raw_of):
    rows = [("x", 0, 0), ("x", 1, 0), ("x", 1, 1), ("x", 0, 1)]
    log = SchemaConfig.model_validate(ITEM | {"labels": {"click": "a", "buy": "b"}})
    events = canonical_events(raw_of(rows, "i string, a int, b int"), log, IngestConfig())
    found = {(row["source"]["a"], row["source"]["b"]): (row["label"], row["reasons"]) for row in events.collect()}
    broken = ["a stronger label stands without the weaker one"]
    assert found == {(0, 0): (0, []), (1, 0): (1, []), (1, 1): (2, []), (0, 1): (2, broken)}


FEATURES = [
    ({"kind": "numeric"}, "double", [1.5, None, NAN], [1.5, None, None], []),
    ({"kind": "numeric"}, "double", [INF, -INF], [None, None], [0, 1]),
    ({"kind": "numeric"}, "string", ["2", " 3.5 ", "", "nan", "x"], [2.0, 3.5, None, None, None], [4]),
    ({"kind": "numeric"}, "boolean", [True, False], [1.0, 0.0], []),
    ({"kind": "numeric", "scale": 0.01}, "int", [250, None], [2.5, None], []),
    ({"kind": "numeric", "scale": 0.01, "min": 1, "max": 2}, "int", [50, 150, 250], [1.0, 1.5, 2.0], []),
    ({"kind": "categorical", "case": "lower"}, "string", ["AbÉ", None], ["abé", None], []),
    ({"kind": "id", "case": "upper"}, "string", ["ab"], ["AB"], []),
    ({"kind": "categorical"}, "int", [7, None], ["7", None], []),
]


@pytest.mark.parametrize(("spec", "ddl", "values", "wanted", "bad"), FEATURES, ids=[f"{r[0]} {r[1]}" for r in FEATURES])
def test_features_are_in_canonical_units(raw_of, spec, ddl, values, wanted, bad):
    found, reasons = column(raw_of, {"features": {"f": {"column": "c"} | spec}}, ddl, values, "feature_f")
    assert found == wanted
    assert reasons == [["feature f (c) is not a number"] if number in bad else [] for number in range(len(values))]


MOMENT = {"kind": "time", "unit": "s"}
KINDS = [
    (MOMENT, "string", ["1700000000", None, "", "soon"], [GOOD_TIME, None, None, None], [3]),
    (MOMENT, "double", [1.7e9, NAN, 1e300], [GOOD_TIME, None, None], [2]),
    ({"kind": "time"}, "timestamp", [GOOD_TIME, None], [GOOD_TIME, None], []),
    ({"kind": "time", "format": "yyyy-MM-dd"}, "string", ["2023-11-14", "14/11"], [at("2023-11-14"), None], [1]),
    ({"kind": "text", "case": "lower"}, "string", ["Red SHOE", None, ""], ["red shoe", None, ""], []),
    (
        {"kind": "vector"},
        "array<float>",
        [[1.0, 2.0], [0.5, -1.0], None, [1.0], [], [NAN, 1.0], [1.0, INF], [None, 1.0], [1.0, 2.0, 3.0]],
        [[1.0, 2.0], [0.5, -1.0], *[None] * 7],
        [3, 4, 5, 6, 7, 8],
    ),
    ({"kind": "vector"}, "array<double>", [None, None], [None, None], []),
]


@pytest.mark.parametrize(("spec", "ddl", "values", "wanted", "bad"), KINDS, ids=[f"{r[0]} {r[1]}" for r in KINDS])
def test_times_vectors_and_texts_are_canonical_or_a_reason(raw_of, spec, ddl, values, wanted, bad):
    raw = raw_of([("x", number, value) for number, value in enumerate(values)], f"i string, n int, c {ddl}")
    log = SchemaConfig.model_validate(ITEM | {"features": {"f": {"column": "c"} | spec}})
    lengths = fit_lengths(raw, log.event_features, inside="source")
    found = canonical_events(raw, log, IngestConfig(), lengths).orderBy("source.n").select("feature_f", "reasons")
    found = found.collect()
    assert [row["feature_f"] for row in found] == wanted
    what = {"time": "a time", "vector": "a vector of finite numbers as long as the others"}.get(spec["kind"])
    reason = f"feature f (c) is not {what}"
    assert [row["reasons"] for row in found] == [[reason] if n in bad else [] for n in range(len(values))]


NUMBERS = [
    ("position", "string", ["3", "3.0", "3.5", "x", None, ""], [3, 3, None, None, None, None], [2, 3, 5]),
    ("position", "double", [3.0, 3.5, NAN, None], [3, None, None, None], [1, 2]),
    ("position", "bigint", [2**53 + 1, LONG_MIN], [2**53 + 1, LONG_MIN], []),
]


@pytest.mark.parametrize(("role", "ddl", "values", "wanted", "bad"), NUMBERS, ids=[f"{r[0]} {r[1]}" for r in NUMBERS])
def test_a_position_is_whole_or_a_reason(raw_of, role, ddl, values, wanted, bad):
    found, reasons = column(raw_of, {role: "c"}, ddl, values, role)
    assert found == wanted
    assert reasons == [["position (c) is not a whole number"] if n in bad else [] for n in range(len(values))]


def test_a_propensity_is_a_probability_above_zero(raw_of):
    found, reasons = column(raw_of, {"propensity": "c"}, "double", [1.0, 1e-9, 0.0, -0.1, 1.1, NAN, None], "propensity")
    outside = ["propensity is outside (0, 1]"]
    assert reasons == [[], [], outside, outside, outside, outside, []]
    assert found[:2] == [1.0, 1e-9]


def test_a_row_needs_an_item_or_a_query(raw_of):
    rows = [("a", "q"), ("", "q"), ("a", None), (" ", ""), (None, None)]
    both = canonical_events(raw_of(rows, "i string, q string"), SchemaConfig(item="i", query="q"), IngestConfig())
    assert [row["reasons"] for row in both.collect()] == [[], [], [], *[["item and query are both null"]] * 2]
    query = canonical_events(raw_of(rows, "i string, q string"), SchemaConfig(query="q"), IngestConfig())
    assert [bool(row["reasons"]) for row in query.collect()] == [False, False, True, True, True]


def test_source_and_raw_text_pass_through(raw_of):
    raw = raw_of([("a", 1.5, [1, 2])], "`the item.id` string, x double, more array<int>")
    log = SchemaConfig.model_validate({"item": "the item.id", "features": {"x": "numeric"}})
    row = canonical_events(raw, log, IngestConfig()).collect()[0]
    assert (row["item_id"], row["feature_x"]) == ("a", 1.5)
    assert tuple(row["source"]) == ("a", 1.5, [1, 2])

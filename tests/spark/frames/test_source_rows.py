"""Law 2: from canonical columns back to the raw log's own columns, units and types."""

import datetime as dt
from decimal import Decimal
from functools import reduce

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.config.stages import IngestConfig
from clickweave.frames.normalise import canonical_events
from clickweave.frames.source_rows import label_from_thresholds, with_source

TIME = dt.datetime.fromisoformat("2023-11-14 22:13:20.123456")
CASES = {
    "s int": ({"event_time": {"column": "c", "unit": "s"}}, "int", [1_700_000_000]),
    "s bigint": ({"event_time": {"column": "c", "unit": "s"}}, "bigint", [1_700_000_000]),
    "s double": ({"event_time": {"column": "c", "unit": "s"}}, "double", [1_700_000_000.25, 1_700_000_000.0]),
    "s string": ({"event_time": {"column": "c", "unit": "s"}}, "string", ["1700000000", "1700000000.25", "1700000100"]),
    "s decimal": ({"event_time": {"column": "c", "unit": "s"}}, "decimal(18,3)", [Decimal("1700000000.125")]),
    "ms bigint": ({"event_time": {"column": "c", "unit": "ms"}}, "bigint", [1_700_000_000_007]),
    "ms string": ({"event_time": {"column": "c", "unit": "ms"}}, "string", ["1700000000007", "1700000000007.5"]),
    "us bigint": ({"event_time": {"column": "c", "unit": "us"}}, "bigint", [1_700_000_000_000_009]),
    "timestamp": ({"event_time": {"column": "c"}}, "timestamp", [TIME]),
    "timestamp_ntz": ({"event_time": {"column": "c"}}, "timestamp_ntz", [TIME]),
    "date": ({"event_time": {"column": "c"}}, "date", [dt.date(2023, 11, 14)]),
    "format": ({"event_time": {"column": "c", "format": "dd/MM/yyyy HH:mm"}}, "string", ["14/11/2023 22:13"]),
    "label int": ({"labels": {"click": "c"}}, "int", [0, 1]),
    "label boolean": ({"labels": {"click": "c"}}, "boolean", [True, False]),
    "label double": ({"labels": {"click": "c"}}, "double", [1.0, 0.0]),
    "label string": ({"labels": {"click": "c"}}, "string", ["1", "0"]),
    "threshold int": ({"labels": {"like": {"column": "c", "at_least": 4}}}, "int", [1, 4, 5]),
    "threshold double": ({"labels": {"like": {"column": "c", "at_least": 4}}}, "double", [3.5, 4.5]),
    "event type": ({"labels": {"column": "c", "order": ["view", "buy"]}}, "string", ["view", "buy"]),
    "position short": ({"position": "c"}, "smallint", [3, None, -2]),
    "position bigint": ({"position": "c"}, "bigint", [2**53 + 1, None]),
    "propensity float": ({"propensity": "c"}, "float", [0.25, 1.0, None]),
    "propensity double": ({"propensity": "c"}, "double", [0.1, None]),
    "user int": ({"user": "c"}, "int", [7, None]),
    "user string": ({"user": "c"}, "string", [" ann", "007", None]),
    "session bigint": ({"session": "c"}, "bigint", [2**61 + 1]),
    "query": ({"query": "c"}, "string", ['say "hi"', None]),
    "scaled": ({"features": {"f": {"kind": "numeric", "column": "c", "scale": 0.01}}}, "int", [19_99, 1, 33, None]),
    "numeric int": ({"features": {"c": "numeric"}}, "int", [2**31 - 1, None]),
    "numeric double": ({"features": {"c": "numeric"}}, "double", [0.1 + 0.2, -0.0, None]),
    "numeric float": ({"features": {"c": "numeric"}}, "float", [0.1, None]),
    "numeric decimal": ({"features": {"c": "numeric"}}, "decimal(10,2)", [Decimal("12.34"), None]),
    "numeric boolean": ({"features": {"c": "numeric"}}, "boolean", [True, False, None]),
    "categorical int": ({"features": {"c": "categorical"}}, "int", [5, None]),
    "categorical boolean": ({"features": {"c": "categorical"}}, "boolean", [True, None]),
    "time s": ({"features": {"f": {"kind": "time", "column": "c", "unit": "s"}}}, "bigint", [1_700_000_000, None]),
    "time ms": ({"features": {"c": {"kind": "time", "unit": "ms"}}}, "double", [1_700_000_000_000.5, None]),
    "time whole ms": ({"features": {"c": {"kind": "time", "unit": "ms"}}}, "bigint", [1_700_000_000_123, -1, None]),
    "time format": (
        {"features": {"c": {"kind": "time", "format": "dd/MM/yyyy HH:mm"}}},
        "string",
        ["14/11/2023 22:13", None],
    ),
    "time string": ({"features": {"c": "time"}}, "string", ["2023-11-14 22:13:20.12", "2023-11-14 22:13:20", None]),
    "time timestamp": ({"features": {"c": "time"}}, "timestamp", [TIME, None]),
    "time date": ({"features": {"c": "time"}}, "date", [dt.date(2023, 11, 14), None]),
    "vector float": ({"features": {"c": "vector"}}, "array<float>", [[0.1, -2.5], [1e-30, 0.0], None]),
    "vector double": ({"features": {"c": "vector"}}, "array<double>", [[0.1 + 0.2, 1e300], None]),
    "vector int": ({"features": {"c": "vector"}}, "array<int>", [[2**31 - 1, -3], None]),
    "text": ({"features": {"c": "text"}}, "string", ["say  it ", "", None]),
    "id string": ({"features": {"c": "id"}}, "string", ["x y", None]),
}


@pytest.fixture(scope="module")
def rebuilt(spark):
    """case -> (type before, type after, pairs of the column before and after as JSON); one job for all cases."""
    frames, types = [], {}
    for case, (schema, ddl, values) in CASES.items():
        log = SchemaConfig.model_validate({"item": "the.item"} | schema)
        raw = spark.createDataFrame([(f"i{n}", value) for n, value in enumerate(values)], f"`the.item` string, c {ddl}")
        raw = raw.select(F.struct("`the.item`", "c").alias("source"), F.lit(None).cast("string").alias("raw_text"))
        source_type = raw.schema["source"].dataType
        events = canonical_events(raw, log, IngestConfig()).withColumnRenamed("source", "before")
        made = with_source(events, log, source_type, attributes={})
        types[case] = (source_type.simpleString(), made.schema["source"].dataType.simpleString())
        exact = {"timestampFormat": "yyyy-MM-dd HH:mm:ss.SSSSSS", "timestampNTZFormat": "yyyy-MM-dd HH:mm:ss.SSSSSS"}
        texts = [F.to_json(column, exact).alias(column) for column in ("before", "source")]
        frames.append(made.select(F.lit(case).alias("case"), *texts))
    found: dict = {case: (*types[case], []) for case in CASES}
    for row in reduce(DataFrame.unionAll, frames).collect():
        found[row["case"]][2].append((row["before"], row["source"]))
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_real_row_comes_back_from_its_canonical_columns(rebuilt, case):
    type_before, type_after, rows = rebuilt[case]
    assert type_before == type_after
    assert len(rows) == len(CASES[case][2])
    for before, after in rows:
        assert before == after


@pytest.mark.parametrize(
    ("ddl", "zero"), [("int", 0), ("bigint", 0), ("double", 0.0), ("string", None), ("boolean", False)]
)
def test_a_column_without_a_role_is_the_parents_or_null(raw_of, ddl, zero):
    log = SchemaConfig.model_validate({"item": "i"})
    raw = raw_of([("a", zero)], f"i string, c {ddl}")
    events = canonical_events(raw, log, IngestConfig())
    source_type = raw.schema["source"].dataType
    copy = with_source(events.withColumn("item_id", F.lit("b")), log, source_type, attributes={})
    assert tuple(copy.first()["source"]) == ("b", zero)
    made = with_source(events.drop("source"), log, source_type, attributes={})
    assert tuple(made.first()["source"]) == ("a", None)
    assert made.schema["source"].dataType.simpleString() == source_type.simpleString()


def test_complex_columns_pass_through_and_are_null_in_new_rows(raw_of):
    ddl = "tags array<string>, i string, props map<string,int>, deep struct<`a.b`:int>"
    raw = raw_of([(["x"], "a", {"k": 1}, (5,))], ddl)
    log = SchemaConfig(item="i")
    events, source_type = canonical_events(raw, log, IngestConfig()), raw.schema["source"].dataType
    copy = with_source(events, log, source_type, attributes={}).first()["source"]
    assert copy == raw.first()["source"]
    made = with_source(events.drop("source"), log, source_type, attributes={}).first()["source"]
    assert tuple(made) == (None, "a", None, None)


def test_attributes_override_what_the_parent_had(raw_of):
    log = SchemaConfig(item="i")
    raw = raw_of([("a", "red")], "i string, colour string")
    events = canonical_events(raw, log, IngestConfig())
    made = with_source(events, log, raw.schema["source"].dataType, attributes={"colour": F.lit("blue")})
    assert tuple(made.first()["source"]) == ("a", "blue")


def test_a_value_that_does_not_fit_its_column_is_null_never_an_error(raw_of):
    log = SchemaConfig(item="i", position="p")
    raw = raw_of([(1, 2)], "i int, p tinyint")
    events = canonical_events(raw, log, IngestConfig()).withColumns({"item_id": F.lit("x"), "position": F.lit(1000)})
    made = with_source(events, log, raw.schema["source"].dataType, attributes={})
    assert tuple(made.first()["source"]) == (None, None)


def test_a_vector_of_fractions_is_rounded_where_the_log_has_whole_numbers(raw_of):
    log = SchemaConfig.model_validate({"item": "i", "features": {"v": "vector"}})
    raw = raw_of([("a", [1, 2])], "i string, v array<smallint>")
    changed = F.array(F.lit(1.6), F.lit(-2.6))
    events = canonical_events(raw, log, IngestConfig()).withColumn("feature_v", changed)
    made = with_source(events, log, raw.schema["source"].dataType, attributes={})
    assert made.first()["source"]["v"] == [2, -3]


def test_levels_follow_from_the_threshold_columns(raw_of):
    labels = {"ok": {"column": "r", "at_least": 3}, "good": {"column": "r", "at_least": 4.5}}
    log = SchemaConfig.model_validate({"item": "i", "labels": labels})
    events = canonical_events(
        raw_of([("a", value) for value in (2.0, 3.0, 4.4, 5.0)], "i string, r double"), log, IngestConfig()
    )
    found = events.select("label", label_from_thresholds(log).alias("again")).collect()
    assert [row["label"] for row in found] == [row["again"] for row in found] == [0, 1, 1, 2]

import datetime as dt

import pytest
from chispa import assert_df_equality
from pyspark.sql.types import StructType

from clickweave.config.log import SchemaConfig
from clickweave.errors import ContractError
from clickweave.frames import catalogue, contract
from clickweave.frames.vectors import fit_lengths

LOG = SchemaConfig.model_validate(
    {"user": "u", "item": "i", "item_features": {"price": {"kind": "numeric", "scale": 0.5}, "colour": "categorical"}}
)
ITEMS, USERS = catalogue.sides(LOG)
SOURCE = "i:string,taste:array<float>,born:bigint"

WRONG = {
    "missing": ("u string", {"user": "u"}, r"column 'i' missing in log.csv; has \['u'\]; map it under schema.item"),
    "other case": ("I string", {}, "column 'i' missing"),
    "missing label": ("i string", {"labels": {"buy": "b"}}, "map it under schema.labels.buy"),
    "missing threshold": ("i string", {"labels": {"buy": {"column": "b", "at_least": 1}}}, "schema.labels.buy"),
    "missing feature": ("i string", {"features": {"f": {"kind": "id", "column": "x"}}}, "'x'.*schema.features.f"),
    "missing attribute": ("i string", {"item_features": {"f": "id"}}, "schema.item_features.f"),
    "number without unit": ("i string, t bigint", {"event_time": {"column": "t"}}, "set schema.event_time.unit"),
    "time with unit": ("i string, t timestamp", {"event_time": {"column": "t", "unit": "ms"}}, "leave out its unit"),
    "fractional user": ("i string, u double", {"user": "u"}, "'u' .schema.user.: .*double.* bigint or string"),
    "small session": ("i string, s smallint", {"session": "s"}, "schema.session"),
    "small decimal user": ("i string, u decimal(12,0)", {"user": "u"}, "schema.user"),
    "list as item": ("i array<string>", {}, "'i' is array<string>, not one value"),
    "map as feature": ("i string, m map<string,int>", {"features": {"m": "categorical"}}, "'m' is map<string,int>"),
    "date as number": ("i string, d date", {"features": {"d": "numeric"}}, "'d' is date, not a number"),
    "date as threshold": (
        "i string, d date",
        {"labels": {"x": {"column": "d", "at_least": 1}}},
        "'d' is date, not a number",
    ),
    "time feature without unit": ("i string, t int", {"features": {"t": "time"}}, "set schema.features.t.unit"),
    "time attribute with unit": (
        "i string, t date",
        {"item_features": {"x": {"kind": "time", "column": "t", "unit": "s"}}},
        "'t' .schema.item_features.x. is date; leave out its unit",
    ),
    "vector of texts": ("i string, v array<string>", {"features": {"v": "vector"}}, "a vector is an array of numbers"),
    "number as vector": ("i string, v double", {"features": {"v": "vector"}}, "'v' .*is double; a vector is an array"),
    "time as position": ("i string, t timestamp", {"position": "t"}, "schema.position"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_log_that_breaks_the_contract_is_named_before_any_row_is_read(spark, case):
    ddl, schema, said = WRONG[case]
    log = SchemaConfig.model_validate({"item": "i"} | schema)
    with pytest.raises(ContractError, match=said) as caught:
        contract.check_columns(StructType.fromDDL(ddl), log, "log.csv", given=set())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("user", ["int", "bigint", "string", "decimal(20,0)"])
def test_a_log_that_keeps_the_contract_passes(spark, user):
    log = SchemaConfig.model_validate({"user": "u", "item": "i", "item_features": {"f": "id"}})
    contract.check_columns(StructType.fromDDL(f"u {user}, i string"), log, "x", given={"items"})


def test_a_side_table_gives_one_normalised_row_per_key(spark):
    raw = spark.createDataFrame(
        [(1, 4.0, "Red"), (2, None, None), (None, 1.0, "x")], "i bigint, price double, colour string"
    )
    table = catalogue.from_side_table(raw, "i", ITEMS)
    wanted = spark.createDataFrame(
        [("1", 2.0, "Red"), ("2", None, None)], "item_id string, feature_price double, feature_colour string"
    )
    assert_df_equality(table, wanted, ignore_row_order=True, ignore_nullable=True)
    contract.check_unique(table, "item_id", "items")
    with pytest.raises(ContractError, match="items has 2 rows for item_id '1'"):
        contract.check_unique(table.union(table.where("item_id = '1'")), "item_id", "items")
    with pytest.raises(ContractError, match=r"source\.items\.key"):
        contract.check_side_table(raw.schema, "sku", ITEMS, "items.csv")


def test_attributes_are_the_most_frequent_value_with_ties_by_value(raw_of, real_of):
    rows = [
        ("u", "a", 2.0, "red"),
        ("u", "a", 2.0, None),
        ("v", "a", 8.0, "blue"),
        ("v", "b", None, None),
        ("v", None, 1.0, "x"),
    ]
    rows += [("w", "c", 6.0, "y"), ("w", "c", 4.0, "z"), ("w", "c", 4.0, "y"), ("w", "c", 6.0, "z")]
    events = real_of(rows, "u string, i string, price double, colour string", LOG)
    expected = [("a", 1.0, "blue"), ("b", None, None), ("c", 2.0, "y")]
    for frame in (events.repartition(1), events.repartition(7)):
        table = catalogue.from_events(frame, ITEMS)
        assert sorted(tuple(row) for row in table.collect()) == expected
    users = catalogue.from_events(events, USERS)
    assert sorted(row[0] for row in users.collect()) == ["u", "v", "w"]


def test_vectors_and_times_are_attributes_too_and_a_bad_vector_is_null(spark):
    features = {"taste": "vector", "born": {"kind": "time", "unit": "s"}}
    items, _ = catalogue.sides(SchemaConfig.model_validate({"item": "i", "item_features": features}))
    ddl = "i string, taste array<float>, born bigint"
    rows = [
        ("a", [1.0, 2.0], 0),
        ("b", [3.0], None),
        ("c", [5.0, float("nan")], 60),
        ("d", None, 0),
        ("e", [0.5, 1.0], 0),
    ]
    raw = spark.createDataFrame(rows, ddl)
    table = catalogue.from_side_table(raw, "i", items, fit_lengths(raw, items.features))
    events = spark.createDataFrame([(row[0], row) for row in rows * 2], f"item_id string, source struct<{SOURCE}>")
    again = catalogue.from_events(events, items, fit_lengths(events, items.features, inside="source"))
    for found in (table, again):
        values = {row["item_id"]: (row["feature_taste"], row["feature_born"]) for row in found.collect()}
        start = dt.datetime(1970, 1, 1)
        minute = start + dt.timedelta(minutes=1)
        wanted = {"a": ([1.0, 2.0], start), "b": (None, None), "c": (None, minute), "d": (None, start)}
        assert values == wanted | {"e": ([0.5, 1.0], start)}


def test_a_join_keeps_every_row_and_attributes_return_to_the_logs_unit(spark):
    events = spark.createDataFrame([(1, "a"), (2, "a"), (3, "unknown"), (4, None)], "row_id int, item_id string")
    table = spark.createDataFrame(
        [("a", 2.0, "red"), ("b", 3.0, "x")], "item_id string, feature_price double, feature_colour string"
    )
    joined = catalogue.join_attributes(events, table, ITEMS)
    values = catalogue.raw_attributes(ITEMS, StructType.fromDDL("price double, other string"))
    assert set(values) == {"price"}
    found = joined.select("row_id", values["price"].alias("price"), ITEMS.column("colour")).orderBy("row_id")
    assert [tuple(row) for row in found.collect()] == [
        (1, 4.0, "red"),
        (2, 4.0, "red"),
        (3, None, None),
        (4, None, None),
    ]


def test_unknown_keys_are_marked_and_no_row_is_lost(spark):
    events = spark.createDataFrame([("a", ["x"]), ("b", []), (None, [])], "item_id string, reasons array<string>")
    known = spark.createDataFrame([("b",), ("c",)], "item_id string")
    found = contract.mark_unknown(events, known, "item_id", "items").collect()
    assert {row["item_id"]: row["reasons"] for row in found} == {
        "a": ["x", "item_id is not in items"],
        "b": [],
        None: [],
    }

import json
from dataclasses import replace

import pytest
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.evaluation.policy import apply_policy
from clickweave.evaluation.privacy.rare_values import GRADED_ONLY, PAIRS, TUPLES, VALUES, judge_rare

MORE = {"query": "query", "user_features": {"taste": "categorical", "city": "categorical", "age": "numeric"}}


@pytest.fixture
def inputs(make_inputs, spark):
    """Users 0 to 119 of T: city x for all but four (and six more), age by user; queries are set by the tests."""

    def build(synthetic, cities=None, **changes):
        made = make_inputs(synthetic, **changes)
        fields = {
            name: getattr(made.schema, name) for name in ("event_time", "user", "item", "slate", "position", "labels")
        }
        schema = SchemaConfig.model_validate({"item": "item", "features": dict(made.schema.features), **MORE})
        schema = schema.model_copy(update=fields)
        city = F.lit("x")
        for user, name in (cities or {}).items():
            city = F.when(F.col("user_id") == user, name).otherwise(city)
        number = F.regexp_extract("user_id", r"(\d+)$", 1).cast("double")
        return replace(made, schema=schema, users=made.users.withColumns({"feature_city": city, "feature_age": number}))

    return build


def counts(inputs):
    rows, detail = judge_rare(inputs)
    columns = {each["column"]: each for each in detail["columns"]}
    return {row.name: row for row in rows}, columns


def query(rows, words):
    """Rows with a query for each named user (all of their rows)."""
    return rows.assign(query=rows["user_id"].map(words))


def users(prefix, *numbers, word):
    return {f"{prefix}{number}": word for number in numbers}


@pytest.mark.parametrize(
    ("holders", "grade"), [(0, "green"), (1, "red"), (4, "red"), (5, "amber"), (9, "amber"), (10, "green")]
)
def test_a_query_is_as_rare_as_its_users_are_few(inputs, toy, fresh, holders, grade):
    train = query(toy(120, 1, "u"), users("u", *range(holders), word="my street 7"))
    made = query(fresh, users("syn-", 3, 8, word="My  street 7"))
    rows, columns = counts(inputs(made, train=train))
    assert rows[VALUES].grade == grade
    assert columns["query"]["below_5"]["synthetic"] == (40 if 0 < holders < 5 else 0)
    assert columns["query"]["below_10"]["synthetic"] == (40 if 0 < holders < 10 else 0)
    assert columns["query"]["below_5"]["train"] == (20 * holders if holders < 5 else 0)


def test_values_that_follow_from_the_item_are_no_ones_own(inputs, toy, fresh):
    def by_item(rows):
        return rows.assign(feature_device="of item " + rows["item_id"], feature_same=rows["feature_device"])

    train = by_item(toy(120, 1, "u"))
    train.loc[train.index[:20], "feature_same"] = "one user's"
    made = by_item(fresh)
    made.loc[made.index[:3], "feature_same"] = "one user's"
    rows, columns = counts(inputs(made, train=train))
    assert "device" not in columns
    assert columns["same"]["below_5"] == {"synthetic": 3, "blended": 0, "holdout": 0, "train": 20}
    assert rows[VALUES].value == 3


def test_attributes_and_their_combinations_are_counted_by_user(inputs, toy, fresh):
    cities = users("u", 0, 1, word="y") | users("h", 5, word="y") | users("syn-", 5, word="y")
    rows, columns = counts(inputs(fresh, cities))
    assert columns["user city"]["below_5"] == {"synthetic": 20, "blended": 0, "holdout": 20, "train": 40}
    assert rows[VALUES].ceiling == pytest.approx(20 / 2000 * 2400)
    assert set(columns) >= {"user taste, user city", "user taste, user age", "user city, user age"}
    assert "user taste, user city, user age" in columns
    # ages are 0 to 119 in T, so u0 and u1 are of the first tenth, as is syn-5
    assert columns["user city, user age"]["below_5"]["train"] == 40
    assert columns["user city, user age"]["below_5"]["synthetic"] == 20
    tastes = toy(120, 1, "u").drop_duplicates("user_id")
    tenths = (tastes["user_id"].str[1:].astype(int) - 0.1) * 10 // 119  # cuts of 0 to 119 lie at 11.9, 23.8 and so on
    sizes = tastes.assign(tenth=tenths.clip(0)).groupby(["taste", "tenth"])["user_id"].transform("size")
    assert columns["user taste, user age"]["below_5"]["train"] == 20 * int((sizes < 5).sum())


def test_pairs_and_tuples_are_graded_and_values_block(inputs, fresh):
    rows, _ = judge_rare(inputs(fresh, users("u", 0, word="y") | users("syn-", 5, word="y")))
    decided = {row.name: row for row in apply_policy(rows, {}, graded_only=GRADED_ONLY)}
    assert {row.grade for row in rows} == {"red"}
    assert {name: row.refuses for name, row in decided.items()} == {VALUES: True, PAIRS: False, TUPLES: False}
    assert "graded only" in decided[PAIRS].note


def test_no_value_and_no_user_stands_in_the_details(inputs, toy, fresh):
    train = query(toy(120, 1, "u"), {"u3": "secret words"})
    rows, detail = judge_rare(
        inputs(query(fresh, {"syn-1": "secret words"}), users("u", 3, word="hamlet"), train=train)
    )
    told = json.dumps([detail, [vars(row) for row in rows]])
    assert "secret" not in told
    assert "hamlet" not in told
    assert "syn-" not in told


def test_rows_count_as_users_where_the_log_has_none(inputs, toy, fresh):
    train = query(toy(120, 1, "u"), {"u3": "a"}).assign(user_id=None)
    train = train.assign(entity_id=train["row_id"].astype(str))
    log = inputs(query(fresh, {"syn-1": "a"}).assign(user_id=None), train=train)
    _, columns = counts(replace(log, users=None))
    assert columns["query"]["below_10"]["synthetic"] == 0  # 20 rows have it


def test_blended_rows_are_counted_in_the_details_alone(inputs, toy, fresh, to_table):
    train = query(toy(120, 1, "u"), {"u3": "a"})
    mixed = to_table(train.assign(origin="blended"))
    rows, columns = counts(inputs(fresh, train=train, mixed=mixed))
    assert columns["query"]["below_5"]["blended"] == 20
    assert rows[VALUES].grade == "green"


def test_no_synthetic_rows_is_a_legal_answer(inputs):
    assert {row.grade for row in judge_rare(inputs(None))[0]} == {"na"}

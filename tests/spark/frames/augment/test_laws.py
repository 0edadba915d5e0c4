"""One suite of laws for all operators; a line in CASES each."""

from dataclasses import dataclass
from typing import Any

import pytest
from chispa import assert_df_equality
from mall import mall_rows
from pyspark.sql import functions as F

from clickweave.frames.augment.registry import OPERATORS
from clickweave.frames.source_rows import with_source

TIME, USER, SESSION = ("event_time",), ("user_id",), ("entity_id", "session_id")
ITEM, CONTEXT = ("item_id", "label"), ("query", "position", "feature_device")
NUMBERS, VECTOR = ("feature_price", "feature_stock"), ("feature_taste",)


@dataclass(frozen=True)
class Case:
    """An operator's line.

    Attributes:
        none, whole: parameters with which nothing, and everything it can, comes out.
        kept: columns that a copy has in common with its parent.
        alone: whether the copies stand for the log, not beside it.
    """

    none: dict[str, Any]
    whole: dict[str, Any]
    kept: tuple[str, ...]
    alone: bool = False


CASES = {
    "crop": Case({"share": 0}, {"share": 1}, (*USER, *ITEM, *TIME, *CONTEXT, *NUMBERS, *VECTOR)),
    "fractal_scale": Case({"factor": 0}, {"factor": 3}, ("label", *TIME, *CONTEXT, *NUMBERS, *VECTOR), alone=True),
    "negatives": Case({"ratio": 0}, {"ratio": 2}, (*SESSION, *TIME, *CONTEXT, *NUMBERS, *VECTOR)),
    "scale": Case({"share": 0}, {"share": 1}, (*SESSION, *ITEM, *TIME, *CONTEXT, *VECTOR)),
}


def test_every_operator_has_a_line():
    assert sorted(CASES) == sorted(OPERATORS)


@pytest.mark.parametrize("name", OPERATORS)
def test_the_same_rows_come_out_on_any_partitioning(made_by, mall, mall_log, name):
    expected = made_by(name, mall.repartition(1), mall_log, **CASES[name].whole).cache()
    assert expected.count() > 0
    for num in (2, 7):
        again = made_by(name, mall.orderBy(F.desc("row_id")).repartition(num), mall_log, **CASES[name].whole)
        assert_df_equality(expected, again, ignore_row_order=True)


@pytest.mark.parametrize("name", OPERATORS)
def test_rows_have_new_ids_and_a_parent_that_stays_in_train(made_by, mall, mall_log, name):
    made = made_by(name, mall, mall_log, **CASES[name].whole)
    columns = CASES[name].kept
    rows = made.select("row_id", "parent_id", *columns).collect()
    parents = {row["row_id"]: row for row in mall.select("row_id", *columns).collect()}
    ids = [row["row_id"] for row in rows]
    assert len(ids) == len(set(ids)) > 0
    assert not set(ids) & set(parents)
    for row in rows:
        assert [row[c] for c in columns] == [parents[row["parent_id"]][c] for c in columns]
    assert [(f.name, f.dataType) for f in made.schema] == [(f.name, f.dataType) for f in mall.schema]


@pytest.mark.parametrize("name", OPERATORS)
def test_a_share_of_nothing_makes_nothing(made_by, mall, mall_log, name):
    assert made_by(name, mall, mall_log, **CASES[name].none).count() == 0


@pytest.mark.parametrize("name", OPERATORS)
def test_another_seed_makes_other_rows(made_by, mall, mall_log, name):
    def ids(seed):
        made = made_by(name, mall, mall_log, seed=seed, **CASES[name].whole)
        return {row[0] for row in made.select("row_id").collect()}

    assert ids(0) != ids(1)


@pytest.mark.parametrize("name", OPERATORS)
def test_copies_of_copies_tell_the_real_parent(made_by, mall, mall_log, name):
    """As in a chain: crop first, then the operator."""
    crops = made_by("crop", mall, mall_log, share=1, keep_share=0.9).cache()
    made = made_by(name, crops, mall_log, **CASES[name].whole).select("row_id", "parent_id").collect()
    real = {row[0] for row in mall.select("row_id").collect()}
    assert made
    assert {row["parent_id"] for row in made} <= real
    assert not {row["row_id"] for row in made} & (real | {row[0] for row in crops.select("row_id").collect()})


@pytest.mark.parametrize("name", OPERATORS)
def test_users_sessions_and_slates_stay_whole(made_by, mall, mall_log, name):
    """No session or slate of two users, no real slate with an item more, labels and times as the log's can be."""
    made = made_by(name, mall, mall_log, **CASES[name].whole)
    both = (made if CASES[name].alone else mall.unionByName(made)).cache()
    for column in ("session_id", "slate_id"):
        owners = both.where(F.col(column).isNotNull()).groupBy(column).agg(F.countDistinct("entity_id").alias("users"))
        assert owners.where("users > 1").count() == 0
    on_slates = both.where(F.col("slate_id").isNotNull())
    assert on_slates.groupBy("slate_id", "item_id").count().where("count > 1").count() == 0
    first, last = mall.agg(F.min("event_time"), F.max("event_time")).first()
    assert both.where(~F.col("event_time").between(first, last) | ~F.col("label").between(0, 1)).count() == 0
    assert both.where("weight <= 0 or weight is null or item_id is null").count() == 0


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("rows", ["none", "one", "nulls"])
def test_tables_without_anything_to_learn_from_are_no_error(mall_log, mall_of, made_by, name, rows):
    whole = mall_rows(1, 1)
    bare = [(*row[:3], None, None, None, 0, *[None] * 6) for row in whole] + [
        (*whole[0][:3], *[None] * 3, 0, *[None] * 6)
    ]
    data = {"none": [], "one": whole[:1], "nulls": bare}[rows]
    train = mall_of(data)
    made = made_by(name, train, mall_log, **CASES[name].whole)
    found = with_source(made, mall_log, train.schema["source"].dataType, attributes={}).collect()
    if rows == "none":
        assert found == []

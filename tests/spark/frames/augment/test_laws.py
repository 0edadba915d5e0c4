"""One suite of laws for all operators; a line in CASES each."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest
from augmented import rows_by
from mall import MALL, mall_rows
from pyspark import TaskContext
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


CASES = {  # by name of the operator, and what tells lines of one apart
    "scale": Case({"share": 0}, {"share": 1}, (*SESSION, *ITEM, *TIME, *CONTEXT, *VECTOR)),
    "rotate": Case({"share": 0}, {"share": 1}, (*SESSION, *ITEM, *TIME, *CONTEXT, *NUMBERS)),
    "feature_dropout": Case({"rate": 0}, {"share": 1, "rate": 0.5}, (*SESSION, *ITEM, *TIME, "query", "position")),
    "mixup": Case({"share": 0}, {"share": 1}, (*SESSION, *ITEM, *TIME, *CONTEXT, *VECTOR)),
    "smote": Case({"ratio": 0}, {"ratio": 2.5}, (*SESSION, *ITEM, *TIME, *CONTEXT, *VECTOR)),
    "query_edit": Case({"share": 0}, {"share": 1}, (*SESSION, *ITEM, *TIME, "position", *NUMBERS, *VECTOR)),
    "bootstrap": Case({"share": 0}, {"share": 2}, (*USER, *ITEM, *TIME, *CONTEXT, *NUMBERS, *VECTOR)),
    "crop": Case({"share": 0}, {"share": 1}, (*USER, *ITEM, *TIME, *CONTEXT, *NUMBERS, *VECTOR)),
    "mask": Case({"rate": 0}, {"share": 1, "rate": 0.5}, (*USER, "label", *TIME, *CONTEXT, *NUMBERS, *VECTOR)),
    "reorder": Case({"share": 0}, {"share": 1, "rate": 0.5}, (*USER, *ITEM, *CONTEXT, *NUMBERS, *VECTOR)),
    "delete": Case({"share": 0}, {"share": 1, "rate": 0.3}, (*USER, *ITEM, *TIME, *CONTEXT, *NUMBERS, *VECTOR)),
    "time_warp": Case({"share": 0}, {"share": 1}, (*USER, *ITEM, *CONTEXT, *NUMBERS, *VECTOR)),
    "day_shift": Case({"share": 0}, {"share": 1}, (*USER, *ITEM, *CONTEXT, *NUMBERS, *VECTOR)),
    "prefix_windows": Case({"views_per_user": 0}, {"views_per_user": 3}, (*USER, *ITEM, *TIME, *CONTEXT, *NUMBERS)),
    "substitute": Case({"rate": 0}, {"share": 1, "rate": 1}, (*USER, "label", *TIME, *CONTEXT, *NUMBERS, *VECTOR)),
    "insert": Case({"rate": 0}, {"share": 1, "rate": 0.5}, (*USER, "label", "query", *NUMBERS, *VECTOR)),
    "negatives": Case({"ratio": 0}, {"ratio": 2}, (*SESSION, *TIME, *CONTEXT, *NUMBERS, *VECTOR)),
    "position_resample": Case({"share": 0}, {"share": 1}, (*SESSION, "item_id", *TIME, "query", *NUMBERS, *VECTOR)),
    "cold_entity_rows": Case({"cap": 0}, {"c": 9}, (*SESSION, "label", *TIME, "query", *NUMBERS, *VECTOR)),
    "cold_entity_rows of users": Case(
        {"entity": "user", "cap": 0}, {"entity": "user", "c": 13}, (*ITEM, *TIME, "query", *NUMBERS, *VECTOR)
    ),
    "borrow_neighbour": Case({"max_events": 0}, {"floor": 12}, ("item_id", "label", "query", *NUMBERS, *VECTOR)),
    "fractal_scale": Case({"factor": 0}, {"factor": 3}, ("label", *TIME, *CONTEXT, *NUMBERS, *VECTOR), alone=True),
}


@pytest.fixture(scope="module")
def rewritten(mall):
    """name -> the rows that the operator makes of the whole mall, its parameters those of CASES."""
    found: dict[str, pd.DataFrame] = {}

    def make(name):
        if name not in found:
            found[name] = table_of(made_by(name, mall.repartition(1), MALL, **CASES[name].whole))
        return found[name]

    return make


def made_by(name, rows, log, **params):
    """What the operator in a line of CASES makes of the rows."""
    return rows_by(name.split()[0], rows, log, **params)


def table_of(rows):
    """Rows on the driver, `source` as text: whole numbers beside nulls in it become fractions in some batches."""
    return rows.withColumn("source", F.to_json("source")).toPandas()


def same(one, other):
    """Whether two tables hold the same rows in any order."""
    return sorted(map(repr, one.itertuples(index=False))) == sorted(map(repr, other.itertuples(index=False)))


def test_every_operator_has_a_line():
    assert {name.split()[0] for name in CASES} == set(OPERATORS)


def failing_once(rows, failures):
    """The rows; the first try of the first task of a stage that reads them fails in the middle, and leaves a file."""

    def read(batches):
        task = TaskContext.get()
        for batch in batches:
            yield batch
            if task.partitionId() == 0 and task.attemptNumber() == 0:
                (failures / str(task.stageId())).touch()
                raise RuntimeError("a fault of the test")

    return rows.mapInArrow(read, rows.schema)


@pytest.mark.parametrize("name", CASES)
def test_the_same_rows_come_out_on_any_partitioning_and_after_a_retry(rewritten, mall, name, tmp_path):
    assert len(rewritten(name)) > 0
    moved = mall.orderBy(F.desc("row_id"))
    for rows in (failing_once(moved.repartition(2), tmp_path), moved.repartition(7)):
        assert same(rewritten(name), table_of(made_by(name, rows, MALL, **CASES[name].whole)))
    assert list(tmp_path.iterdir())


@pytest.mark.parametrize("name", CASES)
def test_rows_have_new_ids_and_a_parent_that_stays_in_train(rewritten, mall_table, name):
    made, columns = rewritten(name), list(CASES[name].kept)
    parents = mall_table.set_index("row_id")
    assert not made["row_id"].duplicated().any()
    assert not set(made["row_id"]) & set(parents.index)
    kept = made[columns].apply(lambda column: column.map(repr))
    real = parents.loc[made["parent_id"], columns].apply(lambda column: column.map(repr))
    assert kept.to_numpy().tolist() == real.to_numpy().tolist()


@pytest.mark.parametrize("name", CASES)
def test_columns_and_types_stay(mall, name):
    made = made_by(name, mall, MALL, **CASES[name].whole)
    assert [(f.name, f.dataType) for f in made.schema] == [(f.name, f.dataType) for f in mall.schema]


@pytest.mark.parametrize("name", CASES)
def test_users_sessions_and_slates_stay_whole(rewritten, mall_table, name):
    """No session or slate of two users, no real slate with an item more, labels and times as the log's can be."""
    made = rewritten(name)
    both = made if CASES[name].alone else pd.concat([mall_table, made])
    for column in ("session_id", "slate_id"):
        assert both.groupby(column)["entity_id"].nunique().max() <= 1
    on_slates = both[both["slate_id"].notna()]
    assert not on_slates.duplicated(["slate_id", "item_id"]).any()
    assert made["event_time"].between(mall_table["event_time"].min(), mall_table["event_time"].max()).all()
    assert made["label"].between(0, 1).all()
    assert (made["weight"] > 0).all()
    assert made["item_id"].notna().all()
    assert (made["entity_id"] == made["user_id"]).all()


@pytest.mark.parametrize("name", CASES)
def test_a_share_of_nothing_makes_nothing_and_another_seed_other_rows(rewritten, mall, name):
    assert made_by(name, mall, MALL, **CASES[name].none).isEmpty()
    other = made_by(name, mall, MALL, seed=1, **CASES[name].whole).select("row_id").toPandas()
    assert set(other["row_id"]) != set(rewritten(name)["row_id"])


@pytest.mark.parametrize("name", CASES)
def test_copies_of_copies_tell_the_real_parent(crops, mall_table, name):
    """As in a chain: crop first, then the operator."""
    made = made_by(name, crops, MALL, **CASES[name].whole).select("row_id", "parent_id").toPandas()
    real = set(mall_table["row_id"])
    assert len(made) > 0
    assert set(made["parent_id"]) <= real
    assert not set(made["row_id"]) & (real | {row[0] for row in crops.select("row_id").collect()})


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("rows", ["none", "nulls"])
def test_tables_without_anything_to_learn_from_are_no_error(mall_of, name, rows):
    whole = mall_rows(1, 1)
    bare = [(*row[:3], None, None, None, 0, *[None] * 6) for row in [*whole, whole[0]]]
    train = mall_of({"none": [], "nulls": bare}[rows])
    made = made_by(name, train, MALL, **CASES[name].whole)
    found = with_source(made, MALL, train.schema["source"].dataType, attributes={}).collect()
    if rows == "none":
        assert found == []

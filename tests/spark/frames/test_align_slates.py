"""Slate ids of generated histories: one per run, none of the log's, the same on any partitioning."""

import pytest
from chispa import assert_df_equality
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.frames.align.keys import IdSpace
from clickweave.frames.align.slates import with_shared_ids, with_slates

ROWS = [  # block, entity_place, place, same_slate, query
    (0, 0, 0, 0, "a"),
    (0, 0, 1, 1, "b"),
    (0, 0, 2, 0, "c"),
    (0, 0, 3, None, "d"),
    (0, 0, 4, None, "e"),
    (0, 1, 7, 0, "a"),
    (0, 1, 8, 1, None),
    (1, 0, 0, 0, None),
    (1, 0, 1, 1, "f"),
]
RUNS = [0, 0, 1, None, None, 2, 2, 3, 3]
TYPE = "block bigint, entity_place bigint, place int, same_slate bigint, query string"


@pytest.fixture
def events(spark):
    return spark.createDataFrame(ROWS, TYPE).withColumn("entity_id", F.concat_ws("-", "block", "entity_place"))


@pytest.mark.parametrize("kind", ["text", "long", "integer"])
def test_a_run_is_one_slate_with_an_id_of_its_own(events, kind):
    space = IdSpace(kind)
    made = with_slates(events, space, "run", one_query=False).orderBy("block", "entity_place", "place")
    ids = [row["slate_id"] for row in made.collect()]
    groups = {run: {slate for slate, of in zip(ids, RUNS, strict=True) if of == run} for run in set(RUNS)}
    assert groups.pop(None) == {None}
    assert all(len(found) == 1 for found in groups.values())
    assert len(set.union(*groups.values())) == len(groups)
    assert made.where("slate_id is not null").where(~space.reached_by(F.col("slate_id"))).count() == 0


def test_a_slate_has_the_query_of_its_first_event_where_the_log_has_one(events):
    made = with_slates(events, IdSpace("text"), "run", one_query=True).orderBy("block", "entity_place", "place")
    assert [row["query"] for row in made.collect()] == ["a", "a", "c", "d", "e", "a", "a", None, None]


def test_slates_do_not_depend_on_partitions(events):
    expected = with_slates(events, IdSpace("long"), "run", one_query=True)
    for num in (1, 7):
        again = with_slates(events.repartition(num, "query"), IdSpace("long"), "run", one_query=True)
        assert_df_equality(expected, again, ignore_row_order=True)


def test_slates_that_are_sessions_have_their_ids(spark):
    log = SchemaConfig.model_validate({"user": "u", "item": "i", "session": "s", "slate": "s"})
    rows = spark.createDataFrame([("x", "y", None)], "user_id string, session_id string, slate_id string")
    assert with_shared_ids(rows, log).first()["slate_id"] == "y"
    other = log.model_copy(update={"slate": "page"})
    assert with_shared_ids(rows, other).first()["slate_id"] is None

"""Times and texts of generated rows."""

import datetime as dt

import pytest
from chispa import assert_df_equality

from clickweave.frames.align.texts import INSTEAD, marked_private, num_private, private_texts, replaced_private
from clickweave.frames.align.times import with_times

START = dt.datetime(2023, 1, 1)


def test_a_time_is_its_distance_from_the_event_wherever_that_went(spark):
    rows = [(1, START, -1_500_000), (2, START + dt.timedelta(days=3), 0), (3, START, None)]
    events = spark.createDataFrame(rows, "row_id int, event_time timestamp, part_since_feature_t bigint")
    made = with_times(events, {"feature_t": "part_since_feature_t"})
    assert made.columns == ["row_id", "event_time", "feature_t"]
    found = {row["row_id"]: row["feature_t"] for row in made.collect()}
    assert found == {1: START - dt.timedelta(seconds=1.5), 2: START + dt.timedelta(days=3), 3: None}


REAL = [
    *[(f"u{n}", "many users") for n in range(3)],
    *[("u1", "one user's")] * 9,
    ("u1", "Two  Spellings"),
    ("u2", "two spellings"),
    ("u3", "TWO spellings "),
    ("u1", None),
    ("u9", "秘密"),
]
DRAWN = ["many users", "One  USER's ", "new", None, "two spellings", "秘密", "one user"]


@pytest.fixture(scope="module")
def private(spark):
    return private_texts(spark.createDataFrame(REAL, "entity_id string, query string"), "query", min_users=3)


@pytest.fixture(scope="module")
def drawn(spark):
    return spark.createDataFrame(list(enumerate(DRAWN)), "place int, query string")


def test_texts_of_few_users_are_private_however_they_are_spelt(private):
    assert sorted(row[0] for row in private.collect()) == ["one user's", "秘密"]


def test_no_private_text_is_let_through_and_no_other_one_is_touched(drawn, private):
    marked = marked_private(drawn, private, "query")
    assert num_private(marked) == 2
    made = replaced_private(marked, "query", ("a", "b"), "place", seed=0)
    assert made.columns == drawn.columns
    found = {row["place"]: row["query"] for row in made.collect()}
    assert len(found) == len(DRAWN)
    for place, text in enumerate(DRAWN):
        if place in (1, 5):
            assert found[place] in ("a", "b")
        else:
            assert found[place] == text
    again = replaced_private(
        marked_private(drawn.repartition(3), private, "query"), "query", ("a", "b"), "place", seed=0
    )
    assert_df_equality(made, again, ignore_row_order=True)
    nothing = replaced_private(marked, "query", (), "place", seed=0)
    assert {row["place"]: row["query"] for row in nothing.collect()}[1] is None


def test_every_frequent_value_is_drawn_but_no_more_than_stated(spark, private):
    many = spark.range(6_000).selectExpr("id AS place", "'秘密' AS query")
    values = tuple(f"v{n}" for n in range(INSTEAD + 50))
    made = replaced_private(marked_private(many, private, "query"), "query", values, "place", seed=1)
    assert {row[0] for row in made.select("query").distinct().collect()} == set(values[:INSTEAD])

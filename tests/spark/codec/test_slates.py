"""Slates as the codec sees them: runs of events on any partitioning, and what the log's slates keep to."""

import datetime as dt

import pytest
from chispa import assert_df_equality

from clickweave.codec.inputs import history_inputs, planned_columns
from clickweave.codec.slates import NO_LIMIT_US, fit_slates
from clickweave.codec.spec import ENTITY, ROW, CodecSpec, Slates
from clickweave.config.log import SchemaConfig

LOG = SchemaConfig.model_validate(
    {
        "user": "u", "item": "i", "query": "q", "position": "p", "slate": "s",
        "event_time": {"column": "t", "unit": "s"}, "labels": {"click": "c"},
    }
)  # fmt: skip
TYPE = (
    "row_id bigint, entity_id string, user_id string, slate_id string, query string, item_id string, position bigint, "
    "event_time timestamp, label bigint"
)
START = dt.datetime(2023, 1, 30, 22)


def frame(spark, rows):
    """Rows of user, slate, query, item, position, second; row ids descend, so that ties are not settled by them."""
    made = [
        (100 - n, user, user, slate, query, item, position, START + dt.timedelta(seconds=second), 0)
        for n, (user, slate, query, item, position, second) in enumerate(rows)
    ]
    return spark.createDataFrame(made, TYPE)


PLAIN = [
    ("a", "s1", "x", "i1", 1, 0),
    ("a", "s2", "y", "i1", 1, 0),
    ("a", "s1", "x", "i2", 2, 0),
    ("a", "s2", "y", "i3", 2, 0),
    ("a", None, None, "i3", None, 5),
    ("a", None, None, "i4", None, 6),
    ("a", "s3", None, "i4", None, 10),
    ("a", "s3", None, "i1", None, 22),
    ("b", "s3", "z", "i4", 3, 30),
]


@pytest.fixture
def inputs(spark):
    def make(rows):
        users = spark.createDataFrame([], "user_id string")
        return history_inputs(frame(spark, rows), users, LOG)

    return make


def test_events_of_one_time_stand_by_slate_and_position(inputs):
    made = inputs(PLAIN).orderBy("entity_id", "place").collect()
    assert [(row["slate_id"], row["position"]) for row in made[:4]] == [("s1", 1), ("s1", 2), ("s2", 1), ("s2", 2)]
    assert [row["same_slate"] for row in made] == [0, 1, 0, 1, None, None, 0, 1, 0]


def test_the_column_does_not_depend_on_partitions(inputs, spark):
    expected = inputs(PLAIN)
    users = spark.createDataFrame([], "user_id string")
    for num in (1, 5):
        again = history_inputs(frame(spark, PLAIN).repartition(num, "item_id"), users, LOG)
        assert_df_equality(expected, again, ignore_row_order=True)


def test_the_codec_knows_what_slates_keep_to(inputs):
    assert fit_slates(inputs(PLAIN), LOG) == Slates(12_000_000, 2, True, True, True)
    for broken, wanted in (
        (("a", "s1", "x", "i2", 3, 0), Slates(12_000_000, 3, False, True, True)),
        (("a", "s1", "x", "i9", 2, 0), Slates(12_000_000, 3, True, False, True)),
        (("a", "s1", "w", "i9", 9, 0), Slates(12_000_000, 3, True, True, False)),
        (("a", "s1", None, "i9", 9, 0), Slates(12_000_000, 3, True, True, False)),
        (("b", "s3", "z", "i9", 9, 86_400), Slates(NO_LIMIT_US, 2, True, True, True)),
    ):
        assert fit_slates(inputs([*PLAIN, broken]), LOG) == wanted


def test_slates_are_coded_where_the_log_has_some_of_its_own():
    def coded(grain, **changes):
        log = SchemaConfig.model_validate({**LOG.model_dump(), **changes})
        return "same_slate" in [plan.column.name for plan in planned_columns(log, grain)]

    assert coded(ENTITY)
    assert not coded(ROW)
    assert not coded(ENTITY, slate=None)
    assert not coded(ENTITY, session="s")


def test_a_codec_with_slates_comes_back_from_its_text():
    spec = CodecSpec((), 0, "x", slates=Slates(5, 9, True, False, True))
    assert CodecSpec.from_json(spec.to_json()) == spec

"""Runs of five items that one person owns do not come back."""

import pytest

from clickweave.frames.align.copies import drop_copied_runs


@pytest.fixture
def events(spark):
    def make(**histories):
        rows = [(name, item, place) for name, items in histories.items() for place, item in enumerate(items)]
        frame = spark.createDataFrame(rows, "entity_id string, item_id string, place long")
        made = {"row_id": "xxhash64(entity_id, place)", "event_time": "timestamp_micros(place * 1000000)"}
        return frame.selectExpr("*", *[f"{value} {name}" for name, value in made.items()])

    return make


def items(frame):
    kept = {}
    for row in frame.orderBy("entity_id", "place").collect():
        kept[row.entity_id] = kept.get(row.entity_id, "") + row.item_id
    return kept


def test_the_event_that_completes_an_owned_run_goes(events):
    train = events(real="abcdefg", other="uvwxyz")
    assert items(drop_copied_runs(events(new="xabcdeq", free="abcxdef"), train)) == {"new": "xabcdq", "free": "abcxdef"}


def test_runs_of_several_people_and_short_histories_stay(events):
    train = events(one="aaaaaa", two="aaaaa", three="bcde")
    made = events(new="aaaaaaa", small="bcde")
    assert items(drop_copied_runs(made, train)) == {"new": "aaaaaaa", "small": "bcde"}


def test_a_run_that_closes_when_an_event_goes_is_found_too(events):
    train = events(real="abcde", other="bcdfg")
    assert items(drop_copied_runs(events(new="abcdefg"), train)) == {"new": "abcdf"}


def test_a_whole_copy_keeps_less_than_half(events):
    train = events(real="abcdefghijklmnop")
    left = items(drop_copied_runs(events(new="abcdefghijklmnop"), train))["new"]
    assert left == "abcd"


def test_no_events_and_no_train_are_fine(events):
    nothing = events(a="b").limit(0)
    assert items(drop_copied_runs(nothing, events(real="abcde"))) == {}
    assert items(drop_copied_runs(events(new="abcde"), nothing)) == {"new": "abcde"}


def test_events_without_an_item_do_not_hide_a_run(events):
    train = events(real="abcde")
    made = events(new="ab-cde").replace("-", None, subset=["item_id"])
    kept = drop_copied_runs(made, train)
    assert [row.item_id for row in kept.orderBy("place").collect()] == ["a", "b", None, "c", "d"]

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import functions as F

from clickweave.evaluation.rules import judge_rules

Frame = pd.DataFrame


def _first(rows: Frame, **values: Any) -> Frame:
    broken = rows.copy()
    for name, value in values.items():
        broken.loc[broken.index[0], name] = value
    return broken


BREAKS: dict[str, Callable[[Frame], Frame]] = {
    "item exists in the catalogue": lambda rows: _first(rows, item_id="invented"),
    "item genre is the catalogue's": lambda rows: _first(rows, genre="none of it"),
    "an item stands once on a slate": lambda rows: rows.assign(
        slate_id=rows["slate_id"].mask(rows.index < 2, "same"),
        item_id=rows["item_id"].mask(rows.index < 2, "4"),
        genre=rows["genre"].mask(rows.index < 2, "drama"),
    ),
    "event_time lies in the training window": lambda rows: _first(rows, ts=1),
    "label is a level of the funnel": lambda rows: _first(rows, label=2),
    "label agrees with the columns that define it": lambda rows: _first(rows, label=1, feature_stars=2.0),
    "row_id is unique": lambda rows: _first(rows, row_id=rows["row_id"].iloc[1]),
    "user_id is no real one": lambda rows: _first(rows, user_id="h3"),
    "entity_id is no real one": lambda rows: _first(rows, entity_id="u3"),
    "origin and weight say what the row is": lambda rows: _first(rows, origin="real"),
    "row_id and entity_id are set": lambda rows: _first(rows, entity_id=None),
    "item or query is set": lambda rows: _first(rows, item_id=None),
}


def test_rows_of_a_perfect_generator_break_no_rule(make_inputs, fresh):
    row, detail = judge_rules(make_inputs(fresh))
    assert (row.grade, row.value, row.note) == ("green", 1.0, "")
    assert {rule["synthetic"] for rule in detail["rules"]} == {0}


@pytest.mark.parametrize("rule", BREAKS)
def test_one_broken_row_is_found_and_named(make_inputs, fresh, rule):
    row, detail = judge_rules(make_inputs(BREAKS[rule](fresh)))
    counted = {entry["rule"]: entry["synthetic"] for entry in detail["rules"]}
    assert row.grade == "red"
    assert counted[rule] == 1
    assert rule in row.note


def test_missing_column_breaks_every_row(make_inputs, fresh):
    inputs = make_inputs(fresh)
    row, _ = judge_rules(_with(inputs, inputs.synthetic.drop("feature_device")))
    assert row.grade == "red"
    assert "feature_device" in row.note


def test_type_of_another_kind_is_found(make_inputs, fresh):
    inputs = make_inputs(fresh)
    row, _ = judge_rules(_with(inputs, inputs.synthetic.withColumn("position", F.col("position").cast("string"))))
    assert "type of position" in row.note


def test_rule_that_real_rows_break_is_shown_and_does_not_count(make_inputs, fresh, toy):
    real = _first(toy(120, 1, "u"), label=1, feature_stars=2.0)
    row, detail = judge_rules(make_inputs(_first(fresh, label=1, feature_stars=2.0), train=real))
    entry = next(e for e in detail["rules"] if e["rule"] == "label agrees with the columns that define it")
    assert (entry["train"], entry["synthetic"], entry["counts"]) == (1, 1, False)
    assert row.grade == "green"


def test_a_history_that_goes_on_has_the_ids_of_one_that_is_there(make_inputs, fresh):
    fresh = fresh.assign(op="toy")
    row, _ = judge_rules(make_inputs(_first(fresh, op="journey:continue", user_id="u3", entity_id="u3")))
    assert (row.grade, row.note) == ("green", "")
    row, _ = judge_rules(make_inputs(_first(fresh, op="journey:continue", user_id="h3", entity_id="h3")))
    assert "a history that goes on is one of train's: 1 rows" in row.note


def test_no_synthetic_rows_is_a_legal_answer(make_inputs):
    row, _ = judge_rules(make_inputs())
    assert row.grade == "na"


def _with(inputs, synthetic):
    return type(inputs)(**{**vars(inputs), "synthetic": synthetic})

import pandas as pd
import pytest
from pyspark.sql import functions as F

from clickweave.evaluation.privacy.closeness import BLENDS, RATIO, SHARE, compared_columns, draw_items, judge_closeness


def judge(inputs):
    rows, detail = judge_closeness(inputs)
    return {row.name: row for row in rows}, detail


def test_fresh_users_pass_and_controls_are_told_apart(make_inputs, fresh):
    rows, detail = judge(make_inputs(fresh))
    assert {row.grade for row in rows.values()}.isdisjoint({"red", "na"})
    assert {row.control_grades["bootstrap"] for row in rows.values()} == {"red"}
    assert "red" not in {row.control_grades["independent"] for row in rows.values()}
    assert rows[SHARE].interval[0] < rows[SHARE].value < rows[SHARE].interval[1]
    assert len(detail["sides"]["synthetic"]["distance_quantiles"]) == 21


def test_real_rows_under_new_names_are_red(make_inputs, copied):
    rows, _ = judge(make_inputs(copied))
    assert {row.grade for row in rows.values()} == {"red"}


def test_holdout_in_place_of_synthetic_rows_passes(make_inputs, toy):
    other = toy(100, 2, "h").assign(origin="generated")
    rows, _ = judge(make_inputs(other.assign(row_id=other["row_id"] + 10**7)))
    assert {row.grade for row in rows.values()} == {"green"}


def test_verdicts_are_those_of_any_partitioning(make_inputs, fresh):
    inputs = make_inputs(fresh)
    tables = {name: getattr(inputs, name).repartition(7) for name in ("train", "holdout", "synthetic", "mixed")}
    assert judge_closeness(type(inputs)(**{**vars(inputs), **tables})) == judge_closeness(inputs)


def test_samples_hold_the_same_items_whole(make_inputs, copied):
    inputs = make_inputs(copied)
    drawn = draw_items(inputs, 600)
    items = {side: set(frame["item_id"]) for side, frame in drawn.items() if len(frame)}
    assert items["train"] == items["synthetic"]
    assert max(map(len, drawn.values())) <= 600
    whole = inputs.train.where(F.col("item_id").isin(list(items["train"]))).count()
    assert whole == len(drawn["train"]) == len(drawn["synthetic"]) > 300


def test_a_date_is_not_compared_and_the_hour_is(make_inputs, fresh):
    names = [column.name for column in compared_columns(make_inputs(fresh).schema)]
    assert "hour" in names
    assert {"item_id", "label", "feature_device"} <= set(names)
    assert {"day", "weekday", "user_feature_taste", "item_feature_genre"}.isdisjoint(names)


def test_blended_rows_are_judged_on_their_own(make_inputs, fresh, toy, to_table):
    parents = toy(120, 1, "u").assign(origin="blended")
    parents = parents.assign(row_id=parents["row_id"] + 5 * 10**7, feature_stars=parents["feature_stars"] + 0.01)
    rows, _ = judge(make_inputs(fresh, mixed=to_table(parents)))
    assert rows[SHARE].grade != "red"
    assert rows[SHARE + BLENDS].grade == rows[RATIO + BLENDS].grade == "red"
    rows, _ = judge(make_inputs(mixed=to_table(parents)))
    assert rows[SHARE].grade == "na"
    assert rows[SHARE + BLENDS].grade == "red"


@pytest.mark.parametrize("side", ["synthetic", "holdout"])
def test_what_is_empty_cannot_be_judged(make_inputs, fresh, toy, side):
    inputs = make_inputs() if side == "synthetic" else make_inputs(fresh, holdout=toy(1, 2, "h").head(0))
    assert {row.grade for row in judge_closeness(inputs)[0]} == {"na"}


def test_columns_that_are_null_everywhere_do_not_count(make_inputs, fresh):
    _, detail = judge(make_inputs(fresh))
    assert pd.Series(detail["columns"]).isin(["empty", "query"]).sum() == 0

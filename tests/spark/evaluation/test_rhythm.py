"""Counts behind the pictures of sessions, pauses and flow, against frames counted by hand."""

import pandas as pd
import pytest

from clickweave.evaluation.sequences.rhythm import GAPS_S, LENGTHS, measure_rhythm


@pytest.fixture(scope="module")
def told(make_inputs, fresh):
    return measure_rhythm(make_inputs(fresh))


def test_shares_are_those_that_pandas_counts(told, toy):
    rows = toy(120, 1, "u").sort_values(["entity_id", "ts", "row_id"])
    sessions = rows.groupby("session_id").size()
    steps = pd.cut(sessions, [*LENGTHS, 10**9], right=False, labels=list(LENGTHS.values()))
    wanted = steps.value_counts(normalize=True, sort=False).tolist()
    assert told["rhythm"]["session_length"]["shares"]["train"] == pytest.approx(wanted)
    gaps = rows.groupby("entity_id")["ts"].diff().dropna()
    wanted = pd.cut(gaps, [*GAPS_S, 10**9], right=False).value_counts(normalize=True, sort=False).tolist()
    assert told["rhythm"]["gap"]["shares"]["train"] == pytest.approx(wanted)
    assert told["rhythm"]["gap"]["rows"]["train"] == len(gaps)


def test_flow_is_the_share_of_pairs_in_time(told, toy):
    rows = toy(120, 1, "u").sort_values(["entity_id", "ts", "row_id"])
    before = rows.groupby("entity_id")["genre"].shift()
    names = told["flow"]["names"]
    wanted = pd.crosstab(before, rows["genre"], normalize="all").reindex(index=names, columns=names)
    assert told["flow"]["by"] == "item genre"
    assert sorted(names) == sorted(set(rows["genre"]))
    for row, cells in zip(told["flow"]["shares"]["train"], wanted.to_numpy(), strict=True):
        assert row == pytest.approx(cells.tolist())


def test_every_side_with_rows_sums_to_one(told):
    for picture in (*told["rhythm"].values(), told["flow"]):
        assert set(picture["shares"]) == {"train", "synthetic", "holdout"}
    assert all(sum(share) == pytest.approx(1) for share in told["rhythm"]["gap"]["shares"].values())
    assert all(sum(map(sum, cells)) == pytest.approx(1) for cells in told["flow"]["shares"].values())


def test_many_items_without_attributes_leave_the_rarer_ones_among_all_others(make_inputs, toy):
    flow = measure_rhythm(make_inputs(items=None))["flow"]
    top = toy(120, 1, "u")["item_id"].value_counts()
    assert flow["by"] == "item"
    assert flow["names"][-1] == "all others"
    assert len(flow["names"]) == 8
    assert sorted(top[flow["names"][:7]].tolist()) == sorted(top.head(7).tolist())
    assert set(flow["shares"]) == {"train", "holdout"}


def test_a_log_without_time_has_no_rhythm(make_inputs, fresh):
    inputs = make_inputs(fresh)
    timeless = inputs.schema.model_copy(update={"event_time": None})
    assert measure_rhythm(type(inputs)(**{**vars(inputs), "schema": timeless})) == {}

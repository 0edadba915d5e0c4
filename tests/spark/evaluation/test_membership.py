import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from clickweave.evaluation.privacy import membership
from clickweave.evaluation.privacy.membership import (
    AUC,
    TPR,
    count_tokens,
    draw_targets,
    judge_membership,
    last_events,
    tokens,
)


@pytest.fixture
def judge(make_inputs, to_table, toy):
    """Rows by name and the details, with a reference of users of its own."""
    reference = to_table(toy(60, 9, "r"))

    def judged(synthetic, **changes):
        rows, detail = judge_membership(replace(make_inputs(synthetic, **changes), reference=reference))
        return {row.name: row for row in rows}, detail

    return judged


def test_fresh_users_tell_of_nobody(judge, fresh):
    rows, detail = judge(fresh)
    assert {row.grade for row in rows.values()}.isdisjoint({"red", "na"})
    assert {row.control_grades["bootstrap"] for row in rows.values()} == {"red"}
    assert detail["users_a_side"] == 100
    assert len(detail["attacks"]) == 4


def test_copied_users_are_all_found(judge, copied):
    rows, detail = judge(copied)
    assert {row.grade for row in rows.values()} == {"red"}
    for name in ("nearest generated history", "repeated n-grams"):
        assert detail["attacks"][name]["auc"] > 0.99


def test_holdout_in_place_of_synthetic_rows_passes(judge, toy):
    other = toy(100, 2, "h").assign(origin="generated")
    rows, _ = judge(other.assign(entity_id="syn-" + other["entity_id"], row_id=other["row_id"] + 10**7))
    assert {row.grade for row in rows.values()}.isdisjoint({"red", "na"})


def test_details_hold_no_user_and_no_item(judge, fresh):
    text = json.dumps(judge(fresh)[1])
    assert '"u' not in text.replace('"users_a_side"', "")
    assert "h1" not in text


def test_tokens_are_counted_as_pandas_counts_them(make_inputs, copied, fresh):
    inputs = make_inputs(pd.concat([copied.head(700), fresh]))
    train, made = tokens(inputs.train, inputs), tokens(inputs.synthetic, inputs)
    targets = draw_targets(train, tokens(inputs.holdout, inputs), 0).events
    counts = count_tokens({"synthetic": made, "train": train}, targets)
    for side, rows in (("synthetic", made), ("train", train)):
        whole = last_events(rows)  # users have 20 events, fewer than are kept
        for kind in ("item", "pair", "gram2", "gram3", "row"):
            known = whole.loc[whole[kind] != 0, kind]
            by_hand = known[known.isin(targets[kind])].value_counts()
            assert counts[side].totals[kind] == len(known)
            assert counts[side].held[kind].sort_index().to_dict() == by_hand.sort_index().to_dict()
    assert counts["train"].totals == {"item": 2400, "pair": 2280, "gram2": 2280, "gram3": 2160, "row": 2400}


def test_copied_run_has_the_tokens_of_its_original(make_inputs, copied):
    inputs = make_inputs(copied)
    ours, real = (last_events(tokens(df, inputs)) for df in (inputs.synthetic, inputs.train))
    assert np.array_equal(np.sort(ours["gram3"]), np.sort(real["gram3"]))
    assert (real["gram3"] != 0).sum() == 120 * 18


def test_members_are_as_many_as_others_and_seeded(make_inputs, fresh, monkeypatch):
    inputs = make_inputs(fresh)
    train, holdout = (tokens(df, inputs) for df in (inputs.train, inputs.holdout))
    monkeypatch.setattr(membership, "MAX_USERS", 40)
    monkeypatch.setattr(membership, "MAX_EVENTS", 7)
    one, two, other = (draw_targets(train, holdout, seed) for seed in (0, 0, 1))
    assert one.num_a_side == 40
    assert sorted(one.events["user"].value_counts().tolist()) == [7] * 80
    ordered = [
        frame.sort_values(["user", "row"], ignore_index=True) for frame in (one.events, two.events, other.events)
    ]
    assert ordered[0].equals(ordered[1])
    assert not ordered[0].equals(ordered[2])


def test_without_reference_half_of_the_holdout_stands_for_it(make_inputs, copied):
    rows, detail = judge_membership(make_inputs(copied))
    assert 30 < detail["users_a_side"] < 70
    assert rows[0].grade == "red"


@pytest.mark.parametrize("which", ["no synthetic rows", "no users", "few users"])
def test_what_cannot_be_said(make_inputs, fresh, toy, which):
    inputs = make_inputs() if which == "no synthetic rows" else make_inputs(fresh, holdout=toy(20, 2, "h"))
    if which == "no users":
        inputs = replace(inputs, schema=inputs.schema.model_copy(update={"user": None}))
    rows, _ = judge_membership(inputs)
    assert [(row.name, row.grade) for row in rows] == [(AUC, "na"), (TPR, "na")]

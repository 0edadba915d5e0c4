"""The verdict claims what the intervals show, and nothing else."""

import pages
import pytest

from clickweave.evaluation.gates import as_json, judged, not_applicable
from clickweave.evaluation.policy import apply_policy
from clickweave.evaluation.verdict import grouped, verdict

MIXED = {"real": 1000, "generated": 250}


def findings(*rows, gates=None, origins=None):
    decided = [as_json(row) for row in apply_policy(list(rows), gates or {})]
    return verdict(decided, MIXED if origins is None else origins)["findings"]


def gain(low, high):
    return judged("uplift of the mixed set", low, value=0.72, ceiling=0.7, interval=(low, high))


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.001, 0.04, "uplift of the mixed set +0.0200 (95 % interval +0.0010 to +0.0400)"),
        (-0.001, 0.04, "no measurable uplift"),
        (0.0, 0.04, "no measurable uplift"),
        (-0.04, -0.001, "harm, uplift of the mixed set"),
    ],
)
def test_uplift_is_claimed_where_the_interval_lies_above_zero_alone(low, high, said):
    told = findings(gain(low, high))
    assert said in told
    assert ("no measurable uplift" in told) == (said == "no measurable uplift")


def test_no_uplift_is_told_of_where_none_was_measured():
    assert "uplift" not in findings(judged("column shapes", 1.0))


def test_leaks_are_named_and_what_was_not_tested_is_not_called_clean():
    assert "no leak found by P1" in findings(judged("copied rows", 0.0))
    assert "a leak shows in P1 copied rows" in findings(judged("copied rows", 0.0), judged("copied rows", 9.0))
    graded = findings(judged("DCR share", 0.5), judged("copied rows", 9.0), gates={"P1": "grade"})
    assert "no leak found by P2; beyond their gates, but only graded: P1 copied rows" in graded
    assert "no leak" not in findings(judged("copied rows", 9.0), gates={"P1": "grade"})
    assert "leaks could not be tested" in findings(judged("column shapes", 1.0))
    assert "leaks could not be tested" in findings(not_applicable("copied rows", "no holdout"))


@pytest.mark.parametrize(
    ("origins", "said"),
    [
        (MIXED, "The mixed set has per real row 0.25 generated"),
        ({"real": 5}, "The mixed set holds real rows alone"),
        ({"generated": 5}, "The mixed set holds no real rows"),
    ],
)
def test_the_ratio_that_was_made_is_told(origins, said):
    assert findings(judged("column shapes", 1.0), origins=origins).startswith(said)


def test_every_row_stands_in_one_group_whatever_its_letter():
    rows = [as_json(row) for row in pages.verdict_rows()]
    rows += [rows[0] | {"id": name, "grade": "reported"} for name in ("D1", "R1", "X9", "P4")]
    groups = grouped(rows)
    assert [group["name"] for group in groups] == [
        "Fidelity", "Hard rules", "Utility", "Robustness", "Diversity", "Privacy", "Other figures",
    ]  # fmt: skip
    assert sum(len(group["rows"]) for group in groups) == len(rows)
    assert all(sum(group["tally"].values()) == len(group["rows"]) for group in groups)


def test_refusal_is_told_first_with_the_figures_that_failed():
    rows = [as_json(row) for row in apply_policy([judged("hard rules", 0.5), judged("column shapes", 1.0)], {})]
    told = verdict(rows, MIXED)
    assert not told["publishable"]
    assert told["sentence"] == "Not to be published: F8 hard rules failed (1 meet the target, 0 the gate, 1 neither)."

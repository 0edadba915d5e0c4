from dataclasses import asdict

import pytest

from clickweave.evaluation.gates import blocking_failures, judged, not_applicable
from clickweave.evaluation.policy import apply_policy


def _decide(row, gates=None, graded_only=frozenset()):
    return apply_policy([row], gates or {}, graded_only=graded_only)[0]


@pytest.mark.parametrize(("score", "grade"), [(0.995, "green"), (0.98, "amber"), (0.9, "red")])
def test_grades_of_a_figure_that_should_be_high(score, grade):
    assert judged("column shapes", score).grade == grade


@pytest.mark.parametrize(("score", "grade"), [(0.0, "green"), (0.03, "amber"), (0.3, "red")])
def test_grades_of_a_figure_that_should_be_low(score, grade):
    assert judged("classifier on rows", score).grade == grade


@pytest.mark.parametrize(
    ("name", "score", "refuses"),
    [("hard rules", 0.999, True), ("copied rows", 5.0, True), ("column shapes", 0.1, False)],
)
def test_rules_and_leaks_block_by_default_and_weak_fidelity_does_not(name, score, refuses):
    assert _decide(judged(name, score)).refuses is refuses


def test_recipe_can_make_any_row_block_or_grade():
    assert _decide(judged("column shapes", 0.1), {"F1": "block"}).refuses
    assert not _decide(judged("hard rules", 0.5), {"F8": "grade"}).refuses


@pytest.mark.parametrize(
    ("interval", "refuses"), [((-0.02, -0.001), True), ((-0.02, 0.01), False), ((0.001, 0.01), False)]
)
def test_uplift_blocks_on_measured_harm_alone(interval, refuses):
    assert _decide(judged("uplift of the mixed set", interval[0], interval=interval)).refuses is refuses


def test_row_that_is_only_graded_never_refuses():
    row = judged("copied rows, any time", 9.0)
    assert not _decide(row, graded_only=frozenset({row.name})).refuses


def test_what_cannot_be_said_never_refuses():
    assert not _decide(not_applicable("hard rules", "no synthetic rows"), {"F8": "block"}).refuses


def test_failures_name_row_number_and_gate():
    rows = [
        asdict(_decide(judged("hard rules", 0.75, note="label: 3 rows"))),
        asdict(_decide(judged("column shapes", 1.0))),
    ]
    assert blocking_failures({"rows": rows}) == ["F8 hard rules: 0.75, must be >= 1 (label: 3 rows)"]

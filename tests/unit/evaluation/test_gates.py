import re
from dataclasses import asdict

import pytest

from clickweave.config.gates import GateChange
from clickweave.errors import ConfigError
from clickweave.evaluation.gates import blocking_failures, judged, not_applicable
from clickweave.evaluation.policy import apply_policy, check_gates


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


MOVED = [
    ({"F1": GateChange(gate=0.9)}, "column shapes", 0.95, ("amber", True)),
    ({"F1": GateChange(gate=0.985)}, "column shapes", 0.98, ("red", False)),
    ({"F7 label rate": GateChange(gate=0.5, target=0.4)}, "label rate", 0.3, ("green", True)),
    ({"F7": "block", "F7 position curve": GateChange(target=0.05)}, "label rate", 0.3, ("red", False)),
    ({"P1": GateChange(block=False)}, "copied rows", 9.0, ("red", True)),
    ({"P1 copied rows": GateChange(gate=10.0)}, "copied rows", 9.0, ("amber", True)),
]


@pytest.mark.parametrize(("gates", "name", "score", "wanted"), MOVED)
def test_a_moved_gate_grades_anew_and_says_whether_it_is_easier(gates, name, score, wanted):
    check_gates(gates)
    row = _decide(judged(name, score), gates)
    assert (row.grade, row.loosened) == wanted


def test_a_moved_gate_keeps_what_it_replaced_and_grades_the_controls():
    row = _decide(judged("column shapes", 0.95, controls={"independent": 0.92}), {"F1": GateChange(gate=0.9)})
    assert (row.gate, row.default_gate, row.target, row.default_target) == (0.9, 0.97, 0.99, None)
    assert row.control_grades == {"independent": "amber"}


def test_a_moved_gate_leaves_the_default_of_blocking_alone():
    gates = {"F8": GateChange(gate=0.9), "F1": GateChange(gate=0.98)}
    assert _decide(judged("hard rules", 0.5), gates).refuses
    assert not _decide(judged("column shapes", 0.5), gates).refuses
    assert _decide(judged("column shapes", 0.5), {"F1": GateChange(block=True, gate=0.6)}).refuses


def test_what_is_said_of_a_figure_by_name_wins_over_what_is_said_of_its_row():
    gates = {"P1": "grade", "P1 copied rows": "block"}
    assert _decide(judged("copied rows", 9.0), gates).refuses
    assert not _decide(judged("copied 5-grams", 9.0), gates).refuses


def test_what_cannot_be_said_stays_so_under_a_moved_gate():
    assert _decide(not_applicable("column shapes", "few rows"), {"F1": GateChange(gate=0.9)}).grade == "na"


REFUSED = [
    ({"F11": "block"}, "unknown row 'F11'"),
    ({"F1 column shape": "block"}, "unknown figure 'F1 column shape'; there are 'F1 column shapes'"),
    ({"F1": GateChange()}, "'F1' changes nothing"),
    ({"F1": GateChange(gate=0.97)}, "'F1' changes nothing"),
    ({"F8": GateChange(block=True)}, "'F8' changes nothing"),
    ({"F7": GateChange(gate=0.1)}, "'F7' has figures with different gates; name one of 'F7 label rate'"),
    ({"F1": GateChange(gate=0.995)}, "target 0.99 is easier than gate 0.995"),
    ({"F4": GateChange(target=0.2)}, "target 0.2 is easier than gate 0.05"),
    ({"F1": GateChange(gate=97.0, target=99.0)}, "'F1': gate and target are shares"),
    ({"R1": GateChange(gate=-0.1)}, "'R1' is only reported: no gate judges it"),
    ({"D1 Gini of exposure": GateChange(gate=0.9, target=0.8)}, "'D1 Gini of exposure' is only reported"),
    ({"R1 AUC, future": "block"}, "'R1 AUC, future' is only reported"),
]


@pytest.mark.parametrize(("gates", "words"), REFUSED)
def test_a_name_that_is_not_there_or_a_gate_without_effect_is_refused(gates, words):
    with pytest.raises(ConfigError, match=re.escape(words)):
        check_gates(gates)

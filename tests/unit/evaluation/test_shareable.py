"""The copy of a report that lies beside a shareable version: no value of few users, no step of few rows."""

import pytest

from clickweave.evaluation.shareable import without_single_rows

BARS = {"title": "city", "kind": "bars", "names": ["a", "b", "c", "all others"], "users": [9, 2, 5, 0]}
SHARES = {"train": [0.5, 0.2, 0.2, 0.1], "synthetic": [0.6, 0.1, 0.2, 0.1]}
STEPS = {"title": "day", "kind": "steps", "edges": [1.4, 2.5001, 7.7], "is_day": True}


def shared(*marginals):
    pictures = {"scatter": {"kinds": {"real": [[1, 2]]}}, "marginals": list(marginals), "losses": []}
    report = {"run": {}, "pictures": pictures, "sample": {"rows_a_side": 100}}
    return without_single_rows(report, min_users=5)["pictures"]


def test_values_of_few_users_are_among_all_others():
    (bars,) = shared({**BARS, "shares": SHARES})["marginals"]
    assert (bars["names"], bars["users"]) == (["a", "c", "all others"], [9, 5, 0])
    assert bars["shares"]["train"] == pytest.approx([0.5, 0.2, 0.3])
    assert bars["shares"]["synthetic"] == pytest.approx([0.6, 0.2, 0.2])


def test_real_steps_of_few_rows_are_empty_and_points_are_gone():
    found = shared({**STEPS, "shares": {"train": [0.04, 0.96], "synthetic": [0.04, 0.96]}})
    (steps,) = found["marginals"]
    assert steps["shares"] == {"train": [0.0, 0.96], "synthetic": [0.04, 0.96]}
    assert steps["edges"] == [1, 3, 8]
    assert found["scatter"]["kinds"] == {}


def test_counted_pictures_keep_nothing_of_few_real_rows():
    sides = {"train": [[1, 0.9], [2, 0.1]], "synthetic": [[1, 0.9], [2, 0.1]]}
    told = {"title": "t", "of": "o", "labels": ["1", "2"], "rows": {"train": 30, "synthetic": 30}}
    shares = {"train": [0.9, 0.1], "synthetic": [0.9, 0.1]}
    pictures = {
        "scatter": {},
        "marginals": [],
        "popularity": {"sides": sides, "rows": {"train": 30, "synthetic": 30}},
        "rhythm": {"gap": told | {"shares": shares}},
        "flow": {"by": "item", "rows": told["rows"], "shares": {side: [share] for side, share in shares.items()}},
    }
    found = without_single_rows({"run": {}, "pictures": pictures, "sample": {"rows_a_side": 30}}, min_users=5)[
        "pictures"
    ]
    assert found["popularity"]["sides"] == {"train": [[1, 0.9]], "synthetic": sides["synthetic"]}
    assert found["rhythm"]["gap"]["shares"] == {"train": [0.9, 0.0], "synthetic": [0.9, 0.1]}
    assert found["flow"]["shares"] == {"train": [[0.9, 0.0]], "synthetic": [[0.9, 0.1]]}


def test_settings_which_may_name_real_values_are_left_out():
    run = {"dataset": "d", "settings": {"sample": {"targets": ["u3"]}}}
    pictures = {"scatter": {}, "marginals": []}
    found = without_single_rows({"run": run, "pictures": pictures, "sample": {"rows_a_side": 30}}, min_users=5)
    assert found["run"] == {"dataset": "d"}

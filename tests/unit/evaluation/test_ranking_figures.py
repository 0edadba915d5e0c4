"""Rows and curves from trials whose figures are known."""

import json

import numpy as np
import pytest
from scipy.stats import kendalltau

from clickweave.evaluation.intervals import LEVEL
from clickweave.evaluation.policy import apply_policy
from clickweave.evaluation.ranking.arms import RowCounts, plan_arms
from clickweave.evaluation.ranking.curves import all_curves, recommend_ratio, uplifts
from clickweave.evaluation.ranking.figures import (
    MIN_USERS,
    NAMES,
    SLICE_ROWS,
    UPLIFTS,
    Results,
    all_rows,
    better_than_random,
    judge_agreement,
    judge_tstr,
    judge_uplift,
)
from clickweave.evaluation.ranking.trials import Trial
from clickweave.evaluation.ranking.utility import most_users

NUM_USERS = 300
COUNTS = RowCounts(train=1000, synthetic=1000, extra=500, ops={"crop": 100})
LUCK = np.random.default_rng(0).uniform(0, 0.2, NUM_USERS)  # of the users, the same in every arm
PARTS = ("all", "cold_users", "rare_items", "head_items", "tail_items")


def _trial(level, *, noise=0.0, seed=0, cold=0.0, others=(), spread=0.1):
    """Users' figures: their luck and `level`; cold users are the first 50, and gain `cold` beside it."""
    ndcg = (LUCK + level + noise * np.random.default_rng(seed).normal(size=NUM_USERS))[None]
    parts = dict.fromkeys(PARTS, ndcg) | {"cold_users": np.where(np.arange(NUM_USERS) < 50, ndcg + cold, np.nan)}
    lists = {"coverage": spread, "gini": 1 - spread, "distance": spread / 2}
    robust = {name: {"ndcg": ndcg * factor, "auc": ndcg + factor - 1} for name, factor in others}
    return Trial(parts, parts, ndcg, ndcg, lists, robust)


def _results(levels, *, counts=COUNTS, full=False, averaged=("als", "item_knn"), **made):
    """Arms at levels of NDCG, each recommender a little apart; arms that are not named stand where `real` does."""
    plans = {plan.name: plan for plan in plan_arms(counts, full=full)}
    names = ("popularity", "content", "als", "item_knn", "hybrid")
    trials = {
        arm: {
            name: _trial(levels.get(arm, levels["real"]) + place / 50, others=[("substituted", 0.8)], **made)
            for place, name in enumerate(names)
        }
        for arm in plans
    }
    return Results(trials, plans, averaged, seed=0)


def test_rows_stand_in_the_order_of_their_names_and_details_are_json():
    results = _results({"real": 0.2, "synthetic": 0.18}, full=True)
    assert tuple(row.name for row in all_rows(results)) == NAMES
    json.dumps(all_curves(results), allow_nan=False)


def test_tstr_is_the_mean_of_the_recommenders_ratios():
    row = judge_tstr(_results({"real": 0.2, "synthetic": 0.1}), NAMES[0], "ndcg")
    luck = LUCK.mean()
    expected = np.mean([(luck + 0.1 + place / 50) / (luck + 0.2 + place / 50) for place in (2, 3)])
    assert row.score == pytest.approx(expected, abs=1e-9)
    assert row.grade == "red"
    assert row.interval[0] < row.score < row.interval[1]
    assert (row.value, row.ceiling) == pytest.approx((luck + 0.15, luck + 0.25))


def test_items_apart_from_users_are_the_control_of_tstr():
    row = judge_tstr(_results({"real": 0.2, "synthetic": 0.2, "independent": 0.1}), NAMES[0], "ndcg")
    expected = np.mean([(LUCK.mean() + 0.1 + place / 50) / (LUCK.mean() + 0.2 + place / 50) for place in (2, 3)])
    assert row.controls == {"independent": pytest.approx(expected, abs=1e-9)}
    assert row.control_grades == {"independent": "red"}


def test_small_synthetic_set_is_held_against_as_few_real_rows():
    few = RowCounts(train=1000, synthetic=100, extra=0, ops={})
    results = _results({"real": 0.4, "thinned": 0.1, "synthetic": 0.1}, counts=few)
    row = judge_tstr(results, NAMES[0], "ndcg")
    assert results.base == "thinned"
    assert (row.score, row.grade) == (pytest.approx(1.0), "green")


@pytest.mark.parametrize(
    ("mixed", "repeated", "said", "refuses"),
    [
        (0.22, 0.2, "uplift", False),
        (0.22, 0.22, "no measurable uplift", False),
        (0.2, 0.2, "no measurable uplift", False),
        (0.18, 0.15, "harm", True),
    ],
)
def test_uplift_is_over_the_better_of_real_and_repeated_rows(mixed, repeated, said, refuses):
    row = judge_uplift(_results({"real": 0.2, "mixed": mixed, "repeated": repeated}), "all")
    assert row.note.startswith(said + ":")
    assert apply_policy([row], {}, graded_only=SLICE_ROWS)[0].refuses is refuses


def test_noise_is_no_uplift():
    results = _results({"real": 0.2})
    for name in ("als", "item_knn"):
        results.trials["mixed"][name] = _trial(0.255, noise=0.3, seed=8)  # the mean of real's two is 0.25
    row = judge_uplift(results, "all")
    assert row.interval[0] < 0 < row.interval[1]
    assert "no measurable uplift" in row.note


def test_harm_to_cold_users_is_graded_and_does_not_refuse():
    results = _results({"real": 0.3})
    for name in ("als", "item_knn"):
        results.trials["mixed"][name] = _trial(0.36, cold=-0.2)
    rows = {part: judge_uplift(results, part) for part in UPLIFTS}
    assert rows["all"].note.startswith("uplift")
    assert rows["cold_users"].note.startswith("harm")
    assert rows["cold_users"].grade == "red"
    assert not any(row.refuses for row in apply_policy(list(rows.values()), {}, graded_only=SLICE_ROWS))


def test_slice_of_few_users_says_so():
    results = _results({"real": 0.2})
    for trial in results.trials["real"].values():
        trial.ndcg["cold_users"][:, 10:] = np.nan
    row = judge_uplift(results, "cold_users")
    assert row.grade == "na"
    assert "10 users of the test are of the slice, fewer than 20" in row.note


def test_gains_where_models_of_real_rows_find_nothing_are_not_told():
    results = _results({"real": 0.2})
    assert all("cold_users" in row["slices"] for row in uplifts(results))
    for trial in results.trials["real"].values():
        trial.ndcg["cold_users"][:] = 0
    assert all("cold_users" not in row["slices"] for row in uplifts(results))


def test_mixed_set_of_real_rows_alone_has_no_uplift_and_nothing_to_report():
    results = _results({"real": 0.2}, counts=RowCounts(train=1000, synthetic=0, extra=0, ops={}))
    assert {row.grade for row in all_rows(results)} == {"na"}


def test_agreement_is_kendalls_tau_of_all_recommenders():
    results = _results({"real": 0.2, "synthetic": 0.2})
    names = list(results.trials["real"])
    assert judge_agreement(results).score == pytest.approx(1.0)
    swapped = [3, 2, 1, 0, 4]
    results.trials["synthetic"].update({names[i]: _trial(0.2 + swapped[i] / 50) for i in range(5)})
    row = judge_agreement(results)
    assert row.score == pytest.approx(kendalltau(range(5), swapped).statistic)
    assert row.grade == "red"


def test_fewer_than_five_recommenders_have_no_order():
    results = _results({"real": 0.2})
    for of in results.trials.values():
        del of["hybrid"]
    assert "4 recommenders are fewer than 5" in judge_agreement(results).note


def test_reported_rows_say_both_sides_and_never_refuse():
    results = _results({"real": 0.2})
    for name in ("als", "item_knn"):
        results.trials["mixed"][name] = _trial(0.2, spread=0.3, others=[("substituted", 0.9)])
    rows = {row.name: row for row in all_rows(results)}
    coverage, robust = rows["catalogue coverage@10"], rows["NDCG@10, items substituted"]
    assert (coverage.value, coverage.ceiling, coverage.grade) == (pytest.approx(0.3), pytest.approx(0.1), "reported")
    assert (robust.value, robust.ceiling) == (pytest.approx(-0.1), pytest.approx(-0.2))
    ranked = rows["AUC, items substituted"]
    assert (ranked.value, ranked.ceiling, ranked.unit) == (pytest.approx(-0.1), pytest.approx(-0.2), "auc")
    assert rows["NDCG@10, future"].grade == "na"
    gates = {"D1": "block", "R1": "block"}
    shown = [row for row in rows.values() if row.id in gates]
    assert not any(row.refuses for row in apply_policy(shown, gates))


def test_only_recommenders_that_learn_and_beat_a_random_order_are_averaged():
    floor = _trial(0.0)
    real = {"popularity": _trial(0.5), "content": _trial(0.5), "als": _trial(0.1), "item_knn": _trial(0.0, noise=0.1)}
    assert better_than_random(real, floor, seed=0) == ("als",)
    assert better_than_random({"popularity": _trial(0.5)}, floor, seed=0) == ()


def test_ratio_is_recommended_where_uplift_is_measured_and_only_there():
    best = _results({"real": 0.2, "real + 0.25 synthetic": 0.25, "real + 0.5 synthetic": 0.22}, full=True)
    assert recommend_ratio(best, uplifts(best))["ratio"] == 0.25
    none = _results({"real": 0.2}, full=True)
    assert recommend_ratio(none, uplifts(none)) == {"ratio": None, "reason": "no measurable uplift"}
    operator = _results({"real": 0.2, "real + crop": 0.3}, full=True)
    assert recommend_ratio(operator, uplifts(operator))["ratio"] is None


def test_many_comparisons_are_corrected_for():
    results = _results({"real": 0.2}, full=True)
    tried, margin = "real + 0.1 synthetic", 2.15 * 0.1 / np.sqrt(NUM_USERS)  # p is near 0.016 alone, more among five
    drawn = _trial(0.0, noise=0.1, seed=3).ndcg["all"].mean() - LUCK.mean()
    for name in ("als", "item_knn"):
        results.trials[tried][name] = _trial(0.25 + margin - drawn, noise=0.1, seed=3)
    row = next(row for row in uplifts(results) if row["arm"] == tried)
    assert row["interval"][0] > 0
    assert row["p"] < LEVEL < row["p_holm"]
    assert row["said"] == "no measurable uplift"


def test_sparsity_curve_has_both_sides_at_every_share():
    curve = all_curves(_results({"real": 0.2, "0.05 of real": 0.1, "0.05 of real + extra": 0.15}, full=True))[
        "sparsity"
    ]
    assert [point["share"] for point in curve] == [0.05, 0.1, 0.25, 0.5, 1.0]
    assert curve[0]["with_extra"]["ndcg"] - curve[0]["real"]["ndcg"] == pytest.approx(0.05)
    assert all_curves(_results({"real": 0.2}))["sparsity"] == []


def test_a_large_catalogue_is_ranked_for_fewer_users_and_never_for_too_few():
    assert [most_users(1000, num) for num in (0, 1_700, 1_000_000, 10**9)] == [1000, 1000, 200, MIN_USERS]

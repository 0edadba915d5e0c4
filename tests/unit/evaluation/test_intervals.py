import numpy as np
import pytest
from scipy import stats

from clickweave.evaluation.intervals import holm, interval, p_not_above, paired_means


def test_interval_of_a_mean_is_that_of_the_normal_law():
    figures = np.random.default_rng(0).normal(1.0, 2.0, (1, 800))
    low, high = interval(paired_means({"a": figures}, seed=3)["a"])
    half = stats.norm.ppf(0.975) * figures.std() / np.sqrt(800)
    assert low == pytest.approx(figures.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(figures.mean() + half, abs=0.15 * half)


def test_draws_are_paired_over_arms_in_users_and_seeds():
    figures = np.random.default_rng(0).normal(size=(3, 50))
    draws = paired_means({"a": figures, "b": figures + 0.25}, seed=3, num_replicates=500)
    assert draws["b"] - draws["a"] == pytest.approx(np.full(500, 0.25), abs=1e-12)
    assert draws["a"].std() > 0.05


def test_seeds_are_drawn_too():
    figures = np.repeat([[0.0], [1.0]], 40, axis=1)
    assert set(np.round(paired_means({"a": figures}, seed=0)["a"], 9)) == {0.0, 0.5, 1.0}


def test_users_without_a_figure_count_for_nothing():
    figures = np.array([[1.0, 3.0, np.nan, np.nan]])
    draws = paired_means({"a": figures}, seed=0)["a"]
    assert np.nanmin(draws) == 1.0
    assert np.nanmax(draws) == 3.0
    assert np.isnan(draws).mean() == pytest.approx(0.5**4, abs=0.02)
    assert np.isnan(interval(np.array([np.nan]))).all()


def test_holm_worked_by_hand_and_order_kept():
    assert holm({"a": 0.04, "b": 0.01, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.06, "b": 0.03, "c": 0.06, "d": 0.02}
    )
    assert list(holm({"b": 0.9, "a": 0.8})) == ["b", "a"]
    assert holm({"b": 0.9, "a": 0.8}) == {"b": 1.0, "a": 1.0}
    assert holm({}) == {}


def test_p_value_counts_replicates_that_are_not_above_nothing():
    assert p_not_above(np.array([1.0, 2.0, 0.0, -1.0])) == 3 / 5
    assert p_not_above(np.ones(99)) == 0.01

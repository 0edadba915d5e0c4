"""Chances of staying, against shares worked out by hand."""

import numpy as np
import pytest
from scipy.optimize import brentq

from clickweave.frames.align import tilt
from clickweave.frames.align.cells import Dimension, Layout
from clickweave.frames.align.goal import FINE, MOST, chances, fit_goal, keep_start
from clickweave.frames.align.refine import choose_terms
from clickweave.frames.align.sample import NO_TRAITS, Sample
from clickweave.frames.align.traits import DISTINCT, LARGEST, MEAN, SMALLEST, VARIANCE, Trait, fit_traits

TWO = Layout((Dimension("a", values=("x", "y")),), ((0,),))


def rows_of(codes, unit=None):
    codes = np.asarray(codes, np.int32).reshape(-1, 1)
    unit = np.arange(len(codes)) if unit is None else np.asarray(unit)
    draws = np.random.default_rng(0).permutation(np.linspace(0, 1, unit.max() + 1, endpoint=False))
    return Sample(TWO, codes, unit, draws)


def chances_of(pool, train, share):
    terms = terms_of(pool, train, share)
    sums = pool.sums(terms)
    return chances(sums, brentq(lambda start: chances(sums, start).mean() - share, -40, 40))


def terms_of(pool, train, share):
    goal = fit_goal(train.counts(), train.counts(), TWO, NO_TRAITS)
    return tilt.fit_terms(pool, train, goal.group, share)


def test_rows_stay_as_often_as_the_shares_of_train_ask():
    pool, train = rows_of([2] * 40_000 + [3] * 60_000), rows_of([2] * 50_000 + [3] * 50_000)
    found = chances_of(pool, train, 0.5)
    assert found[0] == pytest.approx(0.5 * 0.5 / 0.4, abs=0.002)
    assert found[-1] == pytest.approx(0.5 * 0.5 / 0.6, abs=0.002)


def test_a_long_history_counts_as_one():
    """A unit is one event of x or three of y: 55 % of train's units are x, of the pool's 40 %."""
    pool = rows_of(np.r_[[2] * 20_000, [3] * 90_000], np.r_[np.arange(20_000), 20_000 + np.arange(90_000) // 3])
    train = rows_of(np.r_[[2] * 33_000, [3] * 81_000], np.r_[np.arange(33_000), 33_000 + np.arange(81_000) // 3])
    stay = chances_of(pool, train, 0.5)
    assert stay[:20_000].sum() / stay.sum() == pytest.approx(0.55, abs=0.003)


def test_what_a_pool_lacks_does_not_decide_alone():
    pool, train = rows_of([2] * 10 + [3] * 9990), rows_of([2] * 5000 + [3] * 5000)
    found = chances_of(pool, train, 0.5)
    odds = found / (1 - found)
    assert odds[0] / odds[-1] <= np.exp(2 * tilt.MAX_TERM) + 1e-3
    assert odds[0] / odds[-1] > 2


def test_a_pool_with_the_shares_of_train_is_left_alone():
    pool = rows_of([2] * 300 + [3] * 700)
    assert not terms_of(pool, pool, 0.4).any()


def test_as_much_of_the_terms_counts_as_keeps_things_no_nearer_to_reference_than_train(monkeypatch):
    monkeypatch.setattr(tilt, "MAX_TERM", 0.5)  # all of it comes nearer to reference than train is
    pool, real, train = (rows_of([2] * x + [3] * (10_000 - x)) for x in (8000, 6000, 5000))
    goal = fit_goal(real.counts(), train.counts(), TWO, NO_TRAITS)
    terms, strength = choose_terms(pool, train, goal, 0.2)
    odds = pool.scores(terms)
    start = keep_start(np.bincount(odds + MOST, minlength=2 * MOST + 1), 2000)
    kept = pool.counts(pool.kept(chances(odds / FINE, start)))
    assert 0.3 <= strength <= 0.6
    assert goal.ceilings[0] <= goal.distances(kept)[0] < 0.2
    on_the_way = rows_of([2] * 6500 + [3] * 3500)  # nearer than train already
    assert choose_terms(on_the_way, train, goal, 0.5)[1] == 0


def test_as_many_stay_as_are_wanted():
    histogram = np.zeros(2 * MOST + 1)
    histogram[[0, MOST, MOST + 300]] = 100, 500, 400
    places = (np.flatnonzero(histogram) - MOST) / 256
    start = keep_start(histogram, 350)
    assert (np.array([100, 500, 400]) / (1 + np.exp(-(places + start)))).sum() == pytest.approx(350, abs=1e-4)


def test_traits_by_hand():
    codes, unit = np.array([[2], [2], [5], [3], [3]]), np.array([0, 0, 0, 1, 1])
    assert Trait(0, MEAN).of_codes(codes, unit, 2) == pytest.approx([3, 3])
    assert Trait(0, VARIANCE).of_codes(codes, unit, 2) == pytest.approx([2, 0])
    assert Trait(0, DISTINCT).of_codes(codes, unit, 2) == pytest.approx([2 / 3, 1 / 2])


def test_ends_leave_nulls_aside():
    codes, unit = np.array([[0], [2], [5], [0], [3], [3]]), np.array([0, 0, 0, 1, 2, 2])
    assert Trait(0, SMALLEST).of_codes(codes, unit, 3).tolist() == [2, 0, 3]
    assert Trait(0, LARGEST).of_codes(codes, unit, 3).tolist() == [5, 0, 3]


def test_a_frequent_value_of_a_trait_stands_for_itself_and_a_single_one_says_nothing():
    values = np.stack([np.r_[np.zeros(50), np.linspace(1, 2, 50)], np.ones(100)], axis=1)
    kept, own = fit_traits([Trait(0, MEAN), Trait(1, MEAN)], values)
    assert kept == [Trait(0, MEAN)]
    codes = np.searchsorted(own.dimensions[0].edges, values[:, 0], side="right")
    assert (codes[:50] == 0).all()
    assert (codes[50:] > 0).all()
    assert own.marginals == ((0,),)


def test_too_near_means_nearer_than_train_and_than_the_pool_was():
    real, train = rows_of([2] * 50 + [3] * 50).counts(), rows_of([2] * 60 + [3] * 40).counts()
    goal = fit_goal(real, train, TWO, NO_TRAITS)
    pool, near, nearer = (rows_of([2] * x + [3] * (100 - x)).counts() for x in (70, 61, 55))
    assert goal.excess(pool) == pytest.approx(0.1)
    assert not goal.is_too_near(near, pool)
    assert goal.is_too_near(nearer, pool)
    assert not goal.is_too_near(nearer, nearer)

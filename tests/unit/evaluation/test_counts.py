from math import comb

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp

from clickweave.evaluation.counts import chance_ks, expected_distinct, ks_of_counts, thinned


def _counted(values):
    return pd.Series(values).value_counts()


@pytest.mark.parametrize("seed", range(5))
def test_ks_of_counts_is_scipys(seed):
    rng = np.random.default_rng(seed)
    left, right = rng.poisson(4, 300), rng.poisson(4 + seed, 170)
    assert ks_of_counts(_counted(left), _counted(right)) == pytest.approx(ks_2samp(left, right).statistic, abs=1e-9)


def test_chance_ks_is_exceeded_by_one_sample_of_a_law_in_twenty():
    rng = np.random.default_rng(0)
    found = [ks_2samp(rng.random(400), rng.random(250)).statistic for _ in range(1000)]
    assert np.mean(np.array(found) > chance_ks(400, 250)) == pytest.approx(0.05, abs=0.02)


def test_expected_distinct_is_the_mean_over_all_subsets():
    counts = np.array([5, 3, 1, 0, 1])
    for rows in range(1, 11):
        by_hand = sum(1 - comb(10 - c, rows) / comb(10, rows) for c in (5, 3, 1, 1))
        assert expected_distinct(counts, rows) == pytest.approx(by_hand, abs=1e-9)
    assert expected_distinct(counts, 10) == pytest.approx(4.0, abs=1e-9)


def test_thinned_counts_keep_their_law_and_whole_ones_stay():
    counts = np.array([6000, 3000, 1000, 0])
    assert thinned(counts, 10_000, 0).tolist() == counts.tolist()
    part = thinned(counts, 4000, 0, 1)
    assert (part <= counts).all()
    assert part / 4000 == pytest.approx(counts / 10_000, abs=0.02)
    assert part.tolist() == thinned(counts, 4000, 0, 1).tolist() != thinned(counts, 4000, 0, 2).tolist()

"""Metrics against scikit-learn, scipy and values worked out by hand."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import ndcg_score, roc_auc_score
from sklearn.metrics.pairwise import cosine_distances

from clickweave.evaluation.ranking.metrics import (
    NOBODY,
    Pairs,
    auc_of,
    catalogue_coverage,
    draw_ties,
    gini_of_exposure,
    intra_list_distance,
    ndcg_at,
    ranking_keys,
    ranks_of,
    recall_at,
    reciprocal_rank,
    top_lists,
)

NUM_USERS, NUM_ITEMS, K = 40, 90, 10


@pytest.fixture
def table():
    """Scores without ties, whether an item is a target, and the pairs of it."""
    rng = np.random.default_rng(0)
    scores = rng.permuted(np.tile(np.linspace(-3, 3, NUM_ITEMS), (NUM_USERS, 1)), axis=1).astype(np.float32)
    wanted = rng.random((NUM_USERS, NUM_ITEMS)) < 0.15
    wanted[:, 0] |= ~wanted.any(axis=1)
    return scores, wanted, Pairs(*np.nonzero(wanted))


def _ranks(scores, pairs, seed=0, seen=None):
    keys = ranking_keys(scores, draw_ties(*scores.shape, seed), seen=seen)
    return ranks_of(keys, pairs), top_lists(keys, K)


def test_ndcg_is_that_of_scikit_learn(table):
    scores, wanted, pairs = table
    found = ndcg_at(_ranks(scores, pairs)[0], pairs.users, NUM_USERS, K)
    expected = [ndcg_score(wanted[u : u + 1], scores[u : u + 1], k=K) for u in range(NUM_USERS)]
    assert found == pytest.approx(expected, abs=1e-9)


def test_auc_of_a_ranking_is_that_of_scikit_learn_over_what_is_ranked(table):
    scores, wanted, pairs = table
    seen = Pairs(*np.nonzero(~wanted & (np.random.default_rng(1).random(wanted.shape) < 0.3)))
    left = np.ones(wanted.shape, bool)
    left[seen.users, seen.items] = False
    found = auc_of(_ranks(scores, pairs, seen=seen)[0], pairs.users, left.sum(axis=1))
    expected = [roc_auc_score(wanted[u][left[u]], scores[u][left[u]]) for u in range(NUM_USERS)]
    assert found == pytest.approx(expected, abs=1e-9)


def test_auc_says_nothing_of_a_user_without_targets_or_without_others():
    found = auc_of(np.array([1, 2, 3]), np.array([0, 0, 2]), np.array([2, 5, 5]))
    assert np.isnan(found[:2]).all()
    assert found[2] == pytest.approx(0.5)


def test_recall_and_reciprocal_rank_of_a_plain_sort(table):
    scores, wanted, pairs = table
    ranks, lists = _ranks(scores, pairs)
    order = np.argsort(-scores, axis=1)
    assert (lists == order[:, :K]).all()
    hits = np.take_along_axis(wanted, order, axis=1)
    assert recall_at(ranks, pairs.users, NUM_USERS, K) == pytest.approx(
        hits[:, :K].sum(axis=1) / wanted.sum(axis=1), abs=1e-12
    )
    assert reciprocal_rank(ranks, pairs.users, NUM_USERS) == pytest.approx(1 / (hits.argmax(axis=1) + 1), abs=1e-12)


def test_worked_example():
    ranks, users = np.array([1, 3, 11, 2]), np.array([0, 0, 0, 2])
    ideal = 1 + 1 / np.log2(3) + 0.5
    assert ndcg_at(ranks, users, 3, K) == pytest.approx([1.5 / ideal, np.nan, 1 / np.log2(3)], abs=1e-12, nan_ok=True)
    assert recall_at(ranks, users, 3, K) == pytest.approx([2 / 3, np.nan, 1.0], nan_ok=True)
    assert reciprocal_rank(ranks, users, 3) == pytest.approx([1.0, np.nan, 0.5], nan_ok=True)


def test_more_targets_than_places_can_still_be_perfect():
    assert ndcg_at(np.arange(1, 31), np.zeros(30, int), 1, K)[0] == pytest.approx(1.0, abs=1e-12)


def test_constant_scorer_is_a_random_order():
    users, items, k = 4_000, 50, 10
    ranks, lists = _ranks(np.full((users, items), 0.5), Pairs(np.arange(users), np.full(users, 7)))
    assert ranks.mean() == pytest.approx((items + 1) / 2, abs=4 * items / np.sqrt(12 * users))
    expected = sum(1 / np.log2(1 + rank) for rank in range(1, k + 1)) / items
    assert ndcg_at(ranks, np.arange(users), users, k).mean() == pytest.approx(expected, abs=0.02)
    shown = np.bincount(lists.ravel(), minlength=items)
    share = k / items
    assert np.abs(shown - users * share).max() < 4.5 * np.sqrt(users * share * (1 - share))


def test_ties_are_the_same_for_one_seed_and_in_any_blocks(table):
    _, _, pairs = table
    scores = np.random.default_rng(1).integers(0, 3, (NUM_USERS, NUM_ITEMS))
    ties = draw_ties(NUM_USERS, NUM_ITEMS, 5)
    whole = ranking_keys(scores, ties)
    halves = [ranking_keys(scores[:13], ties), ranking_keys(scores[13:], ties, 13)]
    assert (whole == np.concatenate(halves)).all()
    assert (np.argsort(whole) != np.argsort(ranking_keys(scores, draw_ties(NUM_USERS, NUM_ITEMS, 6)))).any()
    parts = [ranks_of(halves[0], pairs.within(0, 13)), ranks_of(halves[1], pairs.within(13, NUM_USERS))]
    assert (ranks_of(whole, pairs, max_cells=100) == np.concatenate(parts)).all()


def test_seen_items_stand_in_no_list_and_push_no_target_down():
    scores = np.array([[5.0, 4.0, 3.0, np.nan]])
    seen = Pairs(np.array([0, 0]), np.array([0, 1]))
    ranks, lists = _ranks(scores, Pairs(np.array([0]), np.array([2])), seen=seen)
    assert ranks.tolist() == [1]
    assert lists.tolist() == [[2, 3, NOBODY, NOBODY]]
    assert _ranks(scores, Pairs(np.array([0]), np.array([2])))[0].tolist() == [3]


def test_negative_zero_and_huge_scores_are_in_order():
    scores = np.array([[-0.0, 0.0, -1e30, 1e30, -1e-30, 1e-30, np.inf, -np.inf]], np.float32)
    order = _ranks(scores, Pairs(np.zeros(1, int), np.zeros(1, int)))[1][0].tolist()
    assert order[:3] == [6, 3, 5]
    assert set(order[3:5]) == {0, 1}
    assert order[5:8] == [4, 2, 7]


def test_negative_zero_ties_with_zero():
    first = _ranks(np.tile(np.array([[-0.0, 0.0]], np.float32), (200, 1)), Pairs(np.zeros(0, int), np.zeros(0, int)))[1]
    assert 70 < (first[:, 0] == 0).sum() < 130


def test_coverage_and_gini_by_hand():
    lists = np.array([[0, 1], [0, NOBODY], [0, 2]])
    assert catalogue_coverage(lists, 6) == 0.5
    shown = [0, 0, 0, 1, 1, 3]
    differences = sum(abs(a - b) for a in shown for b in shown)
    assert gini_of_exposure(lists, 6) == pytest.approx(differences / (2 * 6 * sum(shown)), abs=1e-12)
    assert gini_of_exposure(np.arange(6)[:, None], 6) == pytest.approx(0.0, abs=1e-12)


def test_intra_list_distance_is_the_mean_cosine_distance_of_pairs():
    rng = np.random.default_rng(2)
    vectors = rng.normal(size=(20, 5)) * (rng.random((20, 5)) < 0.6)
    vectors[3] = 0.0
    lists = np.stack([rng.permutation(20)[:4] for _ in range(6)])
    lists[0, :2], lists[1, 2:] = (3, 4), NOBODY
    expected = []
    for row in lists:
        listed = row[row != NOBODY]
        distances = cosine_distances(vectors[listed])
        expected.append(distances[np.triu_indices(len(listed), 1)].mean())
    found = intra_list_distance(lists, sparse.csr_array(vectors))
    assert found == pytest.approx(expected, abs=1e-9)
    assert np.isnan(intra_list_distance(np.array([[1, NOBODY]]), sparse.csr_array(vectors))).all()

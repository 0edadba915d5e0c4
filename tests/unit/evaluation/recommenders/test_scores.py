"""Scores of each recommender against the same by numpy or scikit-learn."""

import math

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse
from sklearn.metrics.pairwise import cosine_similarity

from clickweave.evaluation.recommenders import als, content, hybrid, hybrid_base, item_knn, sequential_rules
from clickweave.evaluation.recommenders.protocol import Histories, ItemIndex

IDS = np.array(["a", "b", "c", "d"], object)
DAY_US = 86_400_000_000


def history(items, days=None, weights=None):
    """One user with these items."""
    n = len(items)
    return Histories(
        np.array(["u"], object),
        np.array([0, n]),
        np.array(items, object),
        np.array(days if days is not None else range(n), dtype=np.int64) * DAY_US,
        np.ones(n, np.int64),
        np.array(weights if weights is not None else [1.0] * n),
    )


@pytest.fixture
def factors():
    return np.random.default_rng(0).normal(size=(4, 3))


def test_implicit_fold_in_is_the_dense_weighted_least_squares(factors):
    params = als.Params(rank=3, alpha=7.0, regularisation=0.3)
    ratings = np.array([[2.0, 0.0, 1.0, 0.0]])
    confidence = np.diag(1 + 7.0 * ratings[0])  # of all items: equation 4 of Hu, Koren and Volinsky, written out
    left = factors.T @ confidence @ factors + 0.3 * 2 * np.eye(3)
    expected = np.linalg.solve(left, factors.T @ confidence @ (ratings[0] > 0))
    found = als.fold_in(factors, sparse.csr_array(ratings), params)
    np.testing.assert_allclose(found[0], expected, rtol=1e-12)


def test_explicit_fold_in_is_ridge_regression_on_the_rated_items(factors):
    params = als.Params(rank=3, regularisation=0.3, implicit=False)
    ratings = np.array([[5.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    rated = factors[[0, 2]]
    padded = np.vstack([rated, math.sqrt(0.3 * 2) * np.eye(3)])  # ridge as rows of a plain least-squares problem
    expected = np.linalg.lstsq(padded, np.array([5.0, 3.0, 0.0, 0.0, 0.0]), rcond=None)[0]
    found = als.fold_in(factors, sparse.csr_array(ratings), params)
    np.testing.assert_allclose(found, [expected, np.zeros(3)], rtol=1e-12)


def test_explicit_als_takes_the_mean_of_repeated_ratings(factors):
    params = als.Params(rank=3, regularisation=0.3, implicit=False)
    fitted = als.Factors(ItemIndex(IDS), factors, params, None)
    twice = fitted.score(history(["a", "a", "c"], weights=[4.0, 2.0, 5.0]), IDS)
    np.testing.assert_allclose(twice, fitted.score(history(["a", "c"], weights=[3.0, 5.0]), IDS), rtol=1e-6)


def test_knn_sums_the_similarities_of_a_candidates_own_neighbours():
    near = sparse.csr_array(np.array([[0, 0.5, 0, 0], [0.2, 0, 0.3, 0], [0, 0, 0, 0], [0.9, 0, 0, 0]], np.float32))
    fitted = item_knn.Neighbours(ItemIndex(IDS), near, item_knn.Params(), None)
    found = fitted.score(history(["a", "b", "new"]), np.array(["d", "new", "a", "b", "c"], object))
    np.testing.assert_allclose(found, [[0.9, 0.0, 0.5, 0.2, 0.0]], rtol=1e-6)


def test_knn_halves_an_event_for_each_half_life_before_the_users_last():
    near = sparse.csr_array(np.array([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0]], np.float32))
    fitted = item_knn.Neighbours(ItemIndex(IDS), near, item_knn.Params(half_life_days=10.0), None)
    found = fitted.score(history(["a", "b"], days=[100, 120], weights=[4.0, 3.0]), IDS)
    np.testing.assert_allclose(found, [[0, 0, 0, 4.0 / 4 + 3.0]], rtol=1e-6)


def test_rules_of_the_events_of_a_history_fade_with_each_event_after():
    follows = sparse.csr_array(np.array([[0, 0.5, 0, 0.1], [0, 0, 0, 0.4], [0, 0, 0, 0], [0, 0, 0, 0]], np.float32))
    fitted = sequential_rules.Rules(ItemIndex(IDS), follows, sequential_rules.Params(fade=0.5), None)
    found = fitted.score(history(["a", "b", "new"], weights=[1.0, 2.0, 1.0]), np.array(["d", "new", "b"], object))
    np.testing.assert_allclose(found, [[0.1 / 4 + 2 * 0.4 / 2, 0.0, 0.5 / 4]], rtol=1e-6)


def test_content_is_the_cosine_to_the_mean_of_what_was_consumed():
    attributes = np.array([[1, 0, 0.5], [0, 1, 0], [1, 1, -2], [0, 0, 0]], np.float32)
    fitted = content.Content(ItemIndex(IDS), sparse.csr_array(attributes), None)
    profile = (attributes[0] + 3 * attributes[2])[None] / 4
    expected = cosine_similarity(profile, attributes)
    np.testing.assert_allclose(fitted.score(history(["a", "c"], weights=[1.0, 3.0]), IDS), expected, atol=1e-6)
    assert fitted.score(history(["new"]), IDS).tolist() == [[0, 0, 0, 0]]


def test_tf_idf_is_counts_by_smoothed_inverse_frequency():
    found = content.tf_idf(["red red shoe", "red bag", ""], max_words=10).toarray()  # bag, red, shoe
    red, rare = math.log(4 / 3) + 1, math.log(4 / 2) + 1
    first, second = np.array([0, 2 * red, rare]), np.array([rare, red, 0])
    expected = [first / np.linalg.norm(first), second / np.linalg.norm(second), np.zeros(3)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_texts_without_a_word_have_no_columns():
    assert content.tf_idf(["", "--"], max_words=10).shape == (2, 0)


def test_one_hot_has_the_frequent_values_that_items_share():
    values = pa.chunked_array([["x", "y", None], ["y", "x", "lonely", "y", "z", "z"]])
    assert content.one_hot(values, 2).toarray().T.tolist() == [
        [0, 1, 0, 1, 0, 0, 1, 0, 0],  # y, the most frequent
        [1, 0, 0, 0, 1, 0, 0, 0, 0],  # x, before z of the same number
    ]
    assert content.one_hot(values, 9).shape == (9, 3)


def test_numbers_are_standardised_and_missing_ones_are_the_mean():
    found = content.standardised(np.array([[1.0, 5.0], [3.0, 5.0], [np.nan, 5.0]]))
    np.testing.assert_allclose(found * math.sqrt(2), [[-1, 0], [1, 0], [0, 0]])
    far = content.standardised(np.append(np.zeros(99), 1e6)[:, None])
    assert far.max() == content.FARTHEST


def histories(*users):
    """One user each with these items, an event a day."""
    items = np.array([item for one in users for item in one], object)
    starts = np.append(0, np.cumsum([len(one) for one in users]))
    names = np.array([f"u{number:03d}" for number in range(len(users))], object)
    ones = np.ones(len(items))
    return Histories(names, starts, items, np.arange(len(items)) * DAY_US, ones.astype(np.int64), ones)


def test_late_events_are_the_last_fifth_but_at_least_one_and_never_too_many():
    told = histories(*[["a"] * num for num in (1, 4, 5, 14, 15, 300)])
    late = hybrid.late_events(told)
    assert np.add.reduceat(late.astype(int), told.starts[:-1]).tolist() == [1, 1, 1, 2, 3, 20]
    for start, stop in zip(told.starts[:-1], told.starts[1:], strict=True):
        assert (np.diff(late[start:stop].astype(int)) >= 0).all()


def test_lessons_hold_what_is_new_to_the_user_and_nothing_else():
    index, given, late = ItemIndex(np.array(list("abcdef"), object)), histories("ab", "a"), histories("bdd", "a")
    near = np.array([[True, False, True, True, False, True]] * 2)
    params, found = hybrid.Params(negatives=4, near_share=0.5), set()
    for seed in range(20):
        (lesson,) = hybrid.draw_lessons(index, given, late, near, params, np.random.default_rng(seed))
        ids = index.ids.to_numpy()[lesson.places].tolist()
        assert (lesson.user, lesson.num_targets, ids[0]) == (0, 1, "d")
        assert len(set(ids)) == len(ids)
        assert {"c", "f"} <= set(ids[1:])
        found |= set(ids[1:])
    assert found == {"c", "e", "f"}


def test_proposals_are_the_best_of_any_kind_and_no_ties_beyond():
    one, other = np.array([[3.0, 2.0, 1.0, 0.0]]), np.array([[0.0, 0.0, 0.0, 9.0]])
    assert hybrid_base.proposed({"one": one}, 2).tolist() == [[True, True, False, False]]
    assert hybrid_base.proposed({"one": one, "other": other}, 2).tolist() == [[True, True, False, True]]
    assert hybrid_base.proposed({"one": one}, 4).all()


def test_scores_are_standardised_for_each_user_and_blended_by_sum():
    als_scores, popular = np.array([[1.0, 2.0, 6.0], [5.0, 5.0, 5.0]], np.float32), np.array([[9.0, 0.0, 0.0]] * 2)
    expected = (als_scores[0] - 3) / np.sqrt(14 / 3)
    np.testing.assert_allclose(hybrid_base.standardised(als_scores), [expected, [0, 0, 0]], rtol=1e-12)
    found = hybrid_base.blended({"als": als_scores, "item_knn": als_scores * 7, "popularity": popular})
    np.testing.assert_allclose(found, [2 * expected, [0, 0, 0]], rtol=1e-6)

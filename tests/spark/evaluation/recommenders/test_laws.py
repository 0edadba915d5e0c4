"""Laws that all recommenders keep, on a toy log with tastes."""

import numpy as np
import pytest

from clickweave.evaluation.recommenders import als, registry
from clickweave.evaluation.recommenders.interactions import consumed, sample_histories
from clickweave.evaluation.recommenders.protocol import Task

FAST = {
    "als": {"rank": 4, "iterations": 3},
    "hybrid": {"trees": 10, "max_users": 40, "factors": als.Params(rank=4, iterations=3)},
    "sasrec": {"hidden": 8, "steps": 20, "max_users": 60, "length": 10},
}
LAST_DIGITS = {"als": 1e-4, "hybrid": 5e-2}  # Spark's sums inside a block of ALS; trees may cut between two of them


@pytest.fixture(scope="module")
def inputs(make_inputs):
    return make_inputs()


@pytest.fixture(scope="module")
def task(inputs):
    return Task(inputs.schema, level=1, seed=3)


@pytest.fixture(scope="module")
def histories(inputs, task):
    everything = Task(task.schema, level=None, seed=3)
    return sample_histories(consumed(inputs.holdout, everything), task, max_users=30, max_events=12)[0]


@pytest.fixture(scope="module")
def ids():
    return np.array([*(str(one) for one in range(120)), "new"], object)


@pytest.fixture(scope="module", params=registry.RECOMMENDERS)
def fitted(request, inputs, task):
    """Name and the recommender, fitted on one and on four partitions."""
    module = registry.recommender(request.param)
    params = module.Params(**FAST.get(request.param, {}))
    found = [
        module.fit(events, inputs.items, inputs.users, task, params)
        for events in (inputs.train.coalesce(1), inputs.train.repartition(4, "item_id"))
    ]
    return request.param, *found


def test_scores_do_not_depend_on_partitions(fitted, histories, ids):
    name, one, four = fitted
    first, second = one.score(histories, ids), four.score(histories, ids)
    if name in LAST_DIGITS:
        np.testing.assert_allclose(first, second, atol=LAST_DIGITS[name])
    else:
        np.testing.assert_array_equal(first, second)


def test_scores_are_finite_numbers_of_every_user_and_candidate(fitted, histories, ids):
    found = fitted[1].score(histories, ids)
    assert (found.shape, found.dtype) == ((30, 121), np.float32)
    assert np.isfinite(found).all()


def test_permuted_candidates_give_permuted_scores(fitted, histories, ids):
    order = np.random.default_rng(0).permutation(len(ids))
    fit = fitted[1]
    np.testing.assert_allclose(fit.score(histories, ids)[:, order], fit.score(histories, ids[order]), atol=1e-6)


def test_users_are_scored_alone(fitted, histories, ids):
    fit = fitted[1]
    blocks = np.concatenate([fit.score(block, ids) for block in histories.blocks(7)])
    np.testing.assert_allclose(fit.score(histories, ids), blocks, atol=1e-5)


def test_only_popularity_ignores_the_history(fitted, histories, ids):
    name, fit, _ = fitted
    found = fit.score(histories, ids)
    assert (found == found[0]).all() == (name == "popularity")


def test_events_below_the_level_count_nothing(fitted, histories, ids):
    fit = fitted[1]
    assert (histories.labels == 0).any()
    np.testing.assert_array_equal(fit.score(histories, ids), fit.score(histories.consumed(1), ids))


def test_an_unknown_item_is_never_ahead_of_what_is_liked(fitted, histories, ids):
    found = fitted[1].score(histories, ids)
    assert (found[:, -1] <= np.median(found[:, :-1], axis=1)).all() or fitted[0] == "content"


def test_a_user_without_a_history_is_scored(fitted, histories, ids):
    nobody = histories.kept(np.zeros(len(histories.item_ids), bool))
    found = fitted[1].score(nobody, ids)
    assert np.isfinite(found).all()
    assert (found == found[0]).all()


def test_recommenders_find_the_taste(fitted, histories, ids):
    """Users like the genre of their taste, item modulo 4: all but popularity put it before chance."""
    name, fit, _ = fitted
    if name in ("popularity", "sasrec"):
        pytest.skip("popularity knows no taste, and 20 steps teach none")
    liked = histories.consumed(1)
    genre = np.array([np.bincount(ids_of(liked, user) % 4, minlength=4).argmax() for user in range(liked.num_users)])
    top = np.argsort(-fit.score(histories, ids[:-1]), axis=1, kind="stable")[:, :10]
    assert (top % 4 == genre[:, None]).mean() > 0.4  # chance: a quarter


def ids_of(histories, user):
    return histories.item_ids[histories.starts[user] : histories.starts[user + 1]].astype(int)

import numpy as np
import pytest

from clickweave.evaluation.privacy.chance import beyond_chance, clustered_error


@pytest.mark.parametrize(("value", "by_chance", "score"), [(0.6, False, 0.6), (0.6, True, 0.55), (0.53, True, 0.53)])
def test_a_figure_above_its_gate_is_held_at_it_where_chance_explains_it(value, by_chance, score):
    assert beyond_chance("membership AUC", value, by_chance=by_chance) == score


def test_error_of_rows_of_their_own_is_the_plain_one():
    scores = np.random.default_rng(0).random(50)
    assert clustered_error(scores, [str(n) for n in range(50)]) == pytest.approx(scores.std() / np.sqrt(50), abs=1e-12)


def test_error_of_two_kinds_of_groups_is_the_sum_over_pairs_that_share_one():
    rng = np.random.default_rng(0)
    scores, users, owners = rng.random(60), rng.integers(0, 9, 60).astype(str), rng.integers(0, 7, 60).astype(str)
    scores += (users == "3") * 0.9 + (owners == "2") * 0.9
    rest = scores - scores.mean()
    share = (users[:, None] == users) | (owners[:, None] == owners)
    by_hand = (rest[:, None] * rest * share).sum() / 60**2
    assert clustered_error(scores, users.tolist(), owners.tolist()) == pytest.approx(np.sqrt(by_hand), abs=1e-9)


def test_rows_of_one_user_say_less_than_as_many_users():
    scores = np.repeat([0.0, 1.0], 50)
    together, apart = np.repeat([str(n) for n in range(10)], 10).tolist(), [str(n) for n in range(100)]
    assert clustered_error(scores, together) > 3 * clustered_error(scores, apart)

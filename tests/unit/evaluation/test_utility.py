import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from clickweave.evaluation.ctr import target_means, weighted_auc, weighted_aucs
from clickweave.evaluation.samples import Samples
from clickweave.evaluation.utility import bootstrap_aucs, choose_target, redrawn

HOLDOUT = pd.DataFrame({"label": [0.0, 1.0, 2.0, 2.0]})


def test_weighted_auc_agrees_with_sklearn_ties_included():
    rng = np.random.default_rng(0)
    score, clicked, weights = (
        rng.integers(0, 9, 300) / 9,
        rng.integers(0, 2, 300),
        rng.integers(0, 4, 300).astype(float),
    )
    assert weighted_auc(score, clicked, weights) == pytest.approx(roc_auc_score(clicked, score, sample_weight=weights))
    assert weighted_auc(score, np.zeros(300), weights) == 0.5


def test_many_weightings_are_one_by_one_the_same():
    rng = np.random.default_rng(1)
    score, clicked = rng.integers(0, 9, 200) / 9, rng.integers(0, 2, 200)
    weights = rng.integers(0, 3, (5, 200)).astype(float)
    found = weighted_aucs(score, clicked, weights)
    assert found == pytest.approx([roc_auc_score(clicked, score, sample_weight=one) for one in weights])


def _frame(first, rows):
    return pd.DataFrame({"row_id": range(first, first + rows)})


@pytest.fixture
def samples():
    none = _frame(0, 0)
    return Samples(
        train=_frame(0, 4),
        beyond=_frame(4, 6),
        synthetic=_frame(100, 4),
        synthetic_beyond=_frame(104, 1),
        extra=_frame(200, 5),
        holdout=none,
        mixed=none,
        seed=0,
    )


def test_each_seed_has_the_next_rows_of_the_draw_round_and_round(samples):
    found = [redrawn(samples, 4, 2, number) for number in range(4)]
    assert [one.train["row_id"].tolist() for one in found[:3]] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 1]]
    assert found[1].synthetic["row_id"].tolist() == [104, 100, 101, 102]
    assert [one.extra["row_id"].tolist()[:2] for one in found] == [[200, 201], [202, 203], [204, 200], [201, 202]]
    for one in found:
        assert sorted([*one.train["row_id"], *one.beyond["row_id"]]) == list(range(10))
        assert sorted(one.synthetic["row_id"]) != sorted(one.synthetic_beyond["row_id"])
    assert len({one.seed for one in found}) == 4


def test_where_all_rows_are_an_arms_every_seed_has_the_same(samples):
    found = [redrawn(samples, 10, 5, number) for number in range(3)]
    assert all(sorted(one.train["row_id"]) == list(range(10)) for one in found)
    assert all(one.beyond.empty for one in found)


def test_bootstrap_draws_users_and_means_over_seeds_paired_over_arms():
    rng = np.random.default_rng(2)
    clicked, entities = rng.integers(0, 2, 400), pd.Series(np.repeat(np.arange(40), 10).astype(str))
    perfect, wrong, noisy = clicked * 1.0, -clicked * 1.0, clicked + rng.normal(0, 1, 400)
    scores = {"apart": [perfect, wrong], "one": [noisy, noisy], "same": [noisy, noisy]}
    found = bootstrap_aucs(scores, clicked, entities, 0)
    values, counts = np.unique(found["apart"], return_counts=True)
    assert values.tolist() == [0.0, 0.5, 1.0]  # of two seeds drawn, none, one or both are perfect
    assert counts[1] == pytest.approx(100, abs=30)
    assert (found["one"] == found["same"]).all()
    assert found["one"].mean() == pytest.approx(roc_auc_score(clicked, noisy), abs=0.01)
    assert 0.01 < found["one"].std() < 0.05


def test_target_mean_is_pulled_towards_the_rate():
    means = target_means(pd.Series(["a"] * 20 + ["b"]), np.r_[np.ones(20), 0], rate=0.5)
    assert means.loc["a", "mean"] == 0.75  # 20 clicks and 20 rows of prior at one half
    assert means.loc["b", "mean"] == pytest.approx(10 / 21)


@pytest.mark.parametrize(
    ("reached", "level"), [({1: 500, 2: 100}, 2), ({1: 500, 2: 99}, 1), ({1: 1000, 2: 300}, 2), ({1: 99, 2: 5}, None)]
)
def test_target_is_the_strongest_level_with_a_hundred_positives(reached, level):
    assert choose_target(reached, 1000, HOLDOUT).level == level


def test_log_of_positives_alone_has_no_target():
    assert "every row is a positive" in choose_target({1: 1000}, 1000, HOLDOUT).reason

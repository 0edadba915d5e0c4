import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from clickweave.evaluation.ctr import target_means, weighted_auc
from clickweave.evaluation.utility import choose_target

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

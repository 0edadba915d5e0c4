"""The CTR judge: LightGBM on the features that a recommender would have at serving time, in plain pandas."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from clickweave.config.log import SchemaConfig
from clickweave.evaluation.columns import Column, frequent_values, judged_columns, label_defining, value_codes
from clickweave.evaluation.detection import tree_model

SMOOTHING = 20.0  # rows of prior weight in a target mean
NUM_FOLDS = 5
NUM_TREES = 120


@dataclass(frozen=True)
class Judge:
    """Which columns the model sees; the same for every arm.

    Attributes:
        columns: numbers, and values coded by frequency in T.
        ids: columns that become a smoothed target mean and a count, both fitted inside the arm.
        known: per column of values, the values in the order of their codes (fitted on T).
    """

    columns: tuple[Column, ...]
    ids: tuple[str, ...]
    known: dict[str, list[str]]


def ctr_judge(schema: SchemaConfig, train: pd.DataFrame) -> Judge:
    """Everything known before the click: no label, no column that defines it, no count over all of T, no day."""
    hidden = label_defining(schema) | {"label", "day", "item_events", "query_events", "propensity"}
    columns = tuple(column for column in judged_columns(schema) if column.name not in hidden)
    ids = tuple(name for name, key in (("item_id", schema.item), ("query", schema.query)) if key is not None)
    known = {column.name: frequent_values(train[column.name]) for column in columns if column.kind == "values"}
    return Judge(columns, ids, known)


def fit_and_score(
    judge: Judge, arm: pd.DataFrame, clicked: np.ndarray, test: pd.DataFrame, *, weights: np.ndarray, seed: int
) -> np.ndarray:
    """Predicted click probabilities of the rows of `test` by a model trained on `arm`.

    An arm of a single class teaches nothing and predicts its own rate everywhere.
    """
    rate = float(np.average(clicked, weights=weights))
    if clicked.min() == clicked.max():
        return np.full(len(test), min(max(rate, 1e-6), 1 - 1e-6))
    train_features, test_features = _plain(judge, arm), _plain(judge, test)
    folds = np.random.default_rng([seed, 4]).permutation(len(arm)) % NUM_FOLDS
    for name in judge.ids:
        train_features[f"{name}_mean"], train_features[f"{name}_count"] = _out_of_fold(arm[name], clicked, folds, rate)
        fitted = target_means(arm[name], clicked, rate)
        test_features[f"{name}_mean"] = test[name].map(fitted["mean"]).fillna(rate).to_numpy()
        test_features[f"{name}_count"] = test[name].map(fitted["count"]).fillna(0).to_numpy()
    model = tree_model(seed, NUM_TREES, min_child_samples=40, subsample=0.8, subsample_freq=1, colsample_bytree=0.8)
    model.fit(train_features, clicked, sample_weight=weights)
    return np.asarray(model.predict_proba(test_features))[:, 1]


def target_means(ids: pd.Series, clicked: np.ndarray, rate: float) -> pd.DataFrame:
    """Per id: `mean`, the click rate pulled towards `rate` by SMOOTHING rows, and `count`."""
    sums = pd.DataFrame({"clicked": clicked}).groupby(ids.to_numpy())["clicked"].agg(["sum", "count"])
    means = (sums["sum"] + SMOOTHING * rate) / (sums["count"] + SMOOTHING)
    return pd.DataFrame({"mean": means, "count": sums["count"]})


def _out_of_fold(ids: pd.Series, clicked: np.ndarray, folds: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Target mean and count of each row from the other folds, counts scaled to the whole arm."""
    means, counts = np.full(len(ids), rate), np.zeros(len(ids))
    for fold in range(NUM_FOLDS):
        inside, outside = folds != fold, folds == fold
        fitted = target_means(ids[inside], clicked[inside], rate)
        means[outside] = ids[outside].map(fitted["mean"]).fillna(rate)
        counts[outside] = ids[outside].map(fitted["count"]).fillna(0) * NUM_FOLDS / (NUM_FOLDS - 1)
    return means, counts


def _plain(judge: Judge, frame: pd.DataFrame) -> pd.DataFrame:
    features = {
        column.name: (
            frame[column.name].to_numpy(dtype=float)
            if column.kind == "number"
            else value_codes(frame[column.name], judge.known[column.name]).astype(float)
        )
        for column in judge.columns
    }
    return pd.DataFrame(features, index=range(len(frame)))


def weighted_auc(score: np.ndarray, clicked: np.ndarray, weights: np.ndarray) -> float:
    """AUC with row weights, ties counting half; 0.5 where a class has no weight. Shapes (n,)."""
    return float(weighted_aucs(score, clicked, weights[None])[0])


def weighted_aucs(score_N: np.ndarray, clicked_N: np.ndarray, weights_RN: np.ndarray) -> np.ndarray:
    """The same under each of R sets of weights (R,); sorts once."""
    order = np.argsort(score_N, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score_N[order]) > 0])
    is_click_N = clicked_N[order] > 0
    return np.array([_sorted_auc(weights_N[order], is_click_N, starts) for weights_N in weights_RN])


def _sorted_auc(weights_N: np.ndarray, is_click_N: np.ndarray, starts: np.ndarray) -> float:
    positive = np.add.reduceat(np.where(is_click_N, weights_N, 0.0), starts)
    negative = np.add.reduceat(np.where(is_click_N, 0.0, weights_N), starts)
    pairs = positive.sum() * negative.sum()
    return float(positive @ (np.cumsum(negative) - negative / 2) / pairs) if pairs > 0 else 0.5

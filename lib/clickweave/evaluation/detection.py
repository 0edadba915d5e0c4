"""F4: can a strong classifier tell synthetic rows from real ones? Two-sample test of Lopez-Paz & Oquab 2017."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier
from sklearn.metrics import roc_auc_score

from clickweave.evaluation.columns import Column, model_matrix
from clickweave.evaluation.fidelity import Sides
from clickweave.evaluation.gates import Row, judged, not_applicable

NUM_FOLDS = 5
WORKERS = 2
_In = TypeVar("_In")
_Out = TypeVar("_Out")


def tree_model(seed: int, num_trees: int = 150, **params: Any) -> LGBMClassifier:
    """LightGBM with 31 leaves and rate 0.08; the same bits on every run.

    One thread: on samples this small a second gains little, and on a busy machine its barriers cost ten times over.
    Trainings run side by side instead (`side_by_side`).
    """
    fixed: dict[str, Any] = {
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbose": -1,
        "random_state": seed,
    }
    return LGBMClassifier(n_estimators=num_trees, num_leaves=31, learning_rate=0.08, **fixed, **params)


def side_by_side(work: Callable[[_In], _Out], inputs: Iterable[_In]) -> list[_Out]:
    """`work` of each input, in their order, WORKERS at a time; LightGBM lets go of the interpreter while it trains."""
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(work, inputs))


def entity_folds(entities: pd.Series, seed: int) -> np.ndarray:
    """Fold 0 to 4 of each row; all rows of one entity share it (with fewer than 5 entities, rows are dealt out)."""
    names = np.sort(entities.fillna("").unique().astype(str))
    generator = np.random.default_rng([seed, 3])
    if len(names) < NUM_FOLDS:
        return generator.permutation(len(entities)) % NUM_FOLDS
    folds = dict(zip(names, generator.permutation(len(names)) % NUM_FOLDS, strict=True))
    return entities.fillna("").astype(str).map(folds).to_numpy(dtype=np.int64)


def detection_auc(
    rows: pd.DataFrame, holdout: pd.DataFrame, columns: list[Column], fitted_on: pd.DataFrame, seed: int
) -> tuple[float, dict[str, float]]:
    """Mean AUC over 5 folds of telling `rows` from `holdout`, at least 0.5, and each column's share of the gain.

    Folds keep a user's rows together: users of T and H differ by construction, so a classifier that could look a
    user's other rows up would tell any two sets of users apart, real ones too, and the figure would say nothing.
    Below one half nothing was learnt, so such an AUC counts as one half.
    """
    features = pd.concat([model_matrix(side, columns, fitted_on) for side in (rows, holdout)], ignore_index=True)
    is_real = np.r_[np.zeros(len(rows)), np.ones(len(holdout))]
    folds = np.r_[entity_folds(rows["entity_id"], seed), entity_folds(holdout["entity_id"], seed)]
    aucs, gain = [], np.zeros(features.shape[1])
    for fold in range(NUM_FOLDS):
        inside, outside = folds != fold, folds == fold
        if len(set(is_real[outside])) < 2 or len(set(is_real[inside])) < 2:
            continue
        model = tree_model(seed).fit(features[inside], is_real[inside])
        aucs.append(roc_auc_score(is_real[outside], np.asarray(model.predict_proba(features[outside]))[:, 1]))
        gain += model.booster_.feature_importance("gain")
    titles = [column.title for column in columns]
    shares = dict(zip(titles, (gain / max(gain.sum(), 1e-12)).tolist(), strict=True))
    return max(0.5, float(np.mean(aucs)) if aucs else 0.5), shares


def judge_detection(sides: Sides, columns: list[Column], seed: int) -> tuple[Row, dict[str, Any]]:
    """F4, and which columns give S away. `columns` leaves user ids out; an item stands as its popularity in T.

    Cost: 25 trainings of 150 trees on at most 32,000 rows.
    """
    results = side_by_side(
        lambda frame: detection_auc(frame, sides.holdout, columns, sides.train, seed), sides.judged.values()
    )
    found = dict(zip(sides.judged, results, strict=True))
    aucs = {name: auc for name, (auc, _) in found.items()}
    ceiling = aucs["train"]
    if "synthetic" not in found:
        return not_applicable("classifier on rows", "no synthetic rows", ceiling=ceiling), {"auc": aucs}
    gains = sorted(found["synthetic"][1].items(), key=lambda pair: (-pair[1], pair[0]))[:6]
    row = judged(
        "classifier on rows",
        aucs["synthetic"] - ceiling,
        value=aucs["synthetic"],
        ceiling=ceiling,
        controls={name: auc - ceiling for name, auc in aucs.items() if name not in ("train", "synthetic")},
        note=f"judged as difference to the ceiling; tells most by {gains[0][0]}",
    )
    return row, {"auc": aucs, "tells_by": dict(gains)}

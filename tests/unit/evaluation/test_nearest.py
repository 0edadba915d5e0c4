"""Nearest neighbours against scikit-learn and by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import OneHotEncoder

from clickweave.evaluation.columns import Column
from clickweave.evaluation.privacy.nearest import coded, neighbours

COLUMNS = [
    Column("item", "item", "values", "event"),
    Column("device", "device", "values", "event"),
    Column("price", "price", "number", "event"),
    Column("hour", "hour", "number", "event"),
]


def drawn(rows, seed):
    rng = np.random.default_rng(seed)
    parts = {"item": rng.integers(0, 30, rows).astype(str), "device": rng.choice(["a", "b"], rows)}
    return pd.DataFrame(parts | {"price": rng.integers(0, 50, rows) / 7, "hour": rng.random(rows) * 24})


def test_distances_are_those_of_scikit_learn():
    made, train, holdout = (drawn(rows, seed) for seed, rows in enumerate((157, 203, 94)))
    ours, real, _ = coded([made, train, holdout], COLUMNS, 2)
    found = neighbours(ours, real)
    pooled = pd.concat([train, holdout])
    both = pd.concat([made, train])
    numbers = [
        [(np.sum(pooled[name] < value) + np.sum(pooled[name] <= value)) / (2 * len(pooled)) for value in both[name]]
        for name in ("price", "hour")
    ]
    values = OneHotEncoder(sparse_output=False).fit_transform(both[["item", "device"]]) / 2
    points = np.c_[values, np.array(numbers).T]
    judge = NearestNeighbors(n_neighbors=2, metric="cityblock", algorithm="brute").fit(points[157:])
    distances, places = judge.kneighbors(points[:157])
    assert found.first_N == pytest.approx(distances[:, 0] / 4, abs=1e-9)
    assert found.second_N == pytest.approx(distances[:, 1] / 4, abs=1e-9)
    clear = distances[:, 1] > distances[:, 0] + 1e-9
    assert clear.sum() > 100
    assert (found.place_N == places[:, 0])[clear].all()


def test_a_null_is_near_nulls_alone():
    made = pd.DataFrame({"item": [None, "x"], "device": ["a", "a"], "price": [np.nan, 2.0], "hour": [1.0, np.nan]})
    real = pd.DataFrame({"item": ["x", None], "device": ["a", "a"], "price": [2.0, np.nan], "hour": [1.0, 1.0]})
    found = neighbours(*coded([made, real], COLUMNS, 1))
    assert found.place_N.tolist() == [1, 0]
    assert found.first_N.tolist() == [0.0, 0.25]
    assert found.second_N.tolist() == [0.5, 0.75]


def test_two_equal_neighbours_belong_to_nobody():
    made = pd.DataFrame({"item": ["x", "y"], "device": ["a", "a"], "price": [2.0, 2.0], "hour": [1.0, 1.0]})
    real = pd.DataFrame({"item": ["x", "x", "y"], "device": ["a", "a", "a"], "price": [2.0] * 3, "hour": [1.0] * 3})
    assert neighbours(*coded([made, real], COLUMNS, 1)).ratio_N.tolist() == [1.0, 0.0]


def test_blocks_join_without_a_gap(monkeypatch):
    frames = drawn(40, 1), drawn(60, 2)
    whole = neighbours(*coded(frames, COLUMNS, 1))
    monkeypatch.setattr("clickweave.evaluation.privacy.nearest.BLOCK_CELLS", 3 * 60)  # 40 rows: the last block has one
    parts = neighbours(*coded(frames, COLUMNS, 1))
    for name in ("place_N", "first_N", "second_N"):
        assert (getattr(whole, name) == getattr(parts, name)).all()
    assert len(whole.place_N) == 40

import numpy as np
import pytest

from clickweave.codec import digits
from clickweave.codec.digits import num_digits, residual_digits


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def clustered(num=3000, groups=40, seed=0):
    """Null and rare as zeros, then unit vectors around `groups` centres, and the group of each."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, groups, num)
    around = unit(unit(rng.normal(size=(groups, 32)))[group] + 0.02 * rng.normal(size=(num, 32)))
    return np.concatenate([np.zeros((2, 32)), around]).astype(np.float32), group


@pytest.mark.parametrize(
    ("values", "expected"), [(0, 0), (2000, 0), (2001, 1), (16_384, 1), (16_385, 2), (4_194_304, 2), (4_194_305, 3)]
)
def test_digits_grow_with_the_values(values, expected):
    assert num_digits(values, 2000) == expected


def test_null_and_rare_have_a_path_that_no_value_shares():
    found = residual_digits(clustered()[0], 2, 0)
    assert found.dtype == np.uint8
    assert found[:2].tolist() == [[0, 0], [0, 0]]
    assert (found[2:, 0] > 0).all()


def test_values_that_are_near_share_digits():
    vectors, group = clustered()
    first = residual_digits(vectors, 1, 0)[2:, 0]
    rng = np.random.default_rng(1)
    one, other = rng.integers(0, len(group), (2, 200_000))
    near = group[one] == group[other]
    same = first[one] == first[other]
    assert same[near].mean() > 0.1 > 50 * same[~near].mean()


def test_leaves_hold_few_values_and_digits_tell_the_vector_better_level_by_level():
    vectors, _ = clustered(groups=3000)
    found = residual_digits(vectors, 2, 0)[2:]
    errors = []
    for level in (1, 2):
        paths = found[:, :level].astype(int) @ (256 ** np.arange(level))
        _, path = np.unique(paths, return_inverse=True)
        counts = np.bincount(path)
        means = np.stack([np.bincount(path, vectors[2:, place]) for place in range(32)], 1) / counts[:, None]
        errors.append(((vectors[2:] - means[path]) ** 2).sum(1).mean())
    assert errors[1] < 0.05 * errors[0]
    assert counts.max() <= 8


def test_digits_depend_on_the_seed_and_on_nothing_else(monkeypatch):
    vectors, _ = clustered()
    expected = residual_digits(vectors, 2, 0)
    assert (residual_digits(vectors, 2, 0) == expected).all()
    monkeypatch.setattr(digits, "BLOCK", 1000)
    assert (residual_digits(vectors, 2, 0) == expected).mean() > 0.999
    assert (residual_digits(vectors, 2, 1) != expected).any()


@pytest.mark.filterwarnings("error")
def test_fewer_distinct_vectors_than_centroids_are_no_trouble():
    vectors = np.zeros((3002, 32), np.float32)
    vectors[2:, 0] = 1.0
    vectors[2:1000, 1] = 1.0
    found = residual_digits(vectors, 2, 0)
    assert len(np.unique(found[2:], axis=0)) == 2
    assert (found[2:, 0] > 0).all()


def test_centroids_are_fitted_on_a_sample_of_stated_size(monkeypatch):
    monkeypatch.setattr(digits, "SAMPLE", 500)
    seen = []
    original = digits.fit_centroids
    monkeypatch.setattr(
        digits, "fit_centroids", lambda sample, most, seed: seen.append(sample) or original(sample, most, seed)
    )
    residual_digits(clustered()[0], 2, 0)
    assert [len(sample) for sample in seen] == [500, 500]

"""Vectors as digits, and back as sums of centroids."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from clickweave.codec.event_vectors import DIGITS, Centroids, residual_centroids


def clouds(num=2000, groups=20, size=8, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(groups, size))
    return centres[rng.integers(0, groups, num)] + 0.05 * rng.normal(size=(num, size))


def decoded(fitted, vectors):
    digits = fitted.digits(vectors)
    return sum(fitted.table[number][digits[:, number]] for number in range(digits.shape[1]))


def test_most_of_what_a_vector_says_comes_back_from_its_digits():
    vectors = clouds()
    fitted = residual_centroids(vectors, np.arange(len(vectors)), min_users=5, seed=0)
    lost = ((vectors - decoded(fitted, vectors)) ** 2).sum() / ((vectors - vectors.mean(0)) ** 2).sum()
    assert lost < 0.02
    assert fitted.table.dtype == np.float32
    assert 1 <= len(fitted.table) <= DIGITS
    assert fitted.table.shape[1] <= 256


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 4), st.integers(1, 8))
@settings(max_examples=25)
def test_no_centroid_is_a_vector_that_too_few_users_have(seed, num, size, min_users):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(1 + num // 3, size)).astype(np.float32)[rng.integers(0, 1 + num // 3, num)]
    users = rng.integers(0, max(1, num // 2), num)
    fitted = residual_centroids(vectors, users, min_users=min_users, seed=0)
    assert np.isfinite(fitted.table).all()
    owners = {tuple(vector): len(set(users[(vectors == vector).all(1)])) for vector in vectors}
    shown = [owners[tuple(centroid)] for centroid in fitted.levels[0] if tuple(centroid) in owners]
    assert all(count >= min(min_users, len(set(users))) for count in shown)


def test_no_real_vector_comes_back_where_each_user_has_one_of_its_own():
    vectors = clouds(num=400, groups=60)
    fitted = residual_centroids(vectors, np.arange(400), min_users=5, seed=0)
    nearest = np.abs(decoded(fitted, vectors)[:, None] - vectors.astype(np.float32)[None]).max(2).min(1)
    assert (nearest > 1e-6).all()


def test_few_distinct_vectors_that_many_users_share_come_back_exactly_and_that_of_one_user_does_not():
    shared = np.repeat(np.array([[0.0, 1.0], [2.0, 0.5], [4.0, -1.0]]), 50, 0)
    fitted = residual_centroids(shared, np.arange(150), min_users=5, seed=0)
    assert (decoded(fitted, shared) == shared).all()
    vectors = np.concatenate([shared, [[9.0, 9.0]]])
    found = decoded(residual_centroids(vectors, np.arange(151), min_users=5, seed=0), vectors)
    assert np.abs(found[:150] - shared).max() < 0.25
    assert np.abs(found - [9.0, 9.0]).max(1).min() > 4


def test_a_constant_vector_needs_one_digit_and_comes_back():
    vectors = np.full((50, 3), 0.25)
    fitted = residual_centroids(vectors, np.arange(50), min_users=5, seed=0)
    assert fitted.table.shape == (1, 1, 3)
    assert (decoded(fitted, vectors) == 0.25).all()


def test_the_same_vectors_give_the_same_centroids_and_another_seed_others():
    vectors, users = clouds(num=3000, groups=500), np.arange(3000)
    one, again, other = (residual_centroids(vectors, users, min_users=2, seed=seed).table for seed in (0, 0, 1))
    assert (one == again).all()
    assert one.shape != other.shape or (one != other).any()


def test_null_vectors_and_those_of_another_length_have_no_digits():
    fitted = Centroids((np.array([[0.0, 0.0], [1.0, 1.0]], np.float32), np.array([[0.1, 0.0]], np.float32)))
    vectors = pa.array([[1.1, 1.0], None, [0.0, 0.0], [1.0]], pa.list_(pa.float64()))
    assert [column.to_pylist() for column in fitted.columns(vectors)] == [[1, None, 0, None], [0, None, 0, None]]
    nothing = Centroids(()).columns(pa.nulls(2, pa.list_(pa.float64())))
    assert [column.to_pylist() for column in nothing] == [[None, None]]
    assert (fitted.table == np.array([[[0, 0], [1, 1]], [[0.1, 0], [0, 0]]], np.float32)).all()

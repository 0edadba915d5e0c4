"""Vectors that belong to no item: digits from residual k-means, each the number of a centroid; their sum is decoded.

A centroid is the mean of vectors (later digits: of what is left of them) of several users, so that no row comes back.

Legend: N vectors, X numbers of a vector, D digits, K centroids of a digit.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from threadpoolctl import threadpool_limits

from clickweave.codec.digits import BLOCK, fit_centroids, nearest
from clickweave.codec.spec import DIGIT_VALUES

DIGITS = 3  # at most
ENOUGH = 0.01  # of the spread that is left after a digit: then no further one
SAMPLE = 65_536  # vectors that centroids are fitted on, at most
SAMPLE_NUMBERS = 1 << 24  # numbers in that sample, at most: 64 MB


@dataclass(frozen=True)
class Centroids:
    """The centroids of each digit, `levels` of shape [K, X]; none where a column holds no vector."""

    levels: tuple[np.ndarray, ...]

    def digits(self, vectors_NX: np.ndarray) -> np.ndarray:
        """The digits of each vector [N, D], uint8. The same on any number of cores."""
        digits_ND = np.zeros((len(vectors_NX), len(self.levels)), np.uint8)
        with threadpool_limits(1):
            for start in range(0, len(vectors_NX), BLOCK):
                rest_NX = vectors_NX[start : start + BLOCK].astype(np.float32)
                for number, centroids_KX in enumerate(self.levels):
                    found = nearest(rest_NX, centroids_KX)
                    digits_ND[start : start + BLOCK, number] = found
                    rest_NX = rest_NX - centroids_KX[found]
        return digits_ND

    @property
    def table(self) -> np.ndarray:
        """All centroids in one array [D, K, X], float32; zeros where a digit has fewer."""
        if not self.levels:
            return np.zeros((1, 1, 1), np.float32)
        most = max(map(len, self.levels))
        padded = [np.pad(level, ((0, most - len(level)), (0, 0))) for level in self.levels]
        return np.stack(padded).astype(np.float32)

    def columns(self, vectors: pa.Array) -> list[pa.Array]:
        """The digits of lists of doubles as one int64 array each, null where the list is or has another length."""
        if not self.levels:
            return [pa.nulls(len(vectors), pa.int64())]
        size = self.levels[0].shape[1]
        lists = vectors.cast(pa.list_(pa.float64()))
        lengths = np.asarray(lists.value_lengths().fill_null(-1))
        fits = lengths == size
        flat = lists.filter(pa.array(fits)).flatten().to_numpy(zero_copy_only=False)
        digits_ND = np.zeros((len(lengths), len(self.levels)), np.int64)
        digits_ND[fits] = self.digits(flat.reshape(-1, size))
        return [pa.array(digits_N, mask=~fits) for digits_N in digits_ND.T]


def fit_vectors(rows: DataFrame, name: str, *, min_users: int, draw: Column, seed: int) -> Centroids:
    """Centroids fitted on the vectors of a seeded sample of rows, of which SAMPLE at most reach the driver.

    Args:
        rows: `name` (lists of doubles of one length, nulls), row_id and entity_id.
        draw: a number of each row; those with the smallest are the sample.
    """
    known = rows.where(F.col(name).isNotNull()).select(name, "entity_id", "row_id")
    first = known.select(F.size(name).alias("size")).agg(F.mode("size", True)).collect()[0][0]
    if not first:
        return Centroids(())
    known = known.where(F.size(name) == first)
    limit = max(1, min(SAMPLE, SAMPLE_NUMBERS // first))
    drawn = known.withColumn("_draw", draw).orderBy("_draw", "row_id").limit(limit)
    table = drawn.select(name, F.xxhash64("entity_id").alias("user")).toArrow().combine_chunks()
    vectors_NX = table.column(0).combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(-1, first)
    return residual_centroids(vectors_NX, table.column(1).to_numpy(), min_users=min_users, seed=seed)


def residual_centroids(vectors_NX: np.ndarray, users_N: np.ndarray, *, min_users: int, seed: int) -> Centroids:
    """Up to DIGITS levels; each centroid is a mean over `min_users` users or more, or over all."""
    rest_NX = vectors_NX.astype(np.float32)
    levels: list[np.ndarray] = []
    spread = float(((rest_NX - rest_NX.mean(0)) ** 2).sum())
    with threadpool_limits(1):
        for number in range(DIGITS):
            centroids_KX = fit_centroids(rest_NX, DIGIT_VALUES, seed + number)
            levels.append(_backed(centroids_KX, rest_NX, users_N, min_users))
            rest_NX = rest_NX - levels[-1][nearest(rest_NX, levels[-1])]
            if float((rest_NX**2).sum()) <= ENOUGH * spread:
                break
    return Centroids(tuple(levels))


def _backed(centroids_KX: np.ndarray, rest_NX: np.ndarray, users_N: np.ndarray, min_users: int) -> np.ndarray:
    """The means of the vectors that centroids with enough users are nearest to.

    Centroids of too few are left out, the smaller half first, until their vectors have made others large enough; where
    that leaves one, it is the mean of all.
    """
    numbers_N = np.unique(users_N, return_inverse=True)[1]
    while True:
        own_N = nearest(rest_NX, centroids_KX)
        pairs = np.unique(np.stack([own_N, numbers_N]), axis=1)
        users_K = np.bincount(pairs[0], minlength=len(centroids_KX))
        few = np.flatnonzero(users_K < min_users)
        if not len(few) or len(centroids_KX) == 1:
            break
        smallest = few[np.argsort(users_K[few], kind="stable")][: -(-len(few) // 2)]
        centroids_KX = np.delete(centroids_KX, smallest[: len(centroids_KX) - 1], axis=0)
    sums_KX = np.zeros(centroids_KX.shape)
    np.add.at(sums_KX, own_N, rest_NX)
    return (sums_KX / np.bincount(own_N, minlength=len(sums_KX))[:, None]).astype(np.float32)

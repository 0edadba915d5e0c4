"""Item codes by residual k-means (residual quantisation: Chen, Guan & Wang 2010): near vectors share digits.

Legend: N vectors, X numbers of a vector, K centroids, D digits.
"""

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from clickweave.codec.spec import DIGIT_VALUES, FIRST_VALUE

LEAF_VALUES = 64  # values that share all digits, on average: at most this many
SAMPLE = 65_536  # vectors that centroids are fitted on
ITERATIONS = 25
BLOCK = 8_192  # vectors whose distances are held at once: 8 MB


def num_digits(num_values: int, direct_ids: int) -> int:
    """Digits that a column of so many kept values needs; 0 where they are few enough for a code each."""
    if num_values <= direct_ids:
        return 0
    if num_values <= DIGIT_VALUES * LEAF_VALUES:
        return 1
    return 2 if num_values <= DIGIT_VALUES**2 * LEAF_VALUES else 3


def residual_digits(vectors_NX: np.ndarray, levels: int, seed: int) -> np.ndarray:
    """Digits of each code [N, D], uint8. The first two rows, null and rare, have 0 throughout; no other has a first 0.

    Holds one float32 copy of the vectors. The same on any number of cores.
    """
    rest_NX = vectors_NX[FIRST_VALUE:].astype(np.float32)
    digits_ND = np.zeros((len(vectors_NX), levels), np.uint8)
    rng = np.random.default_rng(seed)
    with threadpool_limits(1):  # the order of sums, and so the last bits, would depend on the threads
        for level in range(levels):
            first = 1 if level == 0 else 0
            chosen = np.sort(rng.permutation(len(rest_NX))[:SAMPLE])
            centroids_KX = fit_centroids(rest_NX[chosen], DIGIT_VALUES - first, seed + level)
            for start in range(0, len(rest_NX), BLOCK):
                block = slice(start, start + BLOCK)
                found = nearest(rest_NX[block], centroids_KX)
                digits_ND[FIRST_VALUE:][block, level] = found + first
                rest_NX[block] -= centroids_KX[found]
    return digits_ND


def fit_centroids(sample_NX: np.ndarray, most: int, seed: int) -> np.ndarray:
    """At most `most` centroids of k-means [K, X]; the distinct vectors where they are no more."""
    distinct_NX = np.unique(sample_NX, axis=0)
    if len(distinct_NX) <= most:
        return distinct_NX
    fitted = KMeans(most, n_init=1, max_iter=ITERATIONS, random_state=seed % 2**32).fit(sample_NX)
    return np.asarray(fitted.cluster_centers_, np.float32)


def nearest(block_NX: np.ndarray, centroids_KX: np.ndarray) -> np.ndarray:
    """Number of the nearest centroid; the first of equally near ones."""
    return np.argmin((centroids_KX**2).sum(1) - 2 * block_NX @ centroids_KX.T, axis=1)

"""Exact nearest neighbours among rows of values and numbers.

Distance (Gower 1971, equations 2 and 3 with equal weights): the mean over columns of 0 or 1 for values, ids among them,
and of the difference of ranks for numbers (Podani 1999), so that a few extreme numbers do not make all others equal.
A null lies at 0 from a null and at 1 from everything else.

Legend: N rows, M real rows, V columns of values, K columns of numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clickweave.evaluation.columns import Column, as_text

BLOCK_CELLS = 1 << 17  # distances at a time: 1 MB, which stays in a core's cache
NULL_RANK = 2.0  # ranks are 0 to 1, and differences are cut at 1


@dataclass(frozen=True)
class Coded:
    """Rows as codes of values (V, N) and ranks of numbers (K, N)."""

    codes_VN: np.ndarray
    ranks_KN: np.ndarray

    @property
    def num_rows(self) -> int:
        return int(self.codes_VN.shape[1])

    def head(self, rows: int) -> "Coded":
        return Coded(self.codes_VN[:, :rows], self.ranks_KN[:, :rows])


@dataclass(frozen=True)
class Neighbours:
    """Of each row the place of its nearest real row, the distance to it, and that to the second nearest."""

    place_N: np.ndarray
    first_N: np.ndarray
    second_N: np.ndarray

    @property
    def ratio_N(self) -> np.ndarray:
        """First over second distance, 0 to 1: near 0 where a row belongs to one real row alone. Two neighbours at
        distance 0 say nothing of one of them: 1.
        """
        apart = self.second_N > 0
        return np.where(apart, self.first_N / np.where(apart, self.second_N, 1.0), 1.0)


def coded(frames: Sequence[pd.DataFrame], columns: Sequence[Column], num_real: int) -> list[Coded]:
    """Frames in the same codes; ranks are mid-ranks among the last `num_real` frames, the real rows."""
    names = [column.name for column in columns]
    pooled = pd.concat([frame[names] for frame in frames], ignore_index=True)
    ends = np.cumsum([len(frame) for frame in frames])
    is_real_N = np.zeros(len(pooled), dtype=bool)
    is_real_N[ends[-1] - sum(map(len, frames[-num_real:])) :] = True
    values = [pd.factorize(as_text(pooled[column.name]))[0] for column in columns if column.kind == "values"]
    numbers = [_ranks(pooled[column.name].to_numpy(float), is_real_N) for column in columns if column.kind == "number"]
    codes_VN = np.array(values, dtype=np.int32).reshape(len(values), len(pooled))
    ranks_KN = np.array(numbers, dtype=np.float64).reshape(len(numbers), len(pooled))
    parts = zip(np.split(codes_VN, ends[:-1], axis=1), np.split(ranks_KN, ends[:-1], axis=1), strict=True)
    return [Coded(np.ascontiguousarray(codes), np.ascontiguousarray(ranks)) for codes, ranks in parts]


def neighbours(rows: Coded, real: Coded) -> Neighbours:
    """The two nearest of at least two real rows; of equally near ones the first.

    Cost: N x M x (V + K) comparisons, some 5 ns a pair; memory of one block whatever N is.
    """
    num_columns = len(real.codes_VN) + len(real.ranks_KN)
    step = max(1, BLOCK_CELLS // real.num_rows)
    blocks = [_block(rows, real, slice(start, start + step)) for start in range(0, rows.num_rows, step)]
    place, first, second = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return Neighbours(place, first / num_columns, second / num_columns)


def _block(rows: Coded, real: Coded, block: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place and sums over columns of a block of rows."""
    shape = (len(range(rows.num_rows)[block]), real.num_rows)
    differ, other, apart = np.zeros(shape, np.uint8), np.empty(shape, bool), np.empty(shape)
    for own, codes_M in zip(rows.codes_VN, real.codes_VN, strict=True):
        np.not_equal(own[block, None], codes_M, out=other)
        differ += other.view(np.uint8)
    distances = differ.astype(np.float64)
    for own, ranks_M in zip(rows.ranks_KN, real.ranks_KN, strict=True):
        np.subtract(own[block, None], ranks_M, out=apart)
        np.abs(apart, out=apart)
        distances += np.minimum(apart, 1.0, out=apart)
    every = np.arange(shape[0])
    place = distances.argmin(axis=1)
    first = distances[every, place]
    distances[every, place] = np.inf
    return place, first, distances.min(axis=1)


def _ranks(numbers_N: np.ndarray, is_real_N: np.ndarray) -> np.ndarray:
    """Mid-ranks among the real numbers, 0 to 1; NULL_RANK for null."""
    real = np.sort(numbers_N[is_real_N])
    real = real[~np.isnan(real)]
    below, up_to = (np.searchsorted(real, numbers_N, side=side) for side in ("left", "right"))
    return np.where(np.isnan(numbers_N), NULL_RANK, (below + up_to) / max(2 * len(real), 1))

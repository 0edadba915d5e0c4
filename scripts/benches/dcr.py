"""DCR share: do made rows lie nearer to the rows that were fitted than to other rows of the same law?

The share of rows whose nearest real row is in T and not in H, both of one size, a tie counted half: 0.5 where a
generator knows nothing of single rows, 1 where it copies (Platzer & Reutterer 2021, Frontiers in Big Data 4:679939,
"share of records closer to a training than a holdout record"). Distance (Gower 1971, equations 2 and 3 with equal
weights): the mean over columns of 0 or 1 for values and of the difference of ranks for numbers.

A date is left out, as it says who was there: T and H are other people, each there on a few days. Attributes of users
are one choice of two. With them even unseen rows of T's users lie nearer to T, and a generator that re-enacts users
carries those by design; without them what is left over one half is memorised.

Legend: N rows, M real rows, V columns of values, K columns of numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import feature_column
from clickweave.evaluation.columns import Column, as_text, judged_columns
from clickweave.evaluation.detection import entity_folds

BLOCK_ROWS = 256  # times 20,000 real rows: 20 MB of distances
NULL_RANK = 2.0  # ranks are 0 to 1, so that a null lies at 1, the most there is, from every number and at 0 from a null


@dataclass(frozen=True)
class _Coded:
    """Rows as codes of values (N, V) and ranks of numbers (N, K)."""

    codes_NV: np.ndarray
    ranks_NK: np.ndarray


def compared_columns(flat: SchemaConfig, log: SchemaConfig, *, users: bool) -> list[Column]:
    """What a distance is made of; `flat` is `log` with all attributes as event features.

    Ids of items and queries stand as values; what follows from them or from the date is left out.
    """
    of_users = set() if users else {feature_column(name) for name in log.user_features}
    keys = {"item_id": flat.item, "query": flat.query}
    ids = [Column(name, name, "values", "event") for name, column in keys.items() if column is not None]
    own = [column for column in judged_columns(flat) if column.role == "event" or column.name == "hour"]
    return ids + [column for column in own if column.name not in of_users]


def dcr_share(rows: pd.DataFrame, train: pd.DataFrame, holdout: pd.DataFrame, columns: Sequence[Column]) -> float:
    """The share of `rows` that lie nearer to `train` than to `holdout`, frames of equal size.

    Cost: len(rows) x 2 len(train) distances, in blocks.

    Raises:
        ValueError: the two sides have other sizes; the larger one would win.
    """
    if len(train) != len(holdout):
        raise ValueError(f"dcr_share: {len(train)} train rows against {len(holdout)} of the holdout; give equally many")
    made, real, other = _coded([rows, train, holdout], columns)
    to_train_N, to_holdout_N = _nearest(made, real), _nearest(made, other)
    return float(np.mean((to_train_N < to_holdout_N) + 0.5 * (to_train_N == to_holdout_N)))


def two_parts(rows: pd.DataFrame, seed: int) -> list[pd.DataFrame]:
    """Three fifths and two fifths of the entities' rows, in their order."""
    first = entity_folds(rows["entity_id"], seed) % 2 == 0
    return [rows[first], rows[~first]]


def _coded(frames: Sequence[pd.DataFrame], columns: Sequence[Column]) -> list[_Coded]:
    """Frames in the same codes; ranks are those among the real rows, all frames but the first."""
    ends = np.cumsum([len(frame) for frame in frames])
    pooled = pd.concat([frame[[column.name for column in columns]] for frame in frames], ignore_index=True)
    values = [pd.factorize(as_text(pooled[column.name]))[0] for column in columns if column.kind == "values"]
    numbers = [_ranks(pooled[column.name].to_numpy(float), ends[0]) for column in columns if column.kind == "number"]
    codes_NV = np.array(values, dtype=np.int32).reshape(len(values), len(pooled)).T
    ranks_NK = np.array(numbers, dtype=np.float32).reshape(len(numbers), len(pooled)).T
    cut = zip(np.split(codes_NV, ends[:-1]), np.split(ranks_NK, ends[:-1]), strict=True)
    return [_Coded(*parts) for parts in cut]


def _ranks(numbers_N: np.ndarray, real_from: int) -> np.ndarray:
    """Mid-ranks among the real numbers, 0 to 1; NULL_RANK for null."""
    real = np.sort(numbers_N[real_from:])
    real = real[~np.isnan(real)]
    below, up_to = (np.searchsorted(real, numbers_N, side=side) for side in ("left", "right"))
    return np.where(np.isnan(numbers_N), NULL_RANK, (below + up_to) / max(2 * len(real), 1))


def _nearest(rows: _Coded, real: _Coded) -> np.ndarray:
    """The distance of each row to its nearest real row, as a sum over columns [N]."""
    found = []
    codes_VM, ranks_KM = np.ascontiguousarray(real.codes_NV.T), np.ascontiguousarray(real.ranks_NK.T)
    for start in range(0, len(rows.codes_NV), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        distances = np.zeros((len(rows.codes_NV[block]), codes_VM.shape[1]), dtype=np.float32)
        for codes_M, own in zip(codes_VM, rows.codes_NV[block].T, strict=True):
            distances += own[:, None] != codes_M
        for ranks_M, ranks in zip(ranks_KM, rows.ranks_NK[block].T, strict=True):
            distances += np.minimum(np.abs(ranks[:, None] - ranks_M), 1)
        found.append(distances.min(axis=1))
    return np.concatenate(found) if found else np.zeros(0)

"""Distances of two laws from counts by value, and counts brought to equal sizes. Pure functions of arrays."""

import math

import numpy as np
import pandas as pd
from scipy.special import gammaln

SMIRNOV_95 = 1.3581  # 95 % quantile of sqrt(nm / (n + m)) x KS under equal laws (Smirnov 1948)


def thinned(counts: np.ndarray, rows: int, *key: int) -> np.ndarray:
    """Counts of about `rows` events drawn without replacement: each event is kept with the same probability.

    TV of two samples falls with their sizes, so sides are compared at equal ones. The binomial draw per cell has the
    law of dropping single events by hash, and needs the counts alone. Unchanged where there are `rows` events.

    Args:
        key: seed, and what the draw is for.
    """
    total = int(counts.sum())
    if rows >= total:
        return counts.astype(np.int64)
    return np.random.default_rng(key).binomial(counts.astype(np.int64), rows / total)


def expected_distinct(counts: np.ndarray, rows: int) -> float:
    """Distinct cells that `rows` events drawn without replacement hold on average (rarefaction, Hurlbert 1971, eq. 5).

    The sum over cells of 1 - C(N - c, rows) / C(N, rows), with c of N events in the cell; rows <= N.
    """
    held = counts[counts > 0].astype(np.float64)
    total = held.sum()
    left = total - held
    possible = left >= rows
    rest = np.where(possible, left, rows)
    missed = gammaln(rest + 1) - gammaln(rest - rows + 1) - gammaln(total + 1) + gammaln(total - rows + 1)
    return float((1 - np.where(possible, np.exp(missed), 0.0)).sum())


def ks_of_counts(left: pd.Series, right: pd.Series) -> float:
    """Largest distance of two distribution functions, each given as value (index) -> count; in [0, 1]."""
    values = left.index.union(right.index).sort_values()
    shares = [side.reindex(values, fill_value=0).cumsum() / max(side.sum(), 1) for side in (left, right)]
    return float((shares[0] - shares[1]).abs().max()) if len(values) else 0.0


def chance_ks(left: int, right: int) -> float:
    """KS that samples of `left` and `right` independent values of one law exceed in 5 % of cases."""
    return SMIRNOV_95 * math.sqrt(1 / max(left, 1) + 1 / max(right, 1))

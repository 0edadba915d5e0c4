"""Intervals by bootstrap over users and seeds, paired over arms, and Holm's correction of many comparisons.

Suffixes: S seeds, U users, R replicates.
"""

from collections.abc import Mapping

import numpy as np

NUM_REPLICATES = 2_000
LEVEL = 0.025  # one-sided: the lower end of a 95 % interval
_PIECE = 200  # replicates whose weights are held at once


def paired_means(
    runs: Mapping[str, np.ndarray], seed: int, num_replicates: int = NUM_REPLICATES
) -> dict[str, np.ndarray]:
    """Per arm the (R,) means of bootstrap samples (Efron and Tibshirani 1993, 6.1): users drawn with replacement and,
    as many as there are, seeds too. All arms share the draws, so that differences of their replicates are paired.

    Args:
        runs: arm -> figures of the users (S, U), NaN where a user has none; equal shapes, users in one order.
    """
    num_seeds, num_users = next(iter(runs.values())).shape
    generator = np.random.default_rng([seed, 8])
    means: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    for first in range(0, num_replicates, _PIECE):
        size = min(_PIECE, num_replicates - first)
        drawn = generator.integers(0, num_users, (size, num_users)) + num_users * np.arange(size)[:, None]
        weights_RU = np.bincount(drawn.ravel(), minlength=size * num_users).reshape(size, num_users).astype(float)
        picks_RS = generator.integers(0, num_seeds, (size, num_seeds))
        for name, figures_SU in runs.items():
            known = ~np.isnan(figures_SU)
            totals_RS = weights_RU @ np.where(known, figures_SU, 0.0).T
            counts_RS = weights_RU @ known.T.astype(float)
            total, count = (np.take_along_axis(part, picks_RS, axis=1).sum(axis=1) for part in (totals_RS, counts_RS))
            means[name].append(np.where(count > 0, total / np.maximum(count, 1.0), np.nan))
    return {name: np.concatenate(parts) for name, parts in means.items()}


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % percentile interval of replicates; those that cannot be said (NaN, infinite) are left out."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [LEVEL, 1.0 - LEVEL])
    return float(low), float(high)


def p_not_above(values: np.ndarray) -> float:
    """One-sided p-value against "not above 0": (1 + replicates at or below 0) / (1 + replicates), never 0."""
    return float((1 + (values <= 0).sum()) / (1 + len(values)))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjusted p-values of the step-down procedure of Holm 1979, in the order given: the j-th smallest of m is
    multiplied by m - j + 1, and none is below a smaller one's.
    """
    adjusted, worst = {}, 0.0
    for number, name in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        worst = max(worst, min(1.0, (len(p_values) - number) * p_values[name]))
        adjusted[name] = worst
    return {name: adjusted[name] for name in p_values}

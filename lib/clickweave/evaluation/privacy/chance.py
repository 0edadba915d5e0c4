"""What chance alone can do to a figure of few users must not refuse a publication, and must not hide a leak.

The rule of P2 and P3: a figure beyond its gate is red where chance is excluded too, that is the level that rows without
any memory of T have (a share or an AUC of one half). Where it is not, the figure is held at the gate: amber. It is
tested against chance and not against the gate, since in a small log even a strong leak has an interval that reaches
below the gate.
"""

from collections.abc import Sequence

import numpy as np

from clickweave.evaluation.gates import GATES


def beyond_chance(name: str, value: float, *, by_chance: bool) -> float:
    """The score of a figure that should be low: itself, and no more than its gate where chance may have made it."""
    return min(value, GATES[name].gate) if by_chance else value


def clustered_error(scores_N: np.ndarray, *groups: Sequence[str]) -> float:
    """Standard error of the mean of scores that two kinds of groups share (Cameron, Gelbach & Miller 2011, eq. 2.13).

    V = V(first) + V(second) - V(both), each a sum over groups of squared sums of residuals over N^2; at least the
    larger of the first two, as the difference can be negative in few groups.
    """
    rest_N = scores_N - scores_N.mean()
    codes = [np.unique(np.asarray(names, dtype=str), return_inverse=True)[1] for names in groups]
    single = [_variance(rest_N, code) for code in codes]
    if len(codes) < 2:
        return float(np.sqrt(single[0]))
    both = _variance(rest_N, np.unique(np.stack(codes), axis=1, return_inverse=True)[1].ravel())
    return float(np.sqrt(max(sum(single) - both, *single)))


def _variance(rest_N: np.ndarray, group_N: np.ndarray) -> float:
    return float((np.bincount(group_N, weights=rest_N) ** 2).sum()) / len(rest_N) ** 2

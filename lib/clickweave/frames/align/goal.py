"""What refinement aims at, and how far counts of cells are from it: numpy alone, over O(cells) numbers."""

from dataclasses import dataclass

import numpy as np

from clickweave.frames.align.cells import Layout

LEAST_ROWS = 5  # of reference and train together that a cell needs to stand for itself
FINE = 256  # ln w is a whole number of 1/256, within +-MOST
MOST = 4 * FINE


@dataclass(frozen=True)
class Goal:
    """Shares that cells should have, each in its marginal; `group` pools rare cells of a marginal."""

    reference: np.ndarray
    slack: np.ndarray
    ceilings: np.ndarray
    marginal: np.ndarray
    group: np.ndarray

    def distances(self, counts: np.ndarray) -> np.ndarray:
        """Total variation distance to reference, by marginal."""
        apart = np.abs(self.pooled(counts) - self.reference)
        return np.bincount(self.marginal, apart) / 2

    def pooled(self, counts: np.ndarray) -> np.ndarray:
        """Shares in the marginal; a pooled cell has its part of what all pooled ones have together."""
        shares = _shares(counts, self.marginal)
        return np.bincount(self.group, shares)[self.group] / np.bincount(self.group)[self.group]

    def excess(self, counts: np.ndarray) -> float:
        """How far marginals lie beyond their ceilings, on average."""
        return float(np.maximum(self.distances(counts) - self.ceilings, 0).mean())

    def is_too_near(self, counts: np.ndarray) -> bool:
        """Whether marginals are together nearer to reference than those of train are."""
        return bool(self.distances(counts).mean() < self.ceilings.mean() - 1e-9)

    def step(self, counts: np.ndarray) -> np.ndarray:
        """The change of ln w that each cell asks for; 0 where it is near enough."""
        shares = self.pooled(counts)
        target = np.clip(shares, self.reference - self.slack, self.reference + self.slack)
        wanted = np.log(np.maximum(target, 1e-9) / np.maximum(shares, 1e-9))
        beyond = self.distances(counts) > self.ceilings
        return np.clip(wanted, -1, 1) * beyond[self.marginal] * (shares > 0)


def fit_goal(real: np.ndarray, train: np.ndarray, layout: Layout) -> Goal:
    """What counts by cell of reference and of train ask for."""
    marginal = layout.marginal_of_cell
    rare = real + train < LEAST_ROWS
    group = np.where(rare, layout.num_cells + marginal, np.arange(layout.num_cells))
    group = np.unique(group, return_inverse=True)[1]
    empty = np.zeros(0)
    bare = Goal(empty, empty, empty, marginal, group)
    target, ours = bare.pooled(real), bare.pooled(train)
    num_real = np.bincount(marginal, real)[marginal]
    chance = np.sqrt(target * (1 - target) / np.maximum(num_real, 1)) * np.sqrt(2 / np.pi)  # mean of |normal|
    ceilings = np.bincount(marginal, np.abs(target - ours)) / 2
    return Goal(target, np.maximum(np.abs(target - ours), chance), ceilings, marginal, group)


def _shares(counts: np.ndarray, marginal: np.ndarray) -> np.ndarray:
    return counts / np.maximum(np.bincount(marginal, counts)[marginal], 1e-12)


def keep_scale(histogram: np.ndarray, wanted: float) -> float:
    """The scale at which about `wanted` units stay, by bisection."""
    weights = np.exp(np.arange(-MOST, MOST + 1) / FINE)
    low, high = 0.0, 1.0 / float(weights[0])
    for _ in range(100):
        middle = (low + high) / 2
        if (histogram * np.minimum(1.0, middle * weights)).sum() < wanted:
            low = middle
        else:
            high = middle
    return float(f"{high:.9g}")

"""What refinement aims at, and how far counts of cells are from it: numpy alone, over O(cells) numbers."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from clickweave.frames.align.cells import Layout

LEAST_ROWS = 5  # of reference and train together that a cell needs to stand for itself
FINE = 256  # ln of the odds is a whole number of 1/256, within +-MOST
MOST = 16 * FINE


@dataclass(frozen=True)
class Goal:
    """Shares of cells, each in its marginal.

    Attributes:
        reference, train: shares that cells have there.
        marginal: of each cell.
        group: of each cell; rare cells of a marginal are one group.
    """

    reference: np.ndarray
    train: np.ndarray
    marginal: np.ndarray
    group: np.ndarray

    @property
    def ceilings(self) -> np.ndarray:
        """Total variation distance of train to reference, by marginal."""
        return self._apart(self.train)

    def distances(self, counts: np.ndarray) -> np.ndarray:
        """Total variation distance to reference, by marginal."""
        return self._apart(self.pooled(counts))

    def pooled(self, counts: np.ndarray) -> np.ndarray:
        """Shares in the marginal; a pooled cell has its part of what all pooled ones have together."""
        shares = counts / np.maximum(np.bincount(self.marginal, counts)[self.marginal], 1e-12)
        return np.bincount(self.group, shares)[self.group] / np.bincount(self.group)[self.group]

    def excess(self, counts: np.ndarray) -> float:
        """How far marginals lie beyond their ceilings, on average."""
        return float(np.maximum(self.distances(counts) - self.ceilings, 0).mean())

    def is_too_near(self, counts: np.ndarray, before: np.ndarray) -> bool:
        """Whether marginals have together come nearer to reference than those of train are.

        Args:
            before: counts of as many of the pool, which may lie nearer than train by chance.
        """
        nearest = min(self.ceilings.mean(), self.distances(before).mean())
        return bool(self.distances(counts).mean() < nearest - 1e-9)

    def _apart(self, shares: np.ndarray) -> np.ndarray:
        return np.bincount(self.marginal, np.abs(shares - self.reference)) / 2


def fit_goal(real: np.ndarray, train: np.ndarray, layout: Layout, own: Layout) -> Goal:
    """The shares that reference and train have.

    Args:
        real, train: of `Sample.counts`.
        layout, own: cells of events and of entities.
    """
    marginal = np.r_[layout.marginal_of_cell, len(layout.marginals) + own.marginal_of_cell]
    group = np.where(real + train < LEAST_ROWS, len(marginal) + marginal, np.arange(len(marginal)))
    group = np.unique(group, return_inverse=True)[1]
    empty = np.zeros(0)
    bare = Goal(empty, empty, marginal, group)
    return Goal(bare.pooled(real), bare.pooled(train), marginal, group)


def keep_start(histogram: np.ndarray, wanted: float) -> float:
    """What is added to ln of the odds so that about `wanted` units stay, by bisection.

    Args:
        histogram: units by ln of the odds, from -MOST to MOST.
    """
    odds = np.arange(-MOST, MOST + 1) / FINE
    low, high = -40.0, 40.0
    for _ in range(100):
        middle = (low + high) / 2
        if (histogram * chances(odds, middle)).sum() < wanted:
            low = middle
        else:
            high = middle
    return float(f"{high:.9g}")


def chances(odds: np.ndarray, start: float) -> np.ndarray:
    """Of staying, from ln of the odds."""
    return np.asarray(expit(odds + start))

"""Cells that the codes of a column fall into when samples are compared: numpy alone, over O(codes) numbers.

Cells of values: null, unknown (or rare), each frequent value, tenths of the others by popularity. Cells of bins: null,
runs of neighbours.
"""

from dataclasses import dataclass

import numpy as np

from clickweave.codec.spec import BINS, FIRST_VALUE, ColumnSpec

LEAST_ROWS = 20  # that a cell should have in the new sample, so that its share says something
LEAST_SHARE, TENTH = 0.01, 0.1  # of a cell of its own; of a cell of the less popular values together
MEAN_OF_NORMAL = float(np.sqrt(2 / np.pi))  # of |z|
DEVIATIONS = 3.0  # beyond the mean that are chance still: exceeded once in 90 times at most, and seldom that often


@dataclass(frozen=True)
class Cells:
    """Which cell each code falls into, the shares that are expected there, and the variance of what is expected."""

    column: ColumnSpec
    of_code: np.ndarray
    expected: np.ndarray
    variance: np.ndarray

    def distance(self, counts: np.ndarray) -> float:
        """Total variation distance of a sample with these rows by cell."""
        return float(np.abs(counts / max(1.0, counts.sum()) - self.expected).sum() / 2)

    def chance(self, num_new: float, num_old: float) -> float:
        """What the distance of two samples of one law stays below: the mean of half the sum of absolute normal
        deviations, and DEVIATIONS times the largest standard deviation of any set of cells' difference (Borell 1975: a
        maximum of normal variables is concentrated around its mean like the widest of them).
        """
        share = np.clip(self.expected, 0, 1)
        variance = share * (1 - share) * (1 / num_new + 1 / num_old) + self.variance
        largest = float(share.max(initial=0))
        widest = (largest * (1 - largest) if largest > 0.5 else 0.25) * (1 / num_new + 1 / num_old)
        return float(MEAN_OF_NORMAL * np.sqrt(variance).sum() / 2 + DEVIATIONS * np.sqrt(widest))

    def rates(self, counts: np.ndarray) -> tuple[float, float] | None:
        """Share of the rows above the lowest of values that are levels, then and now; None where all are, none, or
        hardly any is not.
        """
        least = min(self.column.values, key=int, default=None)
        if least is None:
            return None
        place, known = self.column.values.index(least), sum(self.column.counts)
        cell = self.of_code[FIRST_VALUE + place]
        then, now = (
            1 - part / max(1.0, all_)
            for part, all_ in ((self.column.counts[place], known), (counts[cell], counts[1:].sum()))
        )
        return (float(then), float(now)) if 0 < then < 1 and (self.of_code == cell).sum() == 1 else None


def fit_cells(column: ColumnSpec, num_rows: int) -> Cells:
    """The cells of a column for a new sample of `num_rows`, numbered from 0 for null; of values 1 is unknown."""
    least = max(LEAST_SHARE, LEAST_ROWS / max(1, num_rows))
    counts = np.asarray(column.counts, np.float64)
    total = max(1.0, counts.sum() + column.num_null + column.num_rare)
    if column.kind == BINS:
        of_code = np.concatenate([[0], _runs(counts, least * total) + 1]).astype(np.int32)
        expected = np.bincount(of_code, np.concatenate([[column.num_null], counts])) / total
        return Cells(column, of_code, expected, np.zeros(len(expected)))
    alone = counts >= least * total
    bands, tail, variance = _bands(np.where(alone, 0, counts), max(least, TENTH) * total, column.num_rare)
    of_value = np.where(alone, np.cumsum(alone) + 1, np.where(counts > 0, bands + 2 + alone.sum(), 1))
    expected = np.concatenate([[column.num_null, column.num_rare + tail[0]], counts[alone], tail[1:]]) / total
    extra = np.concatenate([[0, variance[0]], np.zeros(alone.sum()), variance[1:]]) / total**2
    return Cells(column, np.concatenate([[0, 1], of_value]).astype(np.int32), expected, extra)


def _runs(counts: np.ndarray, least: float) -> np.ndarray:
    """Numbers from 0 of runs of neighbours that have `least` together; the last may have less."""
    number, mass, found = 0, 0.0, np.zeros(len(counts), np.int64)
    for place, count in enumerate(counts):
        found[place], mass = number, mass + count
        if mass >= least:
            number, mass = number + 1, 0.0
    return found


def _bands(counts: np.ndarray, least: float, num_rare: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bands of popularity of at least `least` events: each value's, from 0; expected events of unknown values and of
    each band, and the variance of these.

    Of values seen r times in a sample, another as large has (r + 1) N(r + 1) events, where N(r) values were seen r
    times; so N(1) events are of values that were not seen (Good 1953, eq. 2). Not so where rare values were left out.
    """
    sizes, of_size = np.unique(counts, return_inverse=True)
    values = np.bincount(of_size, minlength=len(sizes)) * (sizes > 0)
    band = _runs((sizes * values)[::-1], least)[::-1]
    known = band[sizes > 0].max(initial=-1) + 1
    smaller = sizes - (0 if num_rare else 1)
    ours = np.where(sizes > 0, band + 1, 0)
    where = np.where(smaller > 0, ours[np.searchsorted(sizes, np.maximum(smaller, 0))], 0)
    expected = np.bincount(where, sizes * values, minlength=known + 1)
    moves = np.where(where != ours, sizes**2 * values, 0)  # N(r) is about Poisson
    variance = np.bincount(where, moves, minlength=known + 1) + np.bincount(ours, moves, minlength=known + 1)
    return band[of_size], expected, variance

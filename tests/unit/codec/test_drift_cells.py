"""When shares of cells differ by more than chance: the laws of the drift of one column, on drawn counts."""

import numpy as np
import pytest

from clickweave.codec.drift_cells import fit_cells
from clickweave.codec.spec import BINS, FIRST_VALUE, RARE_CODE, VALUES, ColumnSpec

NUM_OLD = 20_000


def zipf(num, power):
    shares = 1 / np.arange(1, num + 1) ** power
    return shares / shares.sum()


LAWS = {
    "two": np.array([0.5, 0.5]),
    "five": np.array([0.4, 0.3, 0.1, 0.1, 0.1]),
    "even": np.full(500, 1 / 500),
    "items": zipf(10_000, 1.0),
    "tail": zipf(100_000, 0.7),
}


def fitted(rng, law, num_new):
    """Cells of NUM_OLD draws, and the code of each value of the law."""
    counts = rng.multinomial(NUM_OLD, law)
    order = np.argsort(-counts, kind="stable")[: (counts > 0).sum()]
    codes = np.full(len(law), RARE_CODE)
    codes[order] = FIRST_VALUE + np.arange(len(order))
    column = ColumnSpec("x", VALUES, "string", values=tuple(map(str, order)), counts=tuple(counts[order].tolist()))
    return fit_cells(column, num_new), codes


def drift(rng, then, now, num_new):
    cells, codes = fitted(rng, then, num_new)
    counts = np.bincount(cells.of_code[codes], rng.multinomial(num_new, now), minlength=len(cells.expected))
    return cells.distance(counts) - cells.chance(num_new, NUM_OLD)


@pytest.mark.parametrize("num_new", [60, 500, 5000, 100_000])
@pytest.mark.parametrize("law", list(LAWS.values()), ids=list(LAWS))
def test_a_sample_of_the_same_law_does_not_drift(law, num_new):
    rng = np.random.default_rng(0)
    assert max(drift(rng, law, law, num_new) for _ in range(10)) < 0.03


@pytest.mark.parametrize("num_new", [500, 5000])
def test_a_share_that_moves_drifts_by_about_as_much(num_new):
    then, now = np.array([0.5, 0.4, 0.1]), np.array([0.35, 0.25, 0.4])
    found = drift(np.random.default_rng(1), then, now, num_new)
    assert 0.15 < found < 0.32


def test_events_on_values_that_nobody_saw_drift():
    then, now = np.append(zipf(3000, 1.0), np.zeros(500)), np.append(zipf(3000, 1.0) / 2, np.full(500, 1 / 1000))
    assert 0.3 < drift(np.random.default_rng(2), then, now, 500) < 0.5


@pytest.mark.parametrize("num_rare", [0, 40])
def test_expected_shares_are_shares(num_rare):
    rng = np.random.default_rng(3)
    counts = tuple(sorted(rng.geometric(0.2, 300).tolist(), reverse=True))
    column = ColumnSpec("x", VALUES, "string", tuple(map(str, range(300))), counts, num_null=50, num_rare=num_rare)
    cells = fit_cells(column, 1000)
    total = sum(counts) + 50 + num_rare
    assert cells.expected.sum() == pytest.approx(1)
    assert cells.expected[0] == 50 / total
    assert cells.expected[1] == (num_rare or counts.count(1)) / total  # Good 1953
    assert cells.of_code[:2].tolist() == [0, 1]
    assert len(cells.of_code) == column.num_codes


def test_bins_stand_in_runs_of_neighbours():
    lows = tuple(float(n) for n in range(100))
    column = ColumnSpec("x", BINS, "long", lows=lows, highs=lows, step=1.0, counts=(10,) * 100, num_null=100)
    cells = fit_cells(column, 200)
    assert (np.diff(cells.of_code[1:]) >= 0).all()
    assert cells.expected.sum() == pytest.approx(1)
    assert len(cells.expected) == 1 + 10  # a cell of 20 rows of 200 has a tenth of the events
    assert cells.distance(cells.expected * 200) == pytest.approx(0)


def test_the_rate_of_labels_is_what_lies_above_the_lowest():
    column = ColumnSpec("label", VALUES, "long", values=("2", "1", "3"), counts=(60, 30, 10), num_null=7)
    cells = fit_cells(column, 1000)
    counts = np.bincount(cells.of_code[[2] * 60 + [3] * 30 + [4] * 10], minlength=len(cells.expected))
    assert cells.rates(counts) == pytest.approx((0.7, 0.7))
    assert fit_cells(ColumnSpec("label", VALUES, "long", values=("1",), counts=(9,)), 9).rates(np.ones(3)) is None

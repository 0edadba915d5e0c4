"""Chances of staying under which a pool has given shares, as even as they can be.

Unit i stays with probability p_i = 1 / (1 + exp(-s_i)), s_i = start + what its cells have: the mean over its events of
their cells' terms, and the terms of its own. Of all ways to draw units independently that have given expected sums it
is the one of largest entropy, and the logit method of calibration (Deville and Saerndal 1992, section 2.2; Hainmueller
2012 for weights). Terms minimise

    sum ln(1 + exp(s_i)) - wanted * (start + terms of train's shares) + penalty / 2 * |terms|^2,

which is convex, so that all cells are fitted at once and the answer does not hang on their order. Its gradient is what
is expected to stay minus what train has. What a pool lacks no choice can give it: terms are bounded, else those of such
cells would grow until they alone decide. All events of a history count as one: sums over events would be ruled by the
few longest histories, which would go before any other.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import logit

from clickweave.frames.align.goal import chances
from clickweave.frames.align.sample import Sample

MAX_STEPS = 60
MAX_TERM = 3.0  # a cell multiplies the odds of its units by e^3 at most
_PENALTY = 3.0  # variance of a normal prior on a term is its inverse: a cell of few units says little


def fit_terms(sample: Sample, train: Sample, group: np.ndarray, share: float) -> np.ndarray:
    """The term of each cell in ln of the odds; L-BFGS on the driver.

    Args:
        train: whose shares are asked for.
        group: of each cell; those of one group have one term.
        share: of units that stay.
    """
    wanted, units = share * len(sample.draws), max(len(train.draws), 1)
    penalty, asked = _PENALTY * max(1.0, wanted / units), wanted * train.shares() / units

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        start, terms = point[0], point[1:]
        values = terms[group]
        odds = sample.sums(values)
        stay = chances(odds, start)
        slope = np.bincount(group, sample.shares(stay) - asked)
        total = np.logaddexp(0, odds + start).sum() - wanted * start - asked @ values + penalty / 2 * (terms @ terms)
        return total / wanted, np.r_[stay.sum() - wanted, slope + penalty * terms] / wanted

    point = np.zeros(1 + int(group.max()) + 1)
    point[0] = logit(share)
    bounds = [(-40.0, 40.0)] + [(-MAX_TERM, MAX_TERM)] * (len(point) - 1)
    options = {"maxiter": MAX_STEPS, "gtol": 1e-6}
    found = minimize(loss, point, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return found.x[1:][group]

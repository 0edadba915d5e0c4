"""Chances of staying under which a pool has given shares, as even as they can be.

Unit i stays with probability p_i = 1 / (1 + exp(-s_i)), s_i = start + sum over its cells of their terms: of all ways to
draw units independently that have given expected sums, the one of largest entropy, and the logit method of calibration
(Deville and Saerndal 1992, section 2.2; Hainmueller 2012 for weights). Terms minimise

    sum ln(1 + exp(s_i)) - wanted * (start + terms of train's shares) + penalty / 2 * |terms|^2,

which is convex, so that all cells are fitted at once and the answer does not hang on their order. Its gradient is what
is expected to stay minus what train has. What a pool lacks no choice can give it: terms are bounded, else those of such
cells would grow until they alone decide.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import logit

from clickweave.frames.align.goal import Goal, chances
from clickweave.frames.align.sample import Sample

MAX_STEPS = 60
MAX_TERM = 1.0  # a cell multiplies the odds of its units by e at most
_PENALTY = 10.0  # variance of a normal prior on a term is its inverse: a cell of few units says little


def fit_terms(sample: Sample, goal: Goal, share: float, num_real: tuple[int, int]) -> np.ndarray:
    """The term of each cell in ln of the odds; L-BFGS on the driver.

    Cells of events add up over a unit's events, each less what an event of train has, in units of train's mean number
    of events: what they ask for is train's shares of EVENTS. So the terms of the first marginal carry the mean.

    Args:
        share: of units that stay.
        num_real: units and events of train that its shares were read from.
    """
    units, events = num_real
    scale, is_own = events / max(units, 1), goal.own[goal.marginal]
    wanted = share * len(sample.draws)
    penalty = _PENALTY * max(1.0, wanted / max(units, 1))
    first = goal.marginal == 0
    own_wanted = wanted * goal.train

    def by_cell(terms: np.ndarray) -> np.ndarray:
        values = terms[goal.group] / np.where(is_own, 1.0, scale)
        return values - first * (goal.train * values)[~is_own].sum()

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        start, terms = point[0], point[1:]
        values = by_cell(terms)
        odds = sample.sums(values)
        stay = chances(odds, start)
        counts = sample.counts(stay)
        of_events = (counts - goal.train * counts[first].sum()) / scale
        slope = np.bincount(goal.group, np.where(is_own, counts - own_wanted, of_events))
        target = wanted * (start + (goal.train * values)[is_own].sum())
        total = np.logaddexp(0, odds + start).sum() - target + penalty / 2 * (terms @ terms)
        return total / wanted, np.r_[stay.sum() - wanted, slope + penalty * terms] / wanted

    point = np.zeros(1 + int(goal.group.max()) + 1)
    point[0] = logit(share)
    bounds = [(-40.0, 40.0)] + [(-MAX_TERM, MAX_TERM)] * (len(point) - 1)
    options = {"maxiter": MAX_STEPS, "gtol": 1e-6}
    found = minimize(loss, point, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return by_cell(found.x[1:])

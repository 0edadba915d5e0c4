"""P3's attacks: from an event history and what generated rows hold, a score that is high for users who were fitted.

Legend: events are a frame with one row per event of a target: `user` (0 to num_users - 1), and int64 tokens, 0 for
none: `item`, `category`, `day`, and by `KINDS` item, pair, gram2, gram3 and row. `Counts` say how often generated (or
reference) rows hold such tokens. No attack is trained, so that none needs users to learn from (shadow models).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import hypergeom, mannwhitneyu
from sklearn.metrics import roc_curve

KINDS = ("item", "pair", "gram2", "gram3", "row")  # pair: this category after the one before
MAX_FPR = 0.01
SMOOTHING = 0.5  # added to each count (Krichevsky & Trofimov 1981), so that no ratio is infinite


@dataclass(frozen=True)
class Counts:
    """By kind how many events hold a token (those of the targets alone), and how many events have one of the kind."""

    held: Mapping[str, pd.Series]
    totals: Mapping[str, int]

    def of(self, kind: str, tokens_N: np.ndarray) -> np.ndarray:
        """How many events hold each token."""
        held = self.held.get(kind)
        return np.zeros(len(tokens_N)) if held is None else held.reindex(tokens_N).fillna(0.0).to_numpy(float)


def nearest_history(events: pd.DataFrame, made: pd.DataFrame, num_users: int) -> np.ndarray:
    """Of each target the likeness to its nearest generated history (distance to the closest record, users as records).

    Weighted Jaccard: sum of w over what both have, over that of what either has; w = -log of the share of generated
    users who have it (Sparck Jones 1972). What a user has: items, their categories, and days with events.
    """
    parts, mades, weights = [], [], []
    num_made = int(made["user"].max()) + 1 if len(made) else 0
    for name in ("item", "category", "day"):
        tokens = np.unique(np.concatenate([events[name], made[name]]))
        tokens = tokens[tokens != 0]
        parts.append(_has(events, name, tokens, num_users))
        mades.append(_has(made, name, tokens, num_made))
        users_T = np.asarray(mades[-1].sum(axis=0)).ravel()
        weights.append(-np.log((users_T + SMOOTHING) / (num_made + 1.0)))
    ours, theirs, weight_T = sparse.hstack(parts).tocsr(), sparse.hstack(mades).tocsr(), np.concatenate(weights)
    if not num_made:
        return np.zeros(num_users)
    both = (ours.multiply(weight_T).tocsr() @ theirs.T).toarray()
    either = (ours @ weight_T)[:, None] + (theirs @ weight_T)[None, :] - both
    return np.asarray((both / np.where(either > 0, either, 1.0)).max(axis=1))


def _has(frame: pd.DataFrame, name: str, tokens: np.ndarray, num_users: int) -> sparse.csr_matrix:
    """Which user has which token [users, tokens], 0 or 1."""
    known = frame.loc[frame[name] != 0, ["user", name]].drop_duplicates()
    places = np.searchsorted(tokens, known[name].to_numpy())
    cells = (np.ones(len(known)), (known["user"].to_numpy(), places))
    return sparse.csr_matrix(cells, shape=(num_users, len(tokens)))


def contained(events: pd.DataFrame, kinds: tuple[str, ...], made: Counts, num_users: int) -> np.ndarray:
    """Of each target the share of its distinct tokens of these kinds that generated rows hold too, rare ones first:
    weighted by -log of their share among the generated ones (Carlini et al. 2019: exposure of what was memorised).
    """
    found_U, all_U = np.zeros(num_users), np.zeros(num_users)
    for kind in kinds:
        known = events.loc[events[kind] != 0, ["user", kind]].drop_duplicates()
        count_N = made.of(kind, known[kind].to_numpy())
        weight_N = -np.log((count_N + SMOOTHING) / (made.totals.get(kind, 0) + 1.0))
        users_N = known["user"].to_numpy()
        found_U += np.bincount(users_N, weights=weight_N * (count_N > 0), minlength=num_users)
        all_U += np.bincount(users_N, weights=weight_N, minlength=num_users)
    return found_U / np.where(all_U > 0, all_U, 1.0)


def density_ratio(events: pd.DataFrame, made: Counts, reference: Counts, num_users: int) -> np.ndarray:
    """Of each target the mean over its events of log p_S(x) - log p_R(x), for items and pairs of categories: where
    generated rows are denser than other real people explain (van Breugel et al. 2023, DOMIAS, equation 2).
    """
    score_U = np.zeros(num_users)
    for kind in ("item", "pair"):
        known = events.loc[events[kind] != 0, ["user", kind]]
        tokens_N, users_N = known[kind].to_numpy(), known["user"].to_numpy()
        cells = known[kind].nunique() + 1
        ratio_N = _log_share(made, kind, tokens_N, cells) - _log_share(reference, kind, tokens_N, cells)
        events_U = np.bincount(users_N, minlength=num_users)
        score_U += np.bincount(users_N, weights=ratio_N, minlength=num_users) / np.maximum(events_U, 1)
    return score_U


def _log_share(counts: Counts, kind: str, tokens_N: np.ndarray, cells: int) -> np.ndarray:
    total = counts.totals.get(kind, 0) + SMOOTHING * cells
    return np.asarray(np.log((counts.of(kind, tokens_N) + SMOOTHING) / total))


@dataclass(frozen=True)
class Attacked:
    """How well one attack tells members from others, with intervals by bootstrap over users.

    Attributes:
        auc_chance: probability of such an AUC where scores say nothing (Mann & Whitney 1947, one-sided).
        tpr: share of members above the threshold that at most MAX_FPR of the others pass (Carlini et al. 2022).
        tpr_chance: probability of so many members up there where scores say nothing (`top_chance`).
        curve: at most 60 points (false, true positive rate), for a picture.
    """

    auc: float
    auc_interval: tuple[float, float]
    auc_chance: float
    tpr: float
    tpr_interval: tuple[float, float]
    tpr_chance: float
    curve: list[tuple[float, float]]


def attacked(score_U: np.ndarray, is_member_U: np.ndarray, *, alpha: float, seed: int, draws: int = 1000) -> Attacked:
    """The figures of an attack's scores; intervals of level 1 - alpha."""
    levels_U = np.unique(-score_U, return_inverse=True)[1]  # 0 is the highest score
    sides = [levels_U[is_member_U], levels_U[~is_member_U]]
    num_levels = int(levels_U.max()) + 1
    counts = [np.bincount(side, minlength=num_levels) for side in sides]
    found = rates(*counts)
    generator = np.random.default_rng([seed, 7])
    drawn = np.array([_redrawn(generator, sides, num_levels) for _ in range(draws)])
    low, high = np.quantile(drawn, [alpha / 2, 1 - alpha / 2], axis=0)
    false, true, _ = roc_curve(is_member_U, score_U)
    kept = np.unique(np.linspace(0, len(false) - 1, 60).round().astype(int))
    curve = [(round(float(false[at]), 4), round(float(true[at]), 4)) for at in kept]
    intervals = [(float(low[each]), float(high[each])) for each in (0, 1)]
    auc_chance = float(mannwhitneyu(score_U[is_member_U], score_U[~is_member_U], alternative="greater").pvalue)
    return Attacked(found[0], intervals[0], auc_chance, found[1], intervals[1], top_chance(*counts), curve)


def _redrawn(generator: np.random.Generator, sides: list[np.ndarray], num_levels: int) -> tuple[float, float]:
    again = [side[generator.integers(0, len(side), len(side))] for side in sides]
    return rates(*[np.bincount(side, minlength=num_levels) for side in again])


def rates(members_L: np.ndarray, others_L: np.ndarray) -> tuple[float, float]:
    """AUC and the true positive rate at MAX_FPR, from how many members and others have each score, highest first.

    Ties count half in the AUC. A threshold is one of the scores, so the rate is never interpolated.
    """
    num_members, num_others = members_L.sum(), others_L.sum()
    above_L = np.cumsum(others_L)
    auc = float((members_L * (num_others - above_L + 0.5 * others_L)).sum()) / float(num_members * num_others)
    passing = above_L <= MAX_FPR * num_others
    return auc, float(members_L[passing].sum()) / float(num_members)


def top_chance(members_L: np.ndarray, others_L: np.ndarray) -> float:
    """The probability that as many members lie above all but k others where scores say nothing, the least of all k up
    to MAX_FPR of the others, times how many k there are (Bonferroni).

    m or more members lie above all but k others if of the m + k highest at most k are others (hypergeometric, exact).
    An interval by bootstrap is too narrow here: it rests on the few highest others.
    """
    num_members, num_others = int(members_L.sum()), int(others_L.sum())
    above_L = np.cumsum(others_L)
    allowed = np.arange(int(MAX_FPR * num_others) + 1)
    found = np.array([members_L[above_L <= k].sum() for k in allowed])
    chances = hypergeom.cdf(allowed, num_members + num_others, num_others, found + allowed)
    return min(1.0, float(chances.min()) * len(allowed))


def chance_tpr(num_others: int) -> float:
    """The expected true positive rate at MAX_FPR where scores say nothing: a member lies above all but k of n others
    with probability (k + 1) / (n + 1).
    """
    return (int(MAX_FPR * num_others) + 1) / (num_others + 1)

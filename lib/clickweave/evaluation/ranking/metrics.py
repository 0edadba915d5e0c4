"""Full-ranking metrics: where a user's targets stand among all candidates, and what the lists look like together.

Suffixes: U users, I candidate items, P pairs of a user and one of their targets (each item once per user), K places of
a list, R replicates. An item is its place among the candidates. Ties of a score are broken by a seeded draw of user and
item (`draw_ties`), the same in all models that are compared, so a constant scorer is a random order and no more.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

NOBODY = -1  # fills a list where a user has fewer than k candidates left
_HIDDEN = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Ties:
    """Draws that break ties: (items[i] * scales[u] + shifts[u]) mod 2^32 for item i of user u, each of them uniform."""

    items_I: np.ndarray
    scales_U: np.ndarray
    shifts_U: np.ndarray


@dataclass(frozen=True)
class Pairs:
    """Pairs of a user and an item, as places; both (P,) of int64."""

    users: np.ndarray
    items: np.ndarray

    def within(self, start: int, stop: int) -> "Pairs":
        """Those of the users from `start` to before `stop`, users counted from `start`."""
        inside = (self.users >= start) & (self.users < stop)
        return Pairs(self.users[inside] - start, self.items[inside])


def draw_ties(num_users: int, num_items: int, seed: int) -> Ties:
    """Tie draws for the whole table. An odd factor modulo 2^32 is one to one, so equal draws are as rare as chance."""
    generator = np.random.default_rng([seed, 7])
    items = generator.integers(0, 1 << 32, num_items, dtype=np.uint32)
    scales = generator.integers(0, 1 << 32, num_users, dtype=np.uint32) | np.uint32(1)
    return Ties(items, scales, generator.integers(0, 1 << 32, num_users, dtype=np.uint32))


def ranking_keys(scores_UI: np.ndarray, ties: Ties, start: int = 0, *, seen: Pairs | None = None) -> np.ndarray:
    """int64 keys (U, I): a larger key stands before. Sorted by score (float32, NaN last), ties by their draw.

    Args:
        start: number of the block's first user in `ties`.
        seen: items that are left out of the users' rankings, users counted from `start`; None leaves none out.
    """
    plain = np.where(np.isnan(scores_UI), -np.inf, scores_UI).astype(np.float32) + np.float32(0.0)  # no -0.0
    bits = plain.view(np.int32)
    ordered = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
    users = slice(start, start + len(scores_UI))
    with np.errstate(over="ignore"):
        draws = ties.items_I[None, :] * ties.scales_U[users, None] + ties.shifts_U[users, None]
    keys: np.ndarray = (ordered << 32) | draws.astype(np.int64)
    if seen is not None:
        keys[seen.users, seen.items] = _HIDDEN
    return keys


def ranks_of(keys_UI: np.ndarray, pairs: Pairs, max_cells: int = 1 << 22) -> np.ndarray:
    """Ranks (P,) of the pairs among all candidates of their user, 1 first. O(P x I), in pieces of `max_cells`."""
    step = max(1, max_cells // keys_UI.shape[1])
    ranks = [
        (keys_UI[users] > keys_UI[users, items][:, None]).sum(axis=1) + 1
        for first in range(0, len(pairs.users), step)
        for users, items in [(pairs.users[first : first + step], pairs.items[first : first + step])]
    ]
    return np.concatenate(ranks) if ranks else np.zeros(0, np.int64)


def top_lists(keys_UI: np.ndarray, k: int) -> np.ndarray:
    """The first k items of each user, best first (U, K); NOBODY where none is left."""
    k = min(k, keys_UI.shape[1])
    best = np.argpartition(keys_UI, -k, axis=1)[:, -k:]
    found = np.take_along_axis(keys_UI, best, axis=1)
    order = np.argsort(found, axis=1)[:, ::-1]
    lists = np.take_along_axis(best, order, axis=1)
    return np.where(np.take_along_axis(found, order, axis=1) == _HIDDEN, NOBODY, lists)


def ndcg_at(ranks_P: np.ndarray, users_P: np.ndarray, num_users: int, k: int) -> np.ndarray:
    """NDCG@k (U,) with binary gain, Jarvelin and Kekalainen 2002: sum of 1 / log2(1 + rank) over the targets in the
    first k places, over that of the best order. NaN for a user without targets.
    """
    gains = np.where(ranks_P <= k, 1.0 / np.log2(1.0 + ranks_P), 0.0)
    ideal = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(2, k + 2)))])
    best = ideal[np.minimum(np.bincount(users_P, minlength=num_users), k)]
    return _over(np.bincount(users_P, gains, minlength=num_users), best)


def recall_at(ranks_P: np.ndarray, users_P: np.ndarray, num_users: int, k: int) -> np.ndarray:
    """Recall@k (U,): share of a user's targets in the first k places. NaN for a user without targets."""
    found = np.bincount(users_P, (ranks_P <= k).astype(float), minlength=num_users)
    return _over(found, np.bincount(users_P, minlength=num_users))


def reciprocal_rank(ranks_P: np.ndarray, users_P: np.ndarray, num_users: int) -> np.ndarray:
    """1 / rank of a user's first target (U,), Voorhees 1999; its mean is MRR. NaN for a user without targets."""
    first = np.zeros(num_users)
    np.maximum.at(first, users_P, 1.0 / ranks_P)
    return np.where(first > 0, first, np.nan)


def catalogue_coverage(lists_UK: np.ndarray, num_items: int) -> float:
    """Share of all candidates that stand in at least one list (Ge, Delgado-Battenfeld and Jannach 2010)."""
    return float((_exposure(lists_UK, num_items) > 0).mean())


def auc_of(ranks_P: np.ndarray, users_P: np.ndarray, num_candidates_U: np.ndarray) -> np.ndarray:
    """AUC of a ranking (U,): the share of pairs of a target and another candidate in which the target stands before.

    It is that of Hanley and McNeil 1982 inside each user's ranking. The k-th of a user's m targets has rank - k others
    before it, so it is 1 - (sum of ranks - m (m + 1) / 2) / (m (n - m)) with n candidates. NaN for a user without
    targets or without others.

    Args:
        num_candidates_U: what is ranked for each user.
    """
    num_U = np.bincount(users_P, minlength=len(num_candidates_U)).astype(float)
    total_U = np.bincount(users_P, weights=ranks_P, minlength=len(num_candidates_U))
    wrong_U = total_U - num_U * (num_U + 1) / 2
    pairs_U = num_U * (num_candidates_U - num_U)
    return 1.0 - _over(wrong_U, pairs_U)


def gini_of_exposure(lists_UK: np.ndarray, num_items: int) -> float:
    """Gini index of how often each candidate is recommended (Gini 1921), those that never are included.

    sum_i (2 i - n - 1) x_i / (n sum_i x_i) with x ascending: 0 where all are shown alike, near 1 where few are.
    """
    shown = np.sort(_exposure(lists_UK, num_items))
    places = np.arange(1, num_items + 1)
    return float(((2 * places - num_items - 1) * shown).sum() / (num_items * max(shown.sum(), 1)))


def intra_list_distance(lists_UK: np.ndarray, content_ID: sparse.csr_array) -> np.ndarray:
    """Mean 1 - cosine (U,) over the pairs of items of a list, after Ziegler et al. 2005; NaN below two items.

    Args:
        content_ID: content of the candidates; an item without any is at distance 1 from all others.
    """
    squares_I = np.asarray(content_ID.multiply(content_ID).sum(axis=1)).ravel()
    scales_I = np.where(squares_I > 0, 1.0 / np.sqrt(np.where(squares_I > 0, squares_I, 1.0)), 0.0)
    units_ID = sparse.csr_array(content_ID.astype(np.float64).multiply(scales_I[:, None]))
    users, places = np.nonzero(lists_UK != NOBODY)
    items = lists_UK[users, places]
    listed_UI = sparse.csr_array((np.ones(len(items)), (users, items)), shape=(len(lists_UK), content_ID.shape[0]))
    sums_UD = listed_UI @ units_ID
    size_U = (lists_UK != NOBODY).sum(axis=1)
    alone_U = listed_UI @ (squares_I > 0).astype(float)  # an item with itself
    similar_U = (np.asarray(sums_UD.multiply(sums_UD).sum(axis=1)).ravel() - alone_U) / 2
    return np.where(size_U > 1, 1.0 - _over(similar_U, size_U * (size_U - 1) / 2), np.nan)


def _exposure(lists_UK: np.ndarray, num_items: int) -> np.ndarray:
    return np.bincount(lists_UK[lists_UK != NOBODY], minlength=num_items)


def _over(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """The quotient, NaN where `whole` is 0."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), np.nan)

"""Hybrid: gradient-boosted trees rank what content, ALS, nearest neighbours and popularity propose.

Two stages, as at serving time: each base recommender proposes its best candidates, LightGBM (LambdaRank, Burges 2010)
puts the proposals in order, and all other candidates follow behind them by popularity, so that the catalogue is ranked
in full. The trees learn from users of the training set: from the last event of each against negatives, given the
events before it. The base recommenders never see those last events, else their scores would tell the answer.

Legend: U users, E events, N candidates, R rows of (user, candidate), S base recommenders.
"""

from dataclasses import dataclass

import lightgbm
import numpy as np
import pyarrow as pa
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.config.base import Section
from clickweave.contracts.tables import DAY_US
from clickweave.evaluation.recommenders import als, content, item_knn, popularity
from clickweave.evaluation.recommenders.interactions import consumed, history_matrix, sample_histories
from clickweave.evaluation.recommenders.protocol import Fitted, Histories, ItemIndex, Task

MOST_EVENTS = 200  # of a history that the trees learn from, the last ones
BLOCK_SCORES = 1 << 24  # of one base recommender in memory


class Params(Section):
    """Of proposals and trees."""

    proposals: int = Field(100, ge=1, description="of each base recommender for a user, at most")
    max_users: int = Field(2_000, ge=1, description="whose last event is learnt, drawn by hash")
    negatives: int = Field(60, ge=2, description="of a user: half of the proposals, half of all items")
    trees: int = Field(120, ge=1)
    leaves: int = Field(15, ge=2)
    learning_rate: float = Field(0.06, gt=0)
    factors: als.Params = als.Params()
    neighbours: item_knn.Params = item_knn.Params()


@dataclass(frozen=True)
class Base:
    """What the trees stand on: recommenders by name, and when each item of `index` was first seen."""

    recommenders: dict[str, Fitted]
    index: ItemIndex
    first_us_I: np.ndarray
    level: int | None

    def scores(self, history: Histories, candidates: np.ndarray) -> dict[str, np.ndarray]:
        """Of each base recommender [U, N], and `recent`: the nearest neighbours' given the last event alone."""
        found = {name: one.score(history, candidates) for name, one in self.recommenders.items()}
        is_last_E = np.zeros(len(history.item_ids), bool)
        is_last_E[history.starts[1:][np.diff(history.starts) > 0] - 1] = True
        return found | {"recent": self.recommenders["item_knn"].score(history.kept(is_last_E), candidates)}

    def features(
        self, history: Histories, scores: dict[str, np.ndarray], rows: tuple[np.ndarray, np.ndarray], ids_N: np.ndarray
    ) -> np.ndarray:
        """float64 [R, F] of the rows (users [R], candidates [R]).

        Base scores; how often the user consumed the candidate; its age in days at the user's last event; events, items
        and days of the history, and the hour of its last event.
        """
        users_R, candidates_R = rows
        columns = [score_UN[users_R, candidates_R] for score_UN in scores.values()]
        own = ItemIndex(ids_N)
        counts_UN = history_matrix(history, own, np.ones(len(history.item_ids)))
        columns.append(np.asarray(counts_UN[users_R, candidates_R]).ravel())
        num_U = np.diff(history.starts)
        first_U, last_U = (_time_at(history, place_U) for place_U in (history.starts[:-1], history.starts[1:] - 1))
        places_R = self.index.places(ids_N)[candidates_R]
        first_R = np.where(places_R >= 0, self.first_us_I[places_R], np.nan) if len(self.index) else np.nan
        columns.append((last_U[users_R] - first_R) / DAY_US)
        context = (num_U, np.diff(counts_UN.indptr), (last_U - first_U) / DAY_US, last_U % DAY_US / DAY_US * 24)
        columns += [value_U[users_R] for value_U in context]
        return np.column_stack(columns).astype(np.float64)


@dataclass(frozen=True)
class Hybrid:
    """`trees` order the proposals; None where no user of the training set had a history to learn from."""

    base: Base
    trees: lightgbm.Booster | None
    params: Params

    def score(self, histories: Histories, candidates: np.ndarray) -> np.ndarray:
        """Scores of the trees for proposals; behind them, lower than each, the popularity of the others."""
        history = histories.consumed(self.base.level)
        scores = self.base.scores(history, candidates)
        popular_UN = scores["popularity"]
        behind_UN = popular_UN / (1 + popular_UN.max(axis=1, initial=0.0, keepdims=True))
        if self.trees is None:
            return behind_UN
        users_R, candidates_R = np.nonzero(proposed(scores, self.params.proposals))
        if len(users_R) == 0:
            return behind_UN
        features = self.base.features(history, scores, (users_R, candidates_R), candidates)
        ranked_R = np.asarray(self.trees.predict(features, num_threads=1))
        lowest_U = np.zeros(history.num_users)
        np.minimum.at(lowest_U, users_R, ranked_R)
        found_UN = (behind_UN + (lowest_U - 1)[:, None]).astype(np.float32)
        found_UN[users_R, candidates_R] = ranked_R
        return found_UN


def fit(events: DataFrame, items: DataFrame | None, users: DataFrame | None, task: Task, params: Params) -> Hybrid:
    """Base recommenders on all events but the last of some users, then trees on these.

    Cost: those of als, item_knn, content (where items have attributes) and popularity, and of max_users users scored.
    """
    rows = consumed(events, task)
    sample, row_ids = sample_histories(
        rows, task, max_users=params.max_users, max_events=MOST_EVENTS + 1, least_events=2
    )
    last_U = sample.starts[1:] - 1
    held = events.sparkSession.createDataFrame(pa.table({"row_id": pa.array(row_ids[last_U], pa.int64())}))
    base = _fit_base(events.join(F.broadcast(held), "row_id", "left_anti"), items, users, task, params)
    is_last_E = np.zeros(len(sample.item_ids), bool)
    is_last_E[last_U] = True
    targets = sample.kept(is_last_E)
    return Hybrid(base, _fit_trees(base, sample.kept(~is_last_E), targets, task, params), params)


def proposed(scores: dict[str, np.ndarray], num: int) -> np.ndarray:
    """Whether a score is among the user's `num` highest of its kind: bool [U, N]. Where ties reach
    beyond that number none of them is, so that no order of the candidates decides.
    """
    chosen_UN = np.zeros(next(iter(scores.values())).shape, bool)
    for score_UN in scores.values():
        if score_UN.shape[1] <= num:
            return np.ones_like(chosen_UN)
        limit_U = np.partition(score_UN, -num - 1, axis=1)[:, -num - 1]
        chosen_UN |= score_UN > limit_U[:, None]
    return chosen_UN


def _fit_base(events: DataFrame, items: DataFrame | None, users: DataFrame | None, task: Task, params: Params) -> Base:
    fitted: dict[str, Fitted] = {
        "popularity": popularity.fit(events, items, users, task, popularity.Params()),
        "als": als.fit(events, items, users, task, params.factors),
        "item_knn": item_knn.fit(events, items, users, task, params.neighbours),
    }
    if items is not None and task.schema.item_features:
        fitted["content"] = content.fit(events, items, users, task, content.Params())
    first = consumed(events, task).groupBy("item_id").agg(F.min("time_us").alias("first"))
    table = first.toArrow().sort_by("item_id")
    index = ItemIndex(table.column("item_id").to_numpy(zero_copy_only=False))
    return Base(fitted, index, table.column("first").to_numpy().astype(float), task.level)


def _fit_trees(base: Base, given: Histories, targets: Histories, task: Task, params: Params) -> lightgbm.Booster | None:
    """Trees that put each user's target before their negatives. `targets` has one event per user of `given`."""
    rng = np.random.default_rng([task.seed, 6])
    ids_N = base.index.ids.to_numpy()
    features, weights, groups = [], [], []
    size = max(1, BLOCK_SCORES // max(1, len(ids_N)))
    for block, wanted in zip(given.blocks(size), targets.blocks(size), strict=True):
        scores = base.scores(block, ids_N)
        goal_U = base.index.places(wanted.item_ids)
        near_UN = proposed(scores, params.proposals)
        rows = [_drawn(near_N, goal, params.negatives, rng) for near_N, goal in zip(near_UN, goal_U, strict=True)]
        taught = [user for user, goal in enumerate(goal_U) if goal >= 0 and len(rows[user]) > 1]
        if taught:
            users_R = np.repeat(taught, [len(rows[user]) for user in taught])
            picked = users_R, np.concatenate([rows[user] for user in taught])
            features.append(base.features(block, scores, picked, ids_N))
            weights.append(wanted.weights[users_R])
            groups += [len(rows[user]) for user in taught]
    if not groups:
        return None
    is_target_R = np.zeros(sum(groups))
    is_target_R[np.cumsum(groups) - groups] = 1  # the first of each group
    data = lightgbm.Dataset(np.concatenate(features), is_target_R, weight=np.concatenate(weights), group=groups)
    return lightgbm.train(_settings(params, task.seed), data, num_boost_round=params.trees)


def _drawn(near_N: np.ndarray, goal: int, num: int, rng: np.random.Generator) -> np.ndarray:
    """Places of the target, then of at most `num` other items: half of those that are near, the rest of all."""
    near = rng.permutation(np.flatnonzero(near_N))[: num // 2]
    anywhere = rng.integers(0, len(near_N), num - len(near))
    others = np.unique(np.concatenate([near, anywhere]))
    return np.concatenate([[goal], others[others != goal]])


def _settings(params: Params, seed: int) -> dict[str, object]:
    return {
        "objective": "lambdarank",
        "num_leaves": params.leaves,
        "learning_rate": params.learning_rate,
        "min_data_in_leaf": 20,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,  # the same bits on every run
        "verbose": -1,
        "seed": seed,
    }


def _time_at(history: Histories, place_U: np.ndarray) -> np.ndarray:
    """Time of the event at a place of each user [U], float; NaN for users without events."""
    known_U = np.diff(history.starts) > 0
    time_U = np.full(history.num_users, np.nan)
    time_U[known_U] = history.time_us[place_U[known_U]]
    return time_U

"""Hybrid: gradient-boosted trees rank what content, ALS, nearest neighbours, rules and popularity propose.

Two stages, as at serving time: each base recommender proposes its best candidates, LightGBM (LambdaRank, Burges 2010)
puts the proposals in order, and all other candidates follow behind them by popularity, so that the catalogue is ranked
in full. Boosting starts from the sum of the collaborative scores, each standardised over the user's candidates, which
alone is better than any of them. The trees learn from a share of the users of the training set: from what is new to
each in their last fifth of events against negatives, given the events before. The base recommenders never see those
last events, else their scores would tell the answer; since they are of few users, little is lost.

Legend: U users, E events, N candidates, R rows of (user, candidate).
"""

from dataclasses import dataclass

import lightgbm
import numpy as np
import pyarrow as pa
from pydantic import Field
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.config.base import Section
from clickweave.evaluation.recommenders import als, item_knn, sequential_rules
from clickweave.evaluation.recommenders.hybrid_base import Base, blended, fit_base, proposed
from clickweave.evaluation.recommenders.interactions import USERS, consumed, history_matrix, sample_histories
from clickweave.evaluation.recommenders.protocol import Histories, ItemIndex, Task
from clickweave.frames.draws import unit_draw

MOST_EVENTS = 200  # of a user that the trees learn from, the last ones
LATE_SHARE, MOST_LATE = 0.2, 20  # of these, what is to be found
BLOCK_SCORES = 1 << 24  # of one base recommender in memory


class Params(Section):
    """Of proposals and trees; settings by validation, as those of ALS (als.Params): NDCG@10 is 0.163 there, and 0.153,
    0.147 and 0.142 of ALS, item_knn and sequential_rules. More or faster trees overfit the few hundred users.
    """

    proposals: int = Field(100, ge=1, description="of each base recommender for a user, at most")
    max_users: int = Field(2_000, ge=1, description="whose last events are learnt, drawn by hash")
    user_share: float = Field(0.25, gt=0, le=1, description="the same, of all users, at most")
    negatives: int = Field(200, ge=2, description="of a user, at most")
    near_share: float = Field(0.8, ge=0, le=1, description="of the negatives, drawn among the proposals")
    trees: int = Field(60, ge=1)
    leaves: int = Field(7, ge=2)
    learning_rate: float = Field(0.05, gt=0)
    factors: als.Params = als.Params()
    neighbours: item_knn.Params = item_knn.Params()
    rules: sequential_rules.Params = sequential_rules.Params()


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
        ranked_R = blended(scores)[users_R, candidates_R]
        ranked_R += np.asarray(self.trees.predict(features, num_threads=1, raw_score=True))
        lowest_U = np.zeros(history.num_users)
        np.minimum.at(lowest_U, users_R, ranked_R)
        found_UN = (behind_UN + (lowest_U - 1)[:, None]).astype(np.float32)
        found_UN[users_R, candidates_R] = ranked_R
        return found_UN


@dataclass(frozen=True)
class Lesson:
    """What one user teaches: `places` of items, the targets first; `weight` of their events."""

    user: int
    places: np.ndarray
    num_targets: int
    weight: float


def fit(events: DataFrame, items: DataFrame | None, users: DataFrame | None, task: Task, params: Params) -> Hybrid:
    """Base recommenders on all events but the last of some users, then trees on these.

    Cost: those of als, item_knn, sequential_rules (where the log has times), content (where items have attributes) and
    popularity, and of max_users users scored.
    """
    drawn = unit_draw("entity_id", salt=USERS, seed=task.seed) < params.user_share
    sample, row_ids = sample_histories(
        consumed(events.where(drawn), task), task, max_users=params.max_users, max_events=MOST_EVENTS, least_events=2
    )
    is_late_E = late_events(sample)
    held = events.sparkSession.createDataFrame(pa.table({"row_id": pa.array(row_ids[is_late_E], pa.int64())}))
    known = events.join(F.broadcast(held), "row_id", "left_anti")
    base = fit_base(known, items, users, task, params.factors, params.neighbours, params.rules)
    trees = _fit_trees(base, sample.kept(~is_late_E), sample.kept(is_late_E), task, params)
    return Hybrid(base, trees, params)


def late_events(history: Histories) -> np.ndarray:
    """Whether an event is of the last LATE_SHARE of its user's, at least one and at most MOST_LATE: bool [E]."""
    late_U = np.clip((np.diff(history.starts) * LATE_SHARE).astype(np.int64), 1, MOST_LATE)
    behind_E = history.starts[1:][history.owners] - 1 - np.arange(len(history.item_ids))
    return np.asarray(behind_E < late_U[history.owners])


def _fit_trees(base: Base, given: Histories, late: Histories, task: Task, params: Params) -> lightgbm.Booster | None:
    """Trees that put each user's targets before their negatives. `late` holds later events of the users of `given`."""
    rng = np.random.default_rng([task.seed, 6])
    ids_N = base.index.ids.to_numpy()
    features, starts, labels, weights, groups = [], [], [], [], []
    size = max(1, BLOCK_SCORES // max(1, len(ids_N)))
    for block, wanted in zip(given.blocks(size), late.blocks(size), strict=True):
        scores = base.scores(block, ids_N)
        lessons = draw_lessons(base.index, block, wanted, proposed(scores, params.proposals), params, rng)
        if lessons:
            users_R = np.repeat([lesson.user for lesson in lessons], [len(lesson.places) for lesson in lessons])
            picked = users_R, np.concatenate([lesson.places for lesson in lessons])
            features.append(base.features(block, scores, picked, ids_N))
            starts.append(blended(scores)[picked])
            labels += [np.arange(len(lesson.places)) < lesson.num_targets for lesson in lessons]
            weights += [np.full(len(lesson.places), lesson.weight) for lesson in lessons]
            groups += [len(lesson.places) for lesson in lessons]
    if not groups:
        return None
    data = lightgbm.Dataset(
        np.concatenate(features),
        np.concatenate(labels).astype(float),
        weight=np.concatenate(weights),
        group=groups,
        init_score=np.concatenate(starts),
    )
    return lightgbm.train(_settings(params, task.seed), data, num_boost_round=params.trees)


def draw_lessons(
    index: ItemIndex, given: Histories, late: Histories, near_UN: np.ndarray, params: Params, rng: np.random.Generator
) -> list[Lesson]:
    """Of each user with a target that they have not had before; negatives are new to them, too."""
    own_UN = history_matrix(given, index, np.ones(len(given.item_ids))).toarray() > 0
    wanted_UN = (history_matrix(late, index, np.ones(len(late.item_ids))).toarray() > 0) & ~own_UN
    found = []
    for user in np.flatnonzero(wanted_UN.any(axis=1)):
        others_N = ~own_UN[user] & ~wanted_UN[user]
        near = rng.permutation(np.flatnonzero(near_UN[user] & others_N))[: round(params.near_share * params.negatives)]
        anywhere = rng.integers(0, len(others_N), params.negatives - len(near))
        targets, negatives = np.flatnonzero(wanted_UN[user]), np.union1d(near, anywhere[others_N[anywhere]])
        weight = late.weights[late.starts[user] : late.starts[user + 1]].mean()
        if len(negatives):
            found.append(Lesson(int(user), np.concatenate([targets, negatives]), len(targets), float(weight)))
    return found


def _settings(params: Params, seed: int) -> dict[str, object]:
    return {
        "objective": "lambdarank",
        "num_leaves": params.leaves,
        "learning_rate": params.learning_rate,
        "min_data_in_leaf": 50,
        "lambda_l2": 20.0,  # without it a few users move leaves by more than the scores they start from
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,  # the same bits on every run
        "verbose": -1,
        "seed": seed,
    }

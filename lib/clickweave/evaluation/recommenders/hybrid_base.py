"""What the hybrid's trees stand on: the scores of other recommenders, and features made of them.

Legend: U users, E events, N candidates, R rows of (user, candidate), F features.
"""

from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.contracts.tables import DAY_US
from clickweave.evaluation.recommenders import als, content, item_knn, popularity, sequential_rules
from clickweave.evaluation.recommenders.interactions import consumed, history_matrix
from clickweave.evaluation.recommenders.protocol import Fitted, Histories, ItemIndex, Task

LEAST_DEVIATION = 1e-9  # below it scores are alike but for rounding
BLENDED = ("als", "item_knn", "sequential_rules")  # what follows the training rows item by item


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

        Base scores, and each standardised, as long histories add up to more; how often the user consumed the candidate;
        its age in days at the user's last event; events, items and days of the history, and the hour of its last event.
        """
        users_R, candidates_R = rows
        columns = [score_UN[users_R, candidates_R] for score_UN in scores.values()]
        columns += [standardised(score_UN)[users_R, candidates_R] for score_UN in scores.values()]
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


def standardised(score_UN: np.ndarray) -> np.ndarray:
    """float64 [U, N] of mean 0 and variance 1 over a user's candidates; 0 where all are alike."""
    deviation_U1 = score_UN.std(axis=1, keepdims=True, dtype=np.float64)
    centred_UN = score_UN - score_UN.mean(axis=1, keepdims=True, dtype=np.float64)
    return np.divide(centred_UN, deviation_U1, out=np.zeros_like(centred_UN), where=deviation_U1 > LEAST_DEVIATION)


def blended(scores: dict[str, np.ndarray]) -> np.ndarray:
    """Where boosting starts [U, N]."""
    found: np.ndarray = np.sum([standardised(scores[name]) for name in BLENDED if name in scores], axis=0)
    return found


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


def fit_base(
    events: DataFrame,
    items: DataFrame | None,
    users: DataFrame | None,
    task: Task,
    factors: als.Params,
    neighbours: item_knn.Params,
    rules: sequential_rules.Params,
) -> Base:
    """Base recommenders that a log can train, with parameters of three of them."""
    fitted: dict[str, Fitted] = {
        "popularity": popularity.fit(events, items, users, task, popularity.Params()),
        "als": als.fit(events, items, users, task, factors),
        "item_knn": item_knn.fit(events, items, users, task, neighbours),
    }
    if task.schema.event_time is not None:
        fitted["sequential_rules"] = sequential_rules.fit(events, items, users, task, rules)
    if items is not None and task.schema.item_features:
        fitted["content"] = content.fit(events, items, users, task, content.Params())
    first = consumed(events, task).groupBy("item_id").agg(F.min("time_us").alias("first"))
    table = first.toArrow().sort_by("item_id")
    index = ItemIndex(table.column("item_id").to_numpy(zero_copy_only=False))
    return Base(fitted, index, table.column("first").to_numpy().astype(float), task.level)


def _time_at(history: Histories, place_U: np.ndarray) -> np.ndarray:
    """Time of the event at a place of each user [U], float; NaN for users without events."""
    known_U = np.diff(history.starts) > 0
    time_U = np.full(history.num_users, np.nan)
    time_U[known_U] = history.time_us[place_U[known_U]]
    return time_U

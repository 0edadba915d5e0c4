"""Trains the recommenders on the arms and ranks the catalogue for the users of the cases.

Suffixes: S seeds, U users, P pairs of a user and a target, I candidates, K places of a list.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from pyspark.sql import DataFrame
from scipy import sparse

from clickweave.evaluation.detection import side_by_side
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.evaluation.ranking import metrics
from clickweave.evaluation.ranking.arms import Plan, arm_events
from clickweave.evaluation.ranking.cases import Cases, Catalogue
from clickweave.evaluation.recommenders.protocol import Fitted, Recommender, Task
from clickweave.evaluation.recommenders.registry import SEEDLESS

K = 10
MAX_CELLS = 1 << 22  # scores that are held at once
ROBUST_ARMS = ("real", "mixed")  # that R1 looks at
FLOORS = ("popularity", "content")  # follow training rows in one number per item, or not at all: never averaged
COMPARED = ("real", "thinned", "synthetic", "mixed", "repeated")  # arms that floors are trained on, too

Progress = Callable[[str], None]
Robust = Literal["ndcg", "auc"]  # what R1 looks at


@dataclass(frozen=True)
class Bench:
    """What every model is tested with.

    Attributes:
        content: attributes of the candidates (I, D), None where they have none.
        others: further cases that the arms ROBUST_ARMS are tested with, by name.
    """

    catalogue: Catalogue
    cases: Cases
    content: sparse.csr_array | None
    others: dict[str, Cases]
    seed: int


@dataclass(frozen=True)
class Trial:
    """What models of one recommender on one arm do, one for each seed.

    Attributes:
        ndcg, recall: slice -> NDCG@10 and Recall@10 of the users (S, U), NaN for a user without targets in the slice.
        mrr, auc: reciprocal ranks, and AUC of the rankings (S, U).
        lists: catalogue coverage@10, Gini of exposure and mean intra-list distance, each the mean over seeds.
        others: name of other cases -> NDCG@10 and AUC of their users (S, U of those).
    """

    ndcg: dict[str, np.ndarray]
    recall: dict[str, np.ndarray]
    mrr: np.ndarray
    auc: np.ndarray
    lists: dict[str, float]
    others: dict[str, dict[Robust, np.ndarray]]


class ConstantScorer:
    """Scores everything alike; since ties are drawn, its ranking is a random order, the floor of all others."""

    def score(self, histories: object, candidates: np.ndarray) -> np.ndarray:
        return np.zeros((getattr(histories, "num_users", 0), len(candidates)), np.float32)


def run_trials(
    inputs: EvaluationInputs,
    plans: Sequence[Plan],
    recommenders: Mapping[str, Recommender],
    bench: Bench,
    task: Task,
    num_seeds: int,
    on_progress: Progress = lambda message: None,
) -> dict[str, dict[str, Trial]]:
    """Arm -> recommender -> trial. Each arm is held in Spark's memory (or on its disks) while its models train.

    Cost: arms x recommenders x seeds trainings, by the recommenders' own numbers of steps, the same in every arm; those
    that no seed changes train once an arm, and FLOORS on COMPARED arms alone.
    """
    learning = {name: chosen for name, chosen in recommenders.items() if name not in FLOORS}
    trials: dict[str, dict[str, Trial]] = {}
    for plan in plans:
        on_progress(f"training recommenders on {plan.name}")
        events = arm_events(plan, inputs).persist()
        tests = bench if plan.name in ROBUST_ARMS else replace(bench, others={})
        chosen = recommenders if plan.name in COMPARED else learning
        trials[plan.name] = _try_arm(events, inputs, chosen, tests, task, num_seeds)
        events.unpersist()
    return trials


def try_models(models: Sequence[Fitted], bench: Bench) -> Trial:
    """The trial of models that differ by their seed alone; one that stands there several times is ranked with once."""
    cases, catalogue = bench.cases, bench.catalogue
    owners, num = cases.targets.users, cases.num_users
    slices = cases.slices(catalogue)
    ranked = list(_ranked(models, cases, bench))

    def by_slice(metric: Callable[..., np.ndarray]) -> dict[str, np.ndarray]:
        return {
            name: np.stack([metric(ranks[inside], owners[inside], num, K) for ranks, _ in ranked])
            for name, inside in slices.items()
        }

    return Trial(
        ndcg=by_slice(metrics.ndcg_at),
        recall=by_slice(metrics.recall_at),
        mrr=np.stack([metrics.reciprocal_rank(ranks, owners, num) for ranks, _ in ranked]),
        auc=np.stack([_auc(ranks, cases, catalogue) for ranks, _ in ranked]),
        lists=_mean([_of_lists(lists, bench) for _, lists in ranked]),
        others={name: _robust(models, other, bench) for name, other in bench.others.items()},
    )


def rank_cases(model: Fitted, cases: Cases, catalogue: Catalogue, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Ranks (P,) of the targets and lists (U, K) of each user among the candidates that they have not seen."""
    num_items = len(catalogue.items)
    size = max(1, MAX_CELLS // max(num_items, 1))
    ties = metrics.draw_ties(cases.num_users, num_items, seed)
    ranks, lists = [], []
    for number, block in enumerate(cases.histories.blocks(size)):
        start, stop = number * size, number * size + block.num_users
        scores = model.score(block, catalogue.items)
        keys = metrics.ranking_keys(scores, ties, start, seen=cases.seen.within(start, stop))
        ranks.append(metrics.ranks_of(keys, cases.targets.within(start, stop)))
        lists.append(metrics.top_lists(keys, K))
    return np.concatenate(ranks), np.concatenate(lists)


def _try_arm(
    events: DataFrame,
    inputs: EvaluationInputs,
    recommenders: Mapping[str, Recommender],
    bench: Bench,
    task: Task,
    num_seeds: int,
) -> dict[str, Trial]:
    """Trials by recommender, two at a time: small jobs leave cores idle. Seeds of one recommender never overlap."""

    def try_one(name: str) -> Trial:
        chosen, num = recommenders[name], 1 if name in SEEDLESS else num_seeds
        tasks = [replace(task, seed=task.seed + number) for number in range(num)]
        models = [chosen.fit(events, inputs.items, inputs.users, each, chosen.Params()) for each in tasks]
        return try_models(models * (num_seeds // num), bench)

    return dict(zip(recommenders, side_by_side(try_one, recommenders), strict=True))


def _ranked(models: Sequence[Fitted], cases: Cases, bench: Bench) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ranks and lists of each model."""
    found = {id(model): model for model in models}
    ranked = {key: rank_cases(model, cases, bench.catalogue, bench.seed) for key, model in found.items()}
    return (ranked[id(model)] for model in models)


def _robust(models: Sequence[Fitted], cases: Cases, bench: Bench) -> dict[Robust, np.ndarray]:
    ranks = [ranks for ranks, _ in _ranked(models, cases, bench)]
    ndcg = [metrics.ndcg_at(each, cases.targets.users, cases.num_users, K) for each in ranks]
    return {"ndcg": np.stack(ndcg), "auc": np.stack([_auc(each, cases, bench.catalogue) for each in ranks])}


def _auc(ranks: np.ndarray, cases: Cases, catalogue: Catalogue) -> np.ndarray:
    left_U = len(catalogue.items) - np.bincount(cases.seen.users, minlength=cases.num_users)
    return metrics.auc_of(ranks, cases.targets.users, left_U)


def _of_lists(lists: np.ndarray, bench: Bench) -> dict[str, float]:
    num_items = len(bench.catalogue.items)
    found = {
        "coverage": metrics.catalogue_coverage(lists, num_items),
        "gini": metrics.gini_of_exposure(lists, num_items),
    }
    if bench.content is not None:
        found["distance"] = float(np.nanmean(metrics.intra_list_distance(lists, bench.content)))
    return found


def _mean(figures: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([each[name] for each in figures])) for name in figures[0]}

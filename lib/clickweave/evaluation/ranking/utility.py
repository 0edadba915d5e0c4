"""The ranking part of the judge: cases, arms, recommenders, figures (U2, U3, U4, D1, R1) and what a page draws."""

from collections.abc import Callable, Mapping
from typing import Any

from clickweave.evaluation.gates import Row, not_applicable
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.evaluation.ranking.arms import count_consumed, plan_arms
from clickweave.evaluation.ranking.cases import (
    MAX_HISTORY,
    MAX_TARGETS,
    content_of,
    fit_catalogue,
    future_cases,
    holdout_cases,
    substituted,
)
from clickweave.evaluation.ranking.curves import all_curves, slice_sizes
from clickweave.evaluation.ranking.figures import (
    LEAST_RECOMMENDERS,
    MIN_USERS,
    NAMES,
    NO_REAL,
    REAL_ALONE,
    Results,
    all_rows,
    better_than_random,
)
from clickweave.evaluation.ranking.trials import Bench, ConstantScorer, K, run_trials, try_models
from clickweave.evaluation.recommenders.protocol import Recommender, Task
from clickweave.evaluation.recommenders.registry import fitting, recommender

QUICK = ("popularity", "als", "item_knn", "content", "sequential_rules", "hybrid")  # five of these, the first that fit
QUICK_USERS, FULL_USERS = 1_000, 2_000
MAX_SCORES = 200_000_000  # of one model: at a million items the figures are of 200 users
SUBSTITUTED = 0.1  # share of history items that R1 changes
LEVEL = 1  # a row counts as consumed where any label was reached; in logs without labels every row of the log is
RULES = (
    f"Users of the holdout with two events or more: the last fifth, at most {MAX_TARGETS}, is to be found, the last "
    f"{MAX_HISTORY} before are given. Targets are items that the user has not had before; all items are ranked, but "
    "those of the history. Ties are drawn. Figures are means over users and seeds; intervals are of 95 %."
)


def judge_ranking(
    inputs: EvaluationInputs,
    on_progress: Callable[[str], None] = lambda message: None,
    *,
    recommenders: Mapping[str, Recommender] | None = None,
) -> tuple[list[Row], dict[str, Any]]:
    """All ranking rows, in the order of NAMES, and what a page draws of them.

    Cost: five jobs for cases, candidates, their attributes and counts; then arms x recommenders x seeds trainings, 5 x
    5 x 1 in mode quick; at most MAX_SCORES scores a model. The driver holds O(items), at most FULL_USERS histories, and
    a figure per arm, recommender, seed, slice and user.

    Args:
        recommenders: by name; None: those of the registry that the log can train, in mode quick the first of QUICK, as
            many as U4 needs.
    """
    config, task = inputs.config, Task(inputs.schema, LEVEL, inputs.config.seed)
    chosen = recommenders_for(inputs) if recommenders is None else dict(recommenders)
    reason = _missing(inputs, chosen)
    if reason:
        return _unsaid(inputs, reason)
    full = config.utility == "full"
    counts = count_consumed(inputs, task)
    bench = _bench(inputs, task, FULL_USERS if full else QUICK_USERS)
    num_users = bench.cases.num_users
    if num_users < MIN_USERS or not counts.train:
        few = f"{num_users} users of the holdout have a history and a new item after it, fewer than {MIN_USERS}"
        return _unsaid(inputs, few if counts.train else "no real rows to train on")
    plans = plan_arms(counts, full=full)
    num_seeds = config.utility_seeds if full else 1
    trials = run_trials(inputs, plans, chosen, bench, task, num_seeds, on_progress)
    floor = try_models([ConstantScorer()], bench)
    averaged = better_than_random(trials["real"], floor, config.seed)
    about = _about(inputs, bench, num_seeds) | {
        "recommenders": {"tried": list(chosen), "averaged": list(averaged)},
        "random_ndcg": float(floor.ndcg["all"].mean()),
    }
    if not averaged:
        rows, told = _unsaid(inputs, "trained on real rows no recommender ranks better than a random order")
        return rows, about | told
    why = REAL_ALONE if counts.holds_real else NO_REAL
    results = Results(trials, {plan.name: plan for plan in plans}, averaged, config.seed, why)
    return all_rows(results), about | all_curves(results)


def _bench(inputs: EvaluationInputs, task: Task, limit: int) -> Bench:
    catalogue = fit_catalogue(inputs.train, inputs.items, task)
    limit = most_users(limit, len(catalogue.items))
    cases = holdout_cases(inputs.holdout, task, catalogue, limit)
    others = {"substituted": substituted(cases, catalogue, SUBSTITUTED, inputs.config.seed)}
    if inputs.future is not None:
        later = future_cases(inputs.train, inputs.future, task, catalogue, limit)
        others |= {"future": later} if later.num_users >= MIN_USERS else {}
    return Bench(catalogue, cases, content_of(inputs.items, task, catalogue), others, inputs.config.seed)


def most_users(limit: int, num_items: int) -> int:
    """So many users are ranked for, at most: all items are ranked for each, so fewer where there are many items."""
    return max(MIN_USERS, min(limit, MAX_SCORES // max(num_items, 1)))


def recommenders_for(inputs: EvaluationInputs) -> dict[str, Recommender]:
    """Those that the log can train, in mode quick the first of QUICK, as many as U4 needs."""
    names = fitting(inputs.schema)
    if inputs.config.utility == "quick":
        names = tuple(name for name in QUICK if name in names)[:LEAST_RECOMMENDERS]
    return {} if inputs.config.utility == "off" else {name: recommender(name) for name in names}


def _missing(inputs: EvaluationInputs, chosen: Mapping[str, Recommender]) -> str:
    """Why nothing can be ranked; empty where it can."""
    if inputs.config.utility == "off":
        return "switched off (evaluate.utility)"
    if inputs.schema.item is None:
        return "the log has no items"
    if inputs.schema.entity_column is None:
        return "each row of the log is its own entity, so that nobody has a history"
    return "" if chosen else "no recommender can be trained on this log"


def _unsaid(inputs: EvaluationInputs, reason: str) -> tuple[list[Row], dict[str, Any]]:
    return [not_applicable(name, reason) for name in NAMES], {"mode": inputs.config.utility, "reason": reason}


def _about(inputs: EvaluationInputs, bench: Bench, num_seeds: int) -> dict[str, Any]:
    cases, catalogue = bench.cases, bench.catalogue
    told: dict[str, Any] = {"mode": inputs.config.utility, "seeds": num_seeds, "k": K, "rules": RULES}
    told |= {"users": cases.num_users, "candidates": len(catalogue.items), "targets": len(cases.targets.users)}
    return told | {"left_out": cases.left_out, "slices": slice_sizes(cases, catalogue)}

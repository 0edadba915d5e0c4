"""What a page can draw of the ranking figures, as plain JSON."""

from typing import Any

import numpy as np

from clickweave.evaluation.intervals import LEVEL, holm, interval, paired_means
from clickweave.evaluation.ranking.arms import SHARES, Plan
from clickweave.evaluation.ranking.cases import Cases, Catalogue
from clickweave.evaluation.ranking.figures import MIN_USERS, Results, agreement, change_of, uplift

NO_UPLIFT = "no measurable uplift"


def arm_table(results: Results) -> list[dict[str, Any]]:
    """Per arm the means over the averaged recommenders, by slice too, and each recommender's own figures."""
    table = []
    for arm, plan in results.plans.items():
        slices = {part: _figure(results.panel(arm, part), results.seed) for part in _slices(results)}
        own = {
            name: _figure(trial.ndcg["all"], results.seed)
            | {"recall": float(trial.recall["all"].mean()), "mrr": float(trial.mrr.mean()), **trial.lists}
            for name, trial in results.trials[arm].items()
        }
        about = {"arm": arm, "rows": plan.rows, "ratio": plan.ratio, **slices.pop("all")}
        recall = float(results.panel(arm, metric="recall").mean())
        table.append(about | {"recall": recall, "slices": slices, "recommenders": own})
    return table


def slice_sizes(cases: Cases, catalogue: Catalogue) -> dict[str, dict[str, int]]:
    """Users and targets of each slice."""
    owners = cases.targets.users
    return {
        part: {"users": len(np.unique(owners[inside])), "targets": int(inside.sum())}
        for part, inside in cases.slices(catalogue).items()
    }


def uplifts(results: Results) -> list[dict[str, Any]]:
    """What each arm with a rival gains, by slice in which models of real rows find anything that a gain can be related
    to; `p_holm` corrects for the operators and ratios tried (Holm 1979).

    `said` is "uplift" where the corrected p lies below LEVEL, "harm" where the interval is wholly below 0, and else
    NO_UPLIFT; the mixed set itself is the one question that is asked beforehand, and its p is its own.
    """
    found, parts = {}, [part for part in _slices(results) if np.nanmean(results.panel("real", part)) > 0]
    for arm, plan in results.plans.items():
        if plan.rival and plan.rival in results.plans:
            by_slice = {part: uplift(results, arm, part) for part in parts}
            found[arm] = {"arm": arm, "ratio": plan.ratio, **by_slice.pop("all"), "slices": by_slice}
    corrected = holm({arm: row["p"] for arm, row in found.items() if arm != "mixed"})
    for arm, row in found.items():
        row["p_holm"] = corrected.get(arm, row["p"])
        if row["said"] == "uplift" and row["p_holm"] >= LEVEL:
            row["said"] = NO_UPLIFT
    return list(found.values())


def recommend_ratio(results: Results, gains: list[dict[str, Any]]) -> dict[str, Any]:
    """The ratio of synthetic rows with the largest gain among those whose uplift is measured; None where none is."""
    tried = [row for row in gains if is_ratio(results.plans[row["arm"]])]
    if not tried:
        return {"ratio": None, "reason": "no ratios were tried"}
    measured = [row for row in tried if row["said"] == "uplift"]
    if not measured:
        return {"ratio": None, "reason": NO_UPLIFT}
    best = max(measured, key=lambda row: float(row["gain"]))
    low, high = best["interval"]
    reason = f"{best['relative']:+.1%} NDCG@10 ({low:+.1%} to {high:+.1%}), p {best['p_holm']:.4f} by Holm"
    return {"ratio": best["ratio"], "reason": reason}


def is_ratio(plan: Plan) -> bool:
    """Whether an arm adds a stated ratio of synthetic rows to all of T."""
    return bool(plan.rival) and plan.parts[-1].source == "synthetic"


def sparsity(results: Results) -> list[dict[str, Any]]:
    """NDCG@10 by share of T's users, alone and with the mixed set's extra rows, which the generator drew from all of
    T: the curve says what these rows carry, not what a generator of so few users would give.
    """
    points = {share: (f"{share:g} of real", f"{share:g} of real + extra") for share in SHARES}
    points[1.0] = ("real", "mixed")
    if points[SHARES[0]][0] not in results.plans:
        return []
    return [
        {
            "share": share,
            "real": _figure(results.panel(alone), results.seed),
            "with_extra": _figure(results.panel(extra), results.seed) if extra in results.plans else None,
        }
        for share, (alone, extra) in points.items()
    ]


def robustness(results: Results) -> dict[str, dict[str, Any]]:
    """Per other cases and arm NDCG@10 there and its relative change, AUC and its difference."""
    arms = [arm for arm in ("real", "mixed") if arm in results.plans]
    some = results.trials["real"][results.averaged[0]].others
    return {cases: {arm: _robust(results, arm, cases) for arm in arms} for cases in some}


def all_curves(results: Results) -> dict[str, Any]:
    """`arms`, `uplifts`, `recommended`, `sparsity`, `agreement` and `robustness`."""
    gains = uplifts(results)
    return {
        "arms": arm_table(results),
        "uplifts": gains,
        "recommended": recommend_ratio(results, gains),
        "sparsity": sparsity(results),
        "agreement": agreement(results, results.seed) if "synthetic" in results.plans else None,
        "robustness": robustness(results),
    }


def _robust(results: Results, arm: str, cases: str) -> dict[str, Any]:
    auc = float(np.nanmean(results.other(arm, cases, "auc")))
    changes = {"change": change_of(results, arm, cases, "ndcg"), "auc_change": change_of(results, arm, cases, "auc")}
    return _figure(results.other(arm, cases), results.seed) | changes | {"auc": auc}


def _slices(results: Results) -> list[str]:
    """Slices with enough users."""
    some = results.trials["real"][results.averaged[0]].ndcg
    return [part for part, figures in some.items() if (~np.isnan(figures[0])).sum() >= MIN_USERS]


def _figure(figures_SU: np.ndarray, seed: int) -> dict[str, Any]:
    return {"ndcg": float(np.nanmean(figures_SU)), "interval": list(interval(paired_means({"": figures_SU}, seed)[""]))}

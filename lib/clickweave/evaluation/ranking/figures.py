"""U2, U3, U4, D1 and R1 of the ranking models, from their trials.

Figures are means over the averaged recommenders: those that learn from training rows (popularity follows them in one
number per item, content not at all) and, trained on T, rank better than a random order. Suffixes: S seeds, U users.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import kendalltau

from clickweave.evaluation.gates import Row, judged, not_applicable, reported
from clickweave.evaluation.intervals import interval, p_not_above, paired_means
from clickweave.evaluation.ranking.arms import Plan
from clickweave.evaluation.ranking.trials import FLOORS, Robust, Trial

MIN_USERS = 20  # fewer with such targets, and a slice says nothing
LEAST_RECOMMENDERS = 5  # whose order U4 compares
TAU_REPLICATES = 500
NDCG_TSTR, RECALL_TSTR, AGREEMENT = "NDCG@10, train on S", "Recall@10, train on S", "agreement of recommenders"
UPLIFTS = {
    "all": "ranking uplift",
    "cold_users": "ranking uplift, cold users",
    "tail_items": "ranking uplift, tail items",
}
SLICE_ROWS = frozenset(UPLIFTS.values()) - {UPLIFTS["all"]}  # parts of the one that may refuse: they never do
DIVERSITY = {"coverage": "catalogue coverage@10", "gini": "Gini of exposure", "distance": "intra-list distance"}
ROBUSTNESS: dict[tuple[str, Robust], str] = {
    ("substituted", "ndcg"): "NDCG@10, items substituted",
    ("substituted", "auc"): "AUC, items substituted",
    ("future", "ndcg"): "NDCG@10, future",
    ("future", "auc"): "AUC, future",
}
NAMES = (NDCG_TSTR, RECALL_TSTR, *UPLIFTS.values(), AGREEMENT, *ROBUSTNESS.values(), *DIVERSITY.values())
REAL_ALONE, NO_REAL = "the mixed set holds real rows alone", "the mixed set holds no real rows"

Metric = Literal["ndcg", "recall"]


@dataclass(frozen=True)
class Results:
    """Trials by arm and recommender, the plans of the arms, which recommenders are averaged, and why there is no arm
    `mixed` where there is none.
    """

    trials: dict[str, dict[str, Trial]]
    plans: dict[str, Plan]
    averaged: tuple[str, ...]
    seed: int
    no_mixed: str = REAL_ALONE

    def panel(self, arm: str, part: str = "all", metric: Metric = "ndcg") -> np.ndarray:
        """Mean over the averaged recommenders (S, U)."""
        found: np.ndarray = np.mean([getattr(self.trials[arm][name], metric)[part] for name in self.averaged], axis=0)
        return found

    def auc(self, arm: str) -> np.ndarray:
        """AUC of the rankings, mean over the averaged recommenders (S, U)."""
        found: np.ndarray = np.mean([self.trials[arm][name].auc for name in self.averaged], axis=0)
        return found

    def other(self, arm: str, cases: str, metric: Robust = "ndcg") -> np.ndarray:
        """NDCG@10 or AUC on other cases, mean over the averaged recommenders (S, U)."""
        runs = [self.trials[arm][name].others[cases][metric] for name in self.averaged]
        found: np.ndarray = np.mean(runs, axis=0)
        return found

    @property
    def base(self) -> str:
        """The arm of real rows that is as large as `synthetic`."""
        return "thinned" if "thinned" in self.plans else "real"


def better_than_random(real: dict[str, Trial], floor: Trial, seed: int) -> tuple[str, ...]:
    """Recommenders whose NDCG@10 lies above a random order's, by the interval of the difference."""
    learning = {name: trial.ndcg["all"] for name, trial in real.items() if name not in FLOORS}
    if not learning:
        return ()
    shape = next(iter(learning.values())).shape
    draws = paired_means(learning | {"": np.broadcast_to(floor.ndcg["all"], shape)}, seed)
    return tuple(name for name in learning if interval(draws[name] - draws[""])[0] > 0)


def all_rows(results: Results) -> list[Row]:
    """All rows, in the order of NAMES."""
    rows = [judge_tstr(results, NDCG_TSTR, "ndcg"), judge_tstr(results, RECALL_TSTR, "recall")]
    rows += [judge_uplift(results, part) for part in UPLIFTS]
    rows.append(judge_agreement(results))
    rows += [report_robustness(results, cases, metric) for cases, metric in ROBUSTNESS]
    return rows + [report_diversity(results, kind) for kind in DIVERSITY]


def judge_tstr(results: Results, title: str, metric: Metric) -> Row:
    """U2: mean over the averaged recommenders of (metric trained on S) / (metric trained on as many rows of T); its
    control is T with items apart from users.
    """
    real = float(np.mean(results.panel(results.base, metric=metric)))
    if "synthetic" not in results.plans:
        return not_applicable(title, "no synthetic rows", ceiling=real)
    arms = ("synthetic", "independent")
    ratios: dict[str, list[float]] = {arm: [] for arm in arms}
    draws = []
    for name in results.averaged:
        runs = {arm: getattr(results.trials[arm][name], metric)["all"] for arm in (*arms, results.base)}
        if runs[results.base].mean() <= 0:
            continue
        found = paired_means(runs, results.seed)
        for arm in arms:
            ratios[arm].append(float(runs[arm].mean() / runs[results.base].mean()))
        draws.append(found["synthetic"] / np.maximum(found[results.base], 1e-9))
    if not draws:
        return not_applicable(title, "it is 0 for models of real rows", ceiling=real)
    return judged(
        title,
        float(np.mean(ratios["synthetic"])),
        value=float(np.mean(results.panel("synthetic", metric=metric))),
        ceiling=real,
        controls={"independent": float(np.mean(ratios["independent"]))},
        interval=interval(np.mean(draws, axis=0)),
        note="mean of the ratios of " + ", ".join(results.averaged),
    )


def uplift(results: Results, arm: str, part: str = "all") -> dict[str, Any]:
    """What `arm` gains over the better of real rows and as many real rows again, in NDCG@10.

    Returns:
        rival, ndcg, gain (absolute), relative, interval (of relative), p (one-sided, not above 0) and `said`.
    """
    rivals = ("real", results.plans[arm].rival)
    panels = {name: results.panel(name, part) for name in (arm, *rivals)}
    means = {name: float(np.nanmean(panel)) for name, panel in panels.items()}
    best = max(rivals, key=lambda name: means[name])
    draws = paired_means(panels, results.seed)
    gains, scale = draws[arm] - draws[best], max(means[best], 1e-9)
    low, high = interval(gains / scale)
    gain = means[arm] - means[best]
    found = {"rival": best, "ndcg": means[arm], "gain": gain, "relative": gain / scale, "interval": [low, high]}
    said = "harm" if high < 0 else ("uplift" if low > 0 else "no measurable uplift")
    return found | {"p": p_not_above(gains), "said": said}


def judge_uplift(results: Results, part: str) -> Row:
    """U3 of the mixed set, over all users or in a slice."""
    title = UPLIFTS[part]
    known = ~np.isnan(results.panel("real", part)).any(axis=0)
    if known.sum() < MIN_USERS:
        return not_applicable(title, f"{known.sum()} users of the test are of the slice, fewer than {MIN_USERS}")
    ceiling = float(np.nanmean(results.panel("real", part)))
    if "mixed" not in results.plans:
        return not_applicable(title, results.no_mixed, ceiling=ceiling)
    found = uplift(results, "mixed", part)
    best = found["ndcg"] - found["gain"]
    if best <= 0:
        return not_applicable(title, "NDCG@10 of models of real rows is 0", ceiling=best)
    note = f"{found['said']}: {found['gain']:+.4f} NDCG@10 ({found['relative']:+.1%}) over {found['rival']} rows"
    low, high = found["interval"]
    return judged(title, low, value=found["ndcg"], ceiling=best, interval=(low, high), note=note)


def agreement(results: Results, seed: int) -> dict[str, Any]:
    """Kendall's tau-b of the recommenders' order by NDCG@10 on T and on S, its interval, and the figures."""
    arms, names = (results.base, "synthetic"), list(results.trials["synthetic"])
    runs = {arm: {name: results.trials[arm][name].ndcg["all"] for name in names} for arm in arms}
    means = {arm: {name: float(run.mean()) for name, run in of.items()} for arm, of in runs.items()}
    draws = [paired_means(runs[arm], seed, TAU_REPLICATES) for arm in arms]
    taus = [_tau(*[[drawn[name][number] for name in names] for drawn in draws]) for number in range(TAU_REPLICATES)]
    real, made = means[arms[0]], means[arms[1]]
    tau = _tau(list(real.values()), list(made.values()))
    return {"tau": tau, "interval": list(interval(np.array(taus))), "real": real, "synthetic": made}


def judge_agreement(results: Results) -> Row:
    """U4."""
    if "synthetic" not in results.plans:
        return not_applicable(AGREEMENT, "no synthetic rows")
    num = len(results.trials["real"])
    if num < LEAST_RECOMMENDERS:
        return not_applicable(AGREEMENT, f"{num} recommenders are fewer than {LEAST_RECOMMENDERS}")
    found = agreement(results, results.seed)
    if not np.isfinite(found["tau"]):
        return not_applicable(AGREEMENT, "the recommenders are all alike")
    low, high = found["interval"]
    return judged(AGREEMENT, found["tau"], interval=(low, high), note=f"of {num} recommenders")


def report_robustness(results: Results, cases: str, metric: Robust) -> Row:
    """R1: change of NDCG@10 or AUC of models of the mixed set, and of T alone, on other cases.

    The AUC is that of the rankings: the click model reads no histories, so that other items in them change nothing.
    """
    title = ROBUSTNESS[cases, metric]
    some = results.trials["real"][results.averaged[0]].others
    if cases not in some:
        return not_applicable(title, "the split has no part future, or too few users have events there")
    change = {arm: change_of(results, arm, cases, metric) for arm in ("real", "mixed") if arm in results.plans}
    if "mixed" not in change:
        return not_applicable(title, results.no_mixed, ceiling=change["real"])
    value, ceiling = change["mixed"], change["real"]
    return reported(title, value, ceiling=ceiling, note="less than trained on real rows alone" * (value > ceiling))


def change_of(results: Results, arm: str, cases: str, metric: Robust) -> float:
    """On other cases against the test's own: NDCG@10 over it, minus 1; AUC minus it."""
    there = float(np.nanmean(results.other(arm, cases, metric)))
    if metric == "auc":
        return there - float(np.nanmean(results.auc(arm)))
    return there / max(float(np.mean(results.panel(arm))), 1e-9) - 1.0


def report_diversity(results: Results, kind: str) -> Row:
    """D1: of recommendations by models of the mixed set, and of T alone."""
    title = DIVERSITY[kind]
    found = {
        arm: [results.trials[arm][name].lists.get(kind, np.nan) for name in results.averaged]
        for arm in ("real", "mixed")
        if arm in results.plans
    }
    ceiling = float(np.mean(found["real"]))
    if not np.isfinite(ceiling):
        return not_applicable(title, "items have no attributes that could be compared")
    if "mixed" not in found:
        return not_applicable(title, results.no_mixed, ceiling=ceiling)
    value = float(np.mean(found["mixed"]))
    return reported(title, value, ceiling=ceiling, note=f"{value - ceiling:+.4f} against real rows alone")


def _tau(one: list[float], other: list[float]) -> float:
    return float(kendalltau(one, other).statistic)

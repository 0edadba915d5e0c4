"""Where a picture's numbers stand in a report: those that a judge counted over all rows win over those of samples."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

OVERALL, RATIO_ARM = "mixed", " synthetic"  # names of the judge's arms: the mixed set, and T with a ratio of S


def popularity(report: Mapping[str, Any]) -> dict[str, Any]:
    """Side -> [[rank, share of events], ...]: F2's exact counts, else those of samples."""
    exact = report["details"].get("F2", {}).get("rank_frequency")
    sides: dict[str, Any] = exact or report["pictures"].get("popularity", {}).get("sides", {})
    return sides


def roc(report: Mapping[str, Any]) -> dict[str, Any]:
    """Attack -> [[false positive rate, true positive rate], ...], of P3."""
    attacks = report["details"].get("P3", {}).get("attacks", {})
    return {name: told["curve"] for name, told in attacks.items() if told.get("curve")}


def uplift(report: Mapping[str, Any]) -> dict[str, Any]:
    """`slices`, `operators` [{name, gain, low, high, n}], `ratios` [{ratio, gain, low, high}] and `sparsity`
    [{share, real, with_extra}], the last two {ndcg, interval}; gains are relative, in NDCG@10. Empty without a judge.
    """
    for detail in report["details"].values():
        if isinstance(detail, Mapping) and "uplifts" in detail:
            arms = [arm for arm in detail["uplifts"] if _is_known(arm, "relative")]
            return {
                "slices": list(_slices(arms, detail.get("slices", {}))),
                "ratios": [{"ratio": arm["ratio"], **_gain(arm)} for arm in arms if arm["arm"].endswith(RATIO_ARM)],
                "operators": [
                    {"name": arm["arm"].removeprefix("real + "), **_gain(arm)}
                    for arm in arms
                    if arm["arm"] != OVERALL and not arm["arm"].endswith(RATIO_ARM)
                ],
                "sparsity": [_known_arms(row) for row in detail.get("sparsity", [])],
            }
    return {}


def _slices(arms: Sequence[Mapping[str, Any]], sizes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for arm in arms:
        if arm["arm"] == OVERALL:
            parts = {"all": arm, **arm.get("slices", {})}
            for name, part in ((name, part) for name, part in parts.items() if _is_known(part, "relative")):
                shown = "all users" if name == "all" else name.replace("_", " ")
                yield {"name": shown, **_gain(part), "n": sizes.get(name, {}).get("users")}


def _known_arms(row: Mapping[str, Any]) -> dict[str, Any]:
    """A point of the sparsity curve without arms whose figure could not be said."""
    arms = {name: row[name] for name in ("real", "with_extra") if row.get(name) and _is_known(row[name], "ndcg")}
    return {"share": row["share"], **arms}


def _is_known(told: Mapping[str, Any], key: str) -> bool:
    """Whether a figure and its interval are numbers; JSON has null for what is none."""
    return None not in (told[key], *told["interval"])


def _gain(arm: Mapping[str, Any]) -> dict[str, float]:
    low, high = arm["interval"]
    return {"gain": arm["relative"], "low": low, "high": high}

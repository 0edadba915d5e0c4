"""What the stages before did, from the figures in their manifests: tables for a reader, counts and shares alone.

Each part is there only where its stage has something to say: no operators, no targets or no step, no table.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from clickweave.contracts.manifest import Manifest
from clickweave.contracts.tables import BLENDED, FEATURE_PREFIX, GENERATED, ORIGINS, REAL

_COPIES = {
    "copies": ("copies of real rows", "equal to a row of train in all that is generated, time included"),
    "copies_any_time": ("copies at any time", "the same without the time, where one real user alone has it"),
    "near": ("near copies", "rows nearer to a row of train than real rows of other users mostly are"),
}


def what_stages_did(manifests: Mapping[str, Manifest]) -> dict[str, Any]:
    """By stage (augment, sample, align, mix) what it did; JSON-able, without what does not apply."""
    parts: dict[str, Any] = {}
    if "augment" in manifests:
        parts["augment"] = augment_rows(manifests["augment"])
    if "sample" in manifests and "align" in manifests:
        parts["targets"] = target_rows(manifests["sample"], manifests["align"])
    if "align" in manifests:
        parts["align"] = align_rows(manifests["align"])
    if "mix" in manifests:
        parts["mix"] = mix_figures(manifests["mix"])
    return {name: part for name, part in parts.items() if part}


def augment_rows(augment: Manifest) -> list[dict[str, Any]]:
    """Per operator (or chain): real rows in, rows added, and real rows that it made nothing of."""
    left_out = augment.metrics.get("left_out", {})
    return [
        {"operator": name, "rows_in": augment.rows["in"], "added": augment.rows[name], "left_out": num}
        for name, num in left_out.items()
    ]


def target_rows(sample: Manifest, align: Manifest) -> list[dict[str, Any]]:
    """Per target: values it is about, their real events, what was asked, drawn, accepted, and left by align."""
    aligned = align.metrics.get("targets", {})
    return [
        {"number": number, **told, "aligned": aligned.get(str(number), 0)}
        for number, told in enumerate(sample.metrics.get("targets", []))
    ]


def align_rows(align: Manifest) -> list[dict[str, Any]]:
    """Per figure of a step: what it is, before, after, the real rows' figure (null for none), and what good is."""
    steps = align.metrics.get("steps", {})
    found = [*_calibrated(steps), *_refined(steps), *_private(steps.get("privacy", {}))]
    texts = align.metrics.get("replaced_texts", {})
    for name, num in texts.items():
        found.append(_row("privacy", f"texts few users wrote in {_plain(name)}", "count", num, 0, good="None is left."))
    if "weights" in steps:
        good = "After, weighed rows are hard to tell from real ones: near 0.5."
        found.append(_row("weights", "AUC of telling generated from real", "auc", *_both(steps["weights"]), good=good))
    return found


def mix_figures(mix: Manifest) -> dict[str, Any]:
    """Strategy, rows by origin, and synthetic rows per real one as asked (if the strategy asks) and made; with `auto`
    also the ratios tried, what was picked and why.
    """
    if "strategy" not in mix.metrics:
        return {}
    counts = {origin: mix.rows[origin] for origin in ORIGINS if origin in mix.rows}
    made = counts.get(GENERATED, 0) + counts.get(BLENDED, 0)
    figures: dict[str, Any] = {"strategy": mix.metrics["strategy"], "rows": counts}
    figures |= {key: mix.metrics[key] for key in ("asked", "ratio") if key in mix.metrics}
    if counts.get(REAL):
        figures["made"] = round(made / counts[REAL], 6)
    return figures


def _calibrated(steps: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    numbers = steps.get("numbers", {"before": {}, "after": {}})
    for name, before in numbers["before"].items():
        good = "After is near 0: quantiles are the real ones."
        what = f"distance of {_plain(name)} from real quantiles"
        yield _row("numbers", what, "distance", before, numbers["after"].get(name), good=good)
    labels = steps.get("labels")
    if labels is None:
        return
    told = {"overall": "error of the label rate", "by_position": "error of the label rate by position"}
    for key, what in told.items():
        good = "After is near 0: labels are as frequent as in the real log."
        yield _row("labels", what, "share", labels["before"][key], labels["after"][key], good=good)
    good = "Small: few labels had to change."
    yield _row("labels", "labels that were moved", "share", None, labels["moved_share"], good=good)


def _refined(steps: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if "refinement" in steps:
        step = steps["refinement"]
        gained = step["before"] - step["after"]
        good = f"After lies between the real figure (train's own) and before (a plain draw); gained {gained:.4f}."
        yield _row("refinement", "distance from reference", "distance", *_both(step), step["ceiling"], good=good)


def _private(steps: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, (what, about) in _COPIES.items():
        if "before" in steps.get(name, {}):
            step = steps[name]
            aim = "is no more than real" if "reference" in step else "is 0, since no real figure is known"
            good = f"After {aim}; {step['dropped']:,} of {step['copies']:,} such rows were dropped."
            yield _row("privacy", what, "share", *_both(step), step.get("reference"), good=good) | {"about": about}
    if "private_values" in steps:
        what, good = "values of few users, emptied", "None is left."
        yield _row("privacy", what, "count", *_both(steps["private_values"]), good=good)


def _both(step: Mapping[str, Any]) -> tuple[Any, Any]:
    return step["before"], step["after"]


def _row(
    step: str, what: str, unit: str, before: float | None, after: float | None, real: float | None = None, *, good: str
) -> dict[str, Any]:
    return {"step": step, "what": what, "unit": unit, "before": before, "after": after, "reference": real, "good": good}


def _plain(column: str) -> str:
    return column.removeprefix(FEATURE_PREFIX)

"""The whole evaluation as one JSON-able dict; page/render.py turns it into a page."""

import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

from clickweave.contracts.tables import REAL
from clickweave.evaluation import pictures
from clickweave.evaluation.gates import Judged, as_json
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.evaluation.metrics import METRICS, Evidence, never_blocking
from clickweave.evaluation.policy import apply_policy
from clickweave.evaluation.sequences.rhythm import measure_rhythm
from clickweave.evaluation.stage_figures import what_stages_did
from clickweave.evaluation.verdict import verdict

SCHEMA_VERSION = 1
LETTERS = "FURDP"  # fidelity, utility, robustness, diversity, privacy: the order of rows
Progress = Callable[[str], None]
_T = TypeVar("_T")


def build_report(inputs: EvaluationInputs, on_progress: Progress = lambda message: None) -> dict[str, Any]:
    """Judges S and the mixed set; every figure is a function of tables, recipe and seed alone, `seconds` excepted.

    Cost: the jobs and trainings that each judge in metrics.py states; at most 13 x `sample_rows` rows on the driver.
    """
    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], _T]) -> _T:
        on_progress(f"judging {name}")
        start = time.perf_counter()
        result = work()
        seconds[name] = round(time.perf_counter() - start, 2)
        return result

    evidence = timed("samples and counts", lambda: Evidence.gathered(inputs, on_progress))
    judged: dict[str, Judged] = {}
    for name, judge in METRICS.items():
        judged |= timed(name, lambda judge=judge: judge(evidence))  # type: ignore[misc]
    found = [row for rows, _ in judged.values() for row in rows]
    all_rows = sorted(found, key=lambda row: (LETTERS.index(row.id[0]), row.id))
    graded_only = never_blocking(inputs.schema, holds_real=evidence.origins.get(REAL, 0) > 0)
    rows = apply_policy(all_rows, inputs.config.gates, graded_only=graded_only)
    report: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "run": {key: value for key, value in inputs.run.items() if key != "stages"},
        "counts": evidence.table_sizes,
        "rows": [as_json(row) for row in rows],
        "details": {key: detail for key, (_, detail) in judged.items()},
        "sample": {"rows_a_side": evidence.samples.fidelity_rows, "seed": inputs.config.seed},
        "pictures": _pictures(evidence) | timed("rhythm", lambda: measure_rhythm(inputs)),
        "lineage": list(inputs.run.get("stages", [])),
        "stages": what_stages_did(inputs.manifests),
        "seconds": seconds,
    }
    report["verdict"] = verdict(report["rows"], evidence.origins)
    clean: dict[str, Any] = _finite(report)
    return clean


def _pictures(of: Evidence) -> dict[str, Any]:
    shown = {"train": of.sides.train, "synthetic": of.sides.synthetic, "holdout": of.sides.holdout}
    shown = {side: frame for side, frame in shown.items() if len(frame)}
    history = of.inputs.training.get("history", [])
    return {
        "scatter": pictures.scatter(of.samples, of.columns),
        "marginals": pictures.marginals(shown, of.columns) if "train" in shown else [],
        "popularity": pictures.popularity(shown),
        "losses": [epoch for epoch in history if isinstance(epoch, dict)],
    }


def _finite(value: Any) -> Any:
    """The same value with NaN and infinities as null, which JSON lacks, and keys as text."""
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""The whole evaluation as one JSON-able dict; render.py turns it into a page."""

import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

import pandas as pd
from pyspark.sql import functions as F

from clickweave.contracts.tables import REAL
from clickweave.evaluation import closeness, pictures, rare_values
from clickweave.evaluation.columns import Column, judged_columns
from clickweave.evaluation.detection import judge_detection
from clickweave.evaluation.fidelity import Sides, judge_pairs, judge_shapes
from clickweave.evaluation.gates import Row, apply_policy, as_json, blocking_failures, not_applicable
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.evaluation.membership import judge_membership
from clickweave.evaluation.privacy import graded_only, judge_copies
from clickweave.evaluation.rates import control_counts, count_labels, judge_rates
from clickweave.evaluation.rules import judge_rules
from clickweave.evaluation.samples import Samples, bootstrap_copy, draw_samples, independent_columns, take
from clickweave.evaluation.stage_figures import what_stages_did
from clickweave.evaluation.utility import Sizes, choose_target, judge_utility

SCHEMA_VERSION = 1
MIN_ROWS = 200  # fewer rows a side, and a comparison of samples is noise
Progress = Callable[[str], None]
Judged = tuple[list[Row], dict[str, Any]]
_T = TypeVar("_T")


def build_report(inputs: EvaluationInputs, on_progress: Progress = lambda message: None) -> dict[str, Any]:
    """Judges S and the mixed set; every figure is a function of tables, recipe and seed alone, `seconds` excepted.

    Cost: some 15 Spark jobs of one aggregate each over T, H, S and the mixed set, at most 6 x `sample_rows` rows on
    the driver, and the trainings of F4 and U1 there.
    """
    seconds: dict[str, float] = {}

    def timed(name: str, judge: Callable[[], _T]) -> _T:
        on_progress(f"judging {name}")
        start = time.perf_counter()
        result = judge()
        seconds[name] = round(time.perf_counter() - start, 2)
        return result

    schema, config = inputs.schema, inputs.config
    origins = timed("counts", lambda: _count_origins(inputs))
    samples = timed("samples", lambda: draw_samples(inputs))
    sides = _sides(samples)
    columns = [column for column in judged_columns(schema) if not samples.train[column.name].isna().all()]
    counts = timed("label counts", lambda: count_labels(inputs))
    rates = timed("F7", lambda: judge_rates(_with_controls(counts, sides, schema.num_levels), schema.num_levels))
    judged = {
        **timed("fidelity", lambda: _judge_fidelity(sides, columns, config.seed)),
        "F7": rates,
        "F8": _one(timed("F8", lambda: judge_rules(inputs))),
        "U1": timed("utility", lambda: _judge_utility(inputs, samples, counts, origins)),
        "P1": timed("P1", lambda: judge_copies(inputs, sides.independent)),
        "P2": timed("P2", lambda: closeness.judge_closeness(inputs)),
        "P3": timed("P3", lambda: judge_membership(inputs)),
        "P4": timed("P4", lambda: rare_values.judge_rare(inputs)),
    }
    graded = graded_only(schema) | closeness.GRADED_ONLY | rare_values.GRADED_ONLY
    rows = apply_policy([row for part, _ in judged.values() for row in part], config.gates, graded_only=graded)
    report: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "run": {key: value for key, value in inputs.run.items() if key != "stages"},
        "counts": _table_sizes(counts, origins),
        "rows": [as_json(row) for row in rows],
        "details": {key: detail for key, (_, detail) in judged.items()},
        "sample": {"rows_a_side": samples.fidelity_rows, "seed": config.seed},
        "pictures": _pictures(inputs, samples, sides, columns),
        "lineage": list(inputs.run.get("stages", [])),
        "stages": what_stages_did(inputs.manifests),
        "seconds": seconds,
    }
    report["verdict"] = {"publishable": not blocking_failures(report), "sentence": verdict_sentence(rows)}
    clean: dict[str, Any] = _finite(report)
    return clean


def verdict_sentence(rows: list[Row]) -> str:
    """The verdict in one sentence."""
    refused = [row for row in rows if row.refuses]
    marks = {grade: sum(row.grade == grade for row in rows) for grade in ("green", "amber", "red", "na")}
    tally = f"{marks['green']} meet the target, {marks['amber']} the gate, {marks['red']} neither"
    unsaid = f", {marks['na']} not applicable" if marks["na"] else ""
    uplift = next((row.note.split(":")[0] for row in rows if row.id == "U3" and row.grade != "na"), "")
    uplift = f"; for the mixed set the click model shows {uplift}" if uplift else ""
    if refused:
        named = ", ".join(f"{row.id} {row.name}" for row in refused)
        return f"Not to be published: {named} failed ({tally}{unsaid}{uplift})."
    return f"Nothing blocks a publication: of {len(rows)} figures {tally}{unsaid}{uplift}."


def _one(result: tuple[Row, dict[str, Any]]) -> Judged:
    return [result[0]], result[1]


def _sides(samples: Samples) -> Sides:
    rows, seed = samples.fidelity_rows, samples.seed
    real = take(samples.train, rows)
    return Sides(
        train=real,
        holdout=take(samples.holdout, rows),
        synthetic=take(samples.synthetic, rows),
        bootstrap=bootstrap_copy(real, rows, seed) if rows else real,
        independent=independent_columns(real, seed),
    )


def _judge_fidelity(sides: Sides, columns: list[Column], seed: int) -> dict[str, Judged]:
    """F1, F3 and F4, or why they cannot be said."""
    if len(sides.train) < MIN_ROWS:
        reason = f"{len(sides.train)} rows a side are fewer than {MIN_ROWS}"
        names = {"F1": "column shapes", "F3": "column pairs", "F4": "classifier on rows"}
        return {key: ([not_applicable(name, reason)], {}) for key, name in names.items()}
    return {
        "F1": _one(judge_shapes(sides, columns)),
        "F3": _one(judge_pairs(sides, columns)),
        "F4": _one(judge_detection(sides, columns, seed)),
    }


def _judge_utility(inputs: EvaluationInputs, samples: Samples, counts: pd.DataFrame, origins: dict[str, int]) -> Judged:
    total = _totals(counts, "train")
    reached = {level: int(total.get(f"reached_{level}", 0)) for level in range(1, inputs.schema.num_levels + 1)}
    target = choose_target(reached, int(total.get("rows", 0)), samples.holdout)
    extra = sum(count for origin, count in origins.items() if origin != REAL)
    num_real = origins.get(REAL, 0)
    ratio = extra / num_real if num_real else 0.0
    sizes = Sizes(int(total.get("rows", 0)), ratio, holds_real=num_real > 0 or not extra)
    return judge_utility(samples, inputs.schema, target, sizes, inputs.config.utility_seeds)


def _with_controls(counts: pd.DataFrame, sides: Sides, num_levels: int) -> pd.DataFrame:
    return pd.concat([counts, control_counts(sides, num_levels)], ignore_index=True)


def _count_origins(inputs: EvaluationInputs) -> dict[str, int]:
    """Rows of the mixed set by origin. One aggregate."""
    rows = inputs.mixed.groupBy("origin").agg(F.count(F.lit(1)).alias("rows")).orderBy("origin").collect()
    return {str(row["origin"]): int(row["rows"]) for row in rows}


def _totals(counts: pd.DataFrame, side: str) -> dict[str, float]:
    rows = counts[(counts["side"] == side) & counts["position"].isna()]
    return {} if rows.empty else {str(key): value for key, value in rows.iloc[0].items() if key != "side"}


def _table_sizes(counts: pd.DataFrame, origins: dict[str, int]) -> dict[str, Any]:
    sizes = {side: int(_totals(counts, side).get("rows", 0)) for side in ("train", "holdout", "synthetic")}
    return {**sizes, "mixed": sum(origins.values()), "mixed_by_origin": origins}


def _pictures(inputs: EvaluationInputs, samples: Samples, sides: Sides, columns: list[Column]) -> dict[str, Any]:
    shown = {"train": sides.train, "synthetic": sides.synthetic, "holdout": sides.holdout}
    shown = {side: frame for side, frame in shown.items() if len(frame)}
    history = inputs.training.get("history", [])
    return {
        "scatter": pictures.scatter(samples, columns),
        "marginals": pictures.marginals(shown, columns) if "train" in shown else [],
        "losses": [epoch for epoch in history if isinstance(epoch, dict)],
    }


def _finite(value: Any) -> Any:
    """The same value with NaN and infinities as null, which JSON lacks, and keys as text."""
    if isinstance(value, dict):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

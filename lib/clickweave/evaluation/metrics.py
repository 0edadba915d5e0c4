"""The registry of figures: what computes which rows of the report, and from what. One entry per family of figures.

A judge answers {key of `details`: (rows, detail)}. It is a pure function of `Evidence`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import REAL
from clickweave.evaluation.columns import Column, judged_columns
from clickweave.evaluation.detection import judge_detection
from clickweave.evaluation.fidelity import Sides, judge_pairs, judge_shapes
from clickweave.evaluation.gates import Judged, Row, not_applicable
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.evaluation.privacy import closeness, rare_values
from clickweave.evaluation.privacy.copies import graded_only, judge_copies
from clickweave.evaluation.privacy.membership import AUC, TPR, judge_membership
from clickweave.evaluation.ranking.figures import SLICE_ROWS
from clickweave.evaluation.ranking.utility import judge_ranking
from clickweave.evaluation.rates import control_counts, count_labels, judge_rates
from clickweave.evaluation.rules import judge_rules
from clickweave.evaluation.samples import Samples, bootstrap_copy, draw_samples, independent_columns, take
from clickweave.evaluation.sequences.behaviour import judge_behaviour
from clickweave.evaluation.sequences.controls import redraw_sample
from clickweave.evaluation.utility import Sizes, choose_target, judge_utility

MIN_ROWS = 200  # fewer rows a side, and a comparison of samples is noise
HOLDS_REAL = "graded only, as the mixed set holds real users' own rows"


@dataclass(frozen=True)
class Evidence:
    """What figures are computed from.

    Attributes:
        samples: bounded frames on the driver; sides: of them what is compared, of equal size, and the controls.
        columns: those that are judged.
        counts: labels by side and position, over all rows (rates.py).
        origins: rows of the mixed set by origin.
        on_progress: told what a long judge is at.
    """

    inputs: EvaluationInputs
    samples: Samples
    sides: Sides
    columns: list[Column]
    counts: pd.DataFrame
    origins: dict[str, int]
    on_progress: Callable[[str], None]

    @classmethod
    def gathered(cls, inputs: EvaluationInputs, on_progress: Callable[[str], None]) -> "Evidence":
        """Three jobs: origins of the mixed set, samples, label counts."""
        samples = draw_samples(inputs)
        columns = [c for c in judged_columns(inputs.schema) if not samples.train[c.name].isna().all()]
        sides = _sides(samples, inputs.schema)
        return cls(inputs, samples, sides, columns, count_labels(inputs), _count_origins(inputs), on_progress)

    @property
    def table_sizes(self) -> dict[str, Any]:
        """Rows of each table."""
        sizes = {side: int(self._total(side).get("rows", 0)) for side in ("train", "holdout", "synthetic")}
        return {**sizes, "mixed": sum(self.origins.values()), "mixed_by_origin": self.origins}

    def _total(self, side: str) -> dict[str, float]:
        rows = self.counts[(self.counts["side"] == side) & self.counts["position"].isna()]
        return {} if rows.empty else {str(key): value for key, value in rows.iloc[0].items() if key != "side"}


def _sides(samples: Samples, schema: SchemaConfig) -> Sides:
    rows, seed = samples.fidelity_rows, samples.seed
    real = take(samples.train, rows)
    return Sides(
        train=real,
        holdout=take(samples.holdout, rows),
        synthetic=take(samples.synthetic, rows),
        bootstrap=bootstrap_copy(real, rows, seed) if rows else real,
        independent=independent_columns(real, seed),
        markov=redraw_sample(real, seed) if schema.item is not None else None,
    )


def _count_origins(inputs: EvaluationInputs) -> dict[str, int]:
    rows = inputs.mixed.groupBy("origin").agg(F.count(F.lit(1)).alias("rows")).orderBy("origin").collect()
    return {str(row["origin"]): int(row["rows"]) for row in rows}


def _fidelity(of: Evidence) -> dict[str, Judged]:
    """F1, F3 and F4, or why they cannot be said."""
    if len(of.sides.train) < MIN_ROWS:
        reason = f"{len(of.sides.train)} rows a side are fewer than {MIN_ROWS}"
        names = {"F1": "column shapes", "F3": "column pairs", "F4": "classifier on rows"}
        return {key: ([not_applicable(name, reason)], {}) for key, name in names.items()}
    return {
        "F1": _one(judge_shapes(of.sides, of.columns)),
        "F3": _one(judge_pairs(of.sides, of.columns)),
        "F4": _one(judge_detection(of.sides, of.columns, of.inputs.config.seed)),
    }


def _rates(of: Evidence) -> dict[str, Judged]:
    num_levels = of.inputs.schema.num_levels
    counts = pd.concat([of.counts, control_counts(of.sides, num_levels)], ignore_index=True)
    return {"F7": judge_rates(counts, num_levels)}


def _click_model(of: Evidence) -> dict[str, Judged]:
    schema, total = of.inputs.schema, of._total("train")
    num_train, num_real = int(total.get("rows", 0)), of.origins.get(REAL, 0)
    reached = {level: int(total.get(f"reached_{level}", 0)) for level in range(1, schema.num_levels + 1)}
    target = choose_target(reached, num_train, of.samples.holdout)
    extra = sum(of.origins.values()) - num_real
    sizes = Sizes(num_train, extra / num_real if num_real else 0.0, holds_real=num_real > 0 or not extra)
    return {"U1": judge_utility(of.samples, schema, target, sizes, of.inputs.config.utility_seeds)}


def _membership(of: Evidence) -> dict[str, Judged]:
    rows, detail = judge_membership(of.inputs)
    if of.origins.get(REAL):
        rows = [row if row.grade == "na" else replace(row, note=f"{row.note}; {HOLDS_REAL}") for row in rows]
    return {"P3": (rows, detail)}


def _one(result: tuple[Row, dict[str, Any]]) -> Judged:
    return [result[0]], result[1]


METRICS: dict[str, Callable[[Evidence], dict[str, Judged]]] = {
    "columns and rows (F1, F3, F4)": _fidelity,
    "items and histories (F2, F5, F6)": lambda of: judge_behaviour(of.inputs),
    "label rates (F7)": _rates,
    "hard rules (F8)": lambda of: {"F8": _one(judge_rules(of.inputs))},
    "click model (U1, U3)": _click_model,
    "rankings (U2 to U4, D1, R1)": lambda of: {"ranking": judge_ranking(of.inputs, of.on_progress)},
    "copies (P1)": lambda of: {"P1": judge_copies(of.inputs, of.sides.independent)},
    "nearest rows (P2)": lambda of: {"P2": closeness.judge_closeness(of.inputs)},
    "membership (P3)": _membership,
    "values of few users (P4)": lambda of: {"P4": rare_values.judge_rare(of.inputs)},
}


def never_blocking(schema: SchemaConfig, *, holds_real: bool) -> frozenset[str]:
    """Names of figures that refuse nothing unless a recipe says so, though their id does.

    Args:
        holds_real: whether the mixed set holds real rows, and so gives away who was there itself.
    """
    graded = graded_only(schema) | SLICE_ROWS | closeness.GRADED_ONLY | rare_values.GRADED_ONLY
    return frozenset(graded | {AUC, TPR}) if holds_real else frozenset(graded)

"""F7: is the label as frequent as in the real log, overall and by position? Counted on Spark over all rows.

Held against T, not H: T is what the generator was told, and over all rows its rate is the sharpest estimate of the
law's. The ceiling is the same error of H, real rows of other users.
"""

from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.evaluation.fidelity import Sides
from clickweave.evaluation.gates import Row, judged, not_applicable
from clickweave.evaluation.inputs import EvaluationInputs

MAX_POSITIONS = 100  # a position counts where it holds at least 1 % of T, so there are never more
_KEYS = ["side", "position"]


def count_labels(inputs: EvaluationInputs) -> pd.DataFrame:
    """Columns side, position (NaN: the sum over all), rows, and reached_k: rows with a label of at least k.

    Cost: one job over T, H and S, one shuffle of counts; at most 3 x (MAX_POSITIONS + 1) rows reach the driver.
    """
    sides = {"train": inputs.train, "holdout": inputs.holdout, "synthetic": inputs.synthetic}
    levels = range(1, inputs.schema.num_levels + 1)
    named = [
        df.select(F.lit(side).alias("side"), F.col("position").cast("long"), F.col("label").cast("long"))
        for side, df in sides.items()
    ]
    reached = [F.sum((F.col("label") >= level).cast("long")).alias(f"reached_{level}") for level in levels]
    rows = reduce(DataFrame.unionByName, named)
    total = rows.groupBy("side").agg(F.count(F.lit(1)).alias("rows"), *reached)
    total = total.withColumn("position", F.lit(None).cast("long"))
    if inputs.schema.position is None:
        return _tidy(total.toPandas())
    placed = rows.where(F.col("position").isNotNull()).groupBy(*_KEYS).agg(F.count(F.lit(1)).alias("rows"), *reached)
    known = placed.where("side = 'train'").orderBy(F.desc("rows"), "position").limit(MAX_POSITIONS).select("position")
    return _tidy(placed.join(known, on="position", how="left_semi").unionByName(total).toPandas())


def _tidy(counts: pd.DataFrame) -> pd.DataFrame:
    return counts.fillna({name: 0 for name in counts.columns if name != "position"}).sort_values(_KEYS)


def control_counts(sides: Sides, num_levels: int) -> pd.DataFrame:
    """The same table for the controls, from their sample frames."""
    tables = []
    for side, frame in (("bootstrap", sides.bootstrap), ("independent", sides.independent)):
        reached = {f"reached_{level}": (frame["label"] >= level).astype(int) for level in range(1, num_levels + 1)}
        rows = pd.DataFrame({"position": frame["position"], "rows": 1, **reached})
        total = rows.drop(columns="position").sum().to_frame().T.assign(position=np.nan)
        by_position = rows.groupby("position", as_index=False).sum()
        tables.append(pd.concat([total, by_position], ignore_index=True).assign(side=side))
    return pd.concat(tables, ignore_index=True)


def judge_rates(counts: pd.DataFrame, num_levels: int) -> tuple[list[Row], dict[str, Any]]:
    """F7's three rows, and the curve by position. `counts` as `count_labels` and `control_counts` give it."""
    totals = counts[counts["position"].isna()].set_index("side")
    rates = {side: _rates(row, num_levels) for side, row in totals.iterrows()}
    overall = {str(side): relative_error(rate, rates["train"]) for side, rate in rates.items() if "train" in rates}
    rows = [_row("label rate", overall, "every row, or none, has each label")]
    curves = position_curves(counts)
    if curves.empty:
        reason = "the log has no position"
        rows += [not_applicable(name, reason) for name in ("label rate by position", "position curve")]
    else:
        weights = counts[counts["side"] == "train"].set_index("position")["rows"].reindex(curves.index)
        rows.append(_row("label rate by position", _weighted_errors(curves, weights), "no labels at any position"))
        rows.append(_row("position curve", _curve_errors(curves), "no labels at any position"))
    curve = {
        str(side): [[int(str(place)), float(rate)] for place, rate in values.dropna().items()]
        for side, values in curves.items()
    }
    return rows, {"rates": {str(side): rate.tolist() for side, rate in rates.items()}, "curves": curve}


def _rates(row: pd.Series, num_levels: int) -> np.ndarray:
    reached = row[[f"reached_{level}" for level in range(1, num_levels + 1)]].to_numpy(dtype=float)
    return reached / max(float(row["rows"]), 1.0)


def relative_error(rate: np.ndarray, real: np.ndarray) -> float | None:
    """Sum of absolute errors over the sum of real rates, over levels that some but not all real rows reach."""
    told = (real > 0) & (real < 1)
    return float(np.abs(rate - real)[told].sum() / real[told].sum()) if told.any() else None


def position_curves(counts: pd.DataFrame) -> pd.DataFrame:
    """Share of rows with a label of at least 1, by position (index) and side (columns), where T has >= 1 % of rows."""
    placed = counts[counts["position"].notna()]
    train = placed[placed["side"] == "train"]
    kept = train.loc[train["rows"] >= 0.01 * train["rows"].sum(), "position"]
    placed = placed[placed["position"].isin(kept)].assign(position=lambda rows: rows["position"].astype("int64"))
    rates = placed.assign(rate=placed["reached_1"] / placed["rows"])
    return rates.pivot(index="position", columns="side", values="rate")


def _weighted_errors(curves: pd.DataFrame, weights: pd.Series) -> dict[str, float | None]:
    real = (curves["train"] * weights).sum()
    if real == 0:
        return {}
    errors = {str(side): (curve.fillna(0) - curves["train"]).abs() for side, curve in curves.items()}
    return {side: float((error * weights).sum() / real) for side, error in errors.items()}


def _curve_errors(curves: pd.DataFrame) -> dict[str, float | None]:
    peak = curves["train"].max()
    if not peak > 0:
        return {}
    return {str(side): float((curve.fillna(0) - curves["train"]).abs().max() / peak) for side, curve in curves.items()}


def _row(name: str, errors: dict[str, float | None], empty: str) -> Row:
    ceiling = errors.get("holdout")
    score = errors.get("synthetic")
    if errors.get("train") is None:
        return not_applicable(name, empty)
    if score is None:
        return not_applicable(name, "no synthetic rows", ceiling=ceiling)
    controls = {side: errors.get(side) for side in ("bootstrap", "independent")}
    return judged(name, score, ceiling=ceiling, controls=controls)

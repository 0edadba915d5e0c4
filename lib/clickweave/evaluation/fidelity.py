"""F1 and F3: do single columns, and pairs of them, look like those of real rows? Pure functions of sample frames.

Both compare with the holdout, and both are judged by their ratio to what other real rows (T) reach against the same
holdout, because two real samples of one law never agree wholly.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from clickweave.evaluation.columns import MAX_VALUES, Column, as_text, frequent_values, value_codes
from clickweave.evaluation.gates import Row, judged, not_applicable

NUM_BINS = 10  # deciles of T for numbers; values keep the 19 most frequent and one for the others
_MAX_CODES = 20


@dataclass(frozen=True)
class Sides:
    """Sample frames of equal size: real (T), holdout (H), synthetic (S; may be empty) and controls; markov may lack."""

    train: pd.DataFrame
    holdout: pd.DataFrame
    synthetic: pd.DataFrame
    bootstrap: pd.DataFrame
    independent: pd.DataFrame
    markov: pd.DataFrame | None = None

    @property
    def judged(self) -> dict[str, pd.DataFrame]:
        """What is held against H, by name; S only where there is one."""
        sides = {"train": self.train, "bootstrap": self.bootstrap, "independent": self.independent}
        sides |= {} if self.markov is None else {"markov": self.markov}
        return {**sides, "synthetic": self.synthetic} if len(self.synthetic) else sides


def total_variation(left: np.ndarray, right: np.ndarray) -> float:
    """Half the L1 distance of two vectors of counts over the same cells, each scaled to sum 1; in [0, 1]."""
    return float(np.abs(left / max(left.sum(), 1) - right / max(right.sum(), 1)).sum() / 2)


def kolmogorov_smirnov(left: np.ndarray, right: np.ndarray) -> float:
    """Largest distance of the two distribution functions, in [0, 1]; null (NaN) counts as below every number."""
    left, right = (np.sort(np.where(np.isnan(side), -np.inf, side)) for side in (left, right))
    at = np.unique(np.concatenate([left, right]))
    shares = [np.searchsorted(side, at, side="right") / max(len(side), 1) for side in (left, right)]
    return float(np.abs(shares[0] - shares[1]).max(initial=0.0))


def column_similarity(left: pd.Series, right: pd.Series, column: Column) -> float:
    """1 - TV for values and for numbers with few distinct ones, else 1 - KS; 1 is alike."""
    few = pd.concat([left, right]).nunique() <= MAX_VALUES
    if column.kind == "number" and not few:
        return 1 - kolmogorov_smirnov(left.to_numpy(dtype=float), right.to_numpy(dtype=float))
    counts = [as_text(side).value_counts() for side in (left, right)]
    cells = counts[0].index.union(counts[1].index)
    return 1 - total_variation(*(count.reindex(cells, fill_value=0).to_numpy(dtype=float) for count in counts))


def shape_columns(sides: Sides, columns: list[Column]) -> list[Column]:
    """Columns that F1 judges: of the event or its time, low-cardinality or ordered, and not constant everywhere."""
    chosen = []
    for column in columns:
        frames = [*sides.judged.values(), sides.holdout]
        distinct = len(set().union(*(as_text(frame[column.name]).unique() for frame in frames)))
        few = column.kind == "number" or sides.train[column.name].nunique() <= MAX_VALUES
        if column.role in ("event", "time") and column.name != "weekday" and distinct > 1 and few:
            chosen.append(column)
    return chosen


def judge_shapes(sides: Sides, columns: list[Column]) -> tuple[Row, dict[str, Any]]:
    """F1 and, per column, the similarity of each side with H."""
    chosen = shape_columns(sides, columns)
    table = {
        column.title: {
            side: column_similarity(frame[column.name], sides.holdout[column.name], column)
            for side, frame in sides.judged.items()
        }
        for column in chosen
    }
    return _judge("column shapes", table, "every column is constant or has too many values"), {"columns": table}


def judge_pairs(sides: Sides, columns: list[Column]) -> tuple[Row, dict[str, Any]]:
    """F3 and, per pair of columns, the similarity of each side with H.

    An item (or query) stands as the decile of its popularity in T and as its first categorical attribute, a user as
    theirs; numbers as deciles of T.
    """
    chosen = pair_columns(columns)
    frames = {**sides.judged, "holdout": sides.holdout}
    codes = {name: {c.name: _codes(side[c.name], c, sides.train) for c in chosen} for name, side in frames.items()}
    varied = [c for c in chosen if any(len(np.unique(side[c.name])) > 1 for side in codes.values())]
    table = {}
    for left, right in combinations(varied, 2):
        cells = {name: _cells(side[left.name], side[right.name]) for name, side in codes.items()}
        table[f"{left.title} x {right.title}"] = {
            name: 1 - total_variation(cells[name], cells["holdout"]) for name in sides.judged
        }
    worst = sorted(table, key=lambda pair: (table[pair].get("synthetic", 0.0) - table[pair]["train"], pair))[:8]
    row = _judge("column pairs", table, "fewer than two columns vary")
    return row, {"pairs": len(table), "worst": {pair: table[pair] for pair in worst}}


def pair_columns(columns: list[Column]) -> list[Column]:
    """Event columns, time, popularity, and of the attributes of an item and a user the first categorical one each."""
    first: dict[str, Column] = {}
    for column in columns:
        if column.role in ("item", "user") and column.kind == "values":
            first.setdefault(column.role, column)
    return [c for c in columns if c.role in ("event", "time", "count")] + list(first.values())


def _codes(values: pd.Series, column: Column, train: pd.DataFrame) -> np.ndarray:
    """int64 codes in [0, _MAX_CODES): frequent values, or deciles of T with 0 for null."""
    fitted = train[column.name]
    if column.kind == "values" or fitted.nunique() < NUM_BINS:
        return value_codes(values, frequent_values(fitted, _MAX_CODES - 1))
    edges = np.unique(np.nanquantile(fitted.to_numpy(dtype=float), np.linspace(0, 1, NUM_BINS + 1)[1:-1]))
    numbers = values.to_numpy(dtype=float)
    return np.where(np.isnan(numbers), 0, 1 + np.searchsorted(edges, numbers, side="right")).astype(np.int64)


def _cells(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.bincount(left * _MAX_CODES + right, minlength=_MAX_CODES**2).astype(float)


def _judge(name: str, table: dict[str, dict[str, float]], empty: str) -> Row:
    """The row of a mean over `table`: {part: {side: similarity}}, judged by its ratio to T's."""
    if not table:
        return not_applicable(name, empty)
    means = {side: float(np.mean([part[side] for part in table.values()])) for side in next(iter(table.values()))}
    ceiling = means.pop("train")
    if "synthetic" not in means:
        return not_applicable(name, "no synthetic rows", ceiling=ceiling)
    ratios: dict[str, float | None] = {side: mean / ceiling for side, mean in means.items()}
    value, ratio = means["synthetic"], means["synthetic"] / ceiling
    ratios.pop("synthetic")
    return judged(name, ratio, value=value, ceiling=ceiling, controls=ratios, note="judged as share of the ceiling")

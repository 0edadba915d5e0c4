"""The numbers behind the report's pictures, as plain JSON; what they look like is for page/charts."""

from typing import Any

import numpy as np
import pandas as pd

from clickweave.evaluation.columns import Column, as_text, frequent_values, value_codes
from clickweave.evaluation.samples import Samples

SCATTER_POINTS = 600  # points per kind
_MAX_ONE_HOT = 8
_NUM_STEPS = 30
OTHERS = "all others"


def scatter(samples: Samples, columns: list[Column]) -> dict[str, Any]:
    """Rows in two dimensions: PCA fitted on standardised features of real rows (T), applied to every kind.

    Numbers stand as they are (null: T's mean), values as up to 8 indicators. Returns `kinds` {kind: [[x, y], ...]},
    `explained` (share of T's variance on each axis) and `window` (where 99 % of the points of T and S lie).
    """
    fitted = samples.train
    features = _standardised(columns, fitted)
    base = features(fitted)
    if len(base) < 3 or base.shape[1] < 2:
        return {"kinds": {}, "explained": [], "window": []}
    _, singular, axes = np.linalg.svd(base, full_matrices=False)
    axes = axes[:2] * np.where(axes[:2].sum(axis=1, keepdims=True) < 0, -1, 1)
    augmented = samples.extra[samples.extra["origin"] == "augmented"]
    frames = {"real": fitted, "generated": samples.synthetic, "mixed": samples.mixed, "augmented": augmented}
    kinds = {
        kind: np.round(features(frame.head(SCATTER_POINTS)) @ axes.T, 3) for kind, frame in frames.items() if len(frame)
    }
    seen = np.concatenate([kinds[kind] for kind in ("real", "generated") if kind in kinds])
    window = np.quantile(seen, [0.0025, 0.9975], axis=0).T
    explained = singular[:2] ** 2 / max(float((singular**2).sum()), 1e-12)
    return {
        "kinds": {kind: points.tolist() for kind, points in kinds.items()},
        "explained": explained.tolist(),
        "window": window.tolist(),
    }


def _standardised(columns: list[Column], fitted: pd.DataFrame) -> Any:
    """A function frame -> (rows, features) array, centred and scaled as `fitted` is; constant features are 0."""
    known = {c.name: frequent_values(fitted[c.name], _MAX_ONE_HOT) for c in columns if c.kind == "values"}

    def raw(frame: pd.DataFrame) -> np.ndarray:
        parts = []
        for column in columns:
            if column.kind == "number":
                parts.append(frame[column.name].to_numpy(dtype=float)[:, None])
            else:
                parts.append(np.eye(_MAX_ONE_HOT + 1)[value_codes(frame[column.name], known[column.name])])
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(frame), 0))

    base = raw(fitted)
    filled = np.isfinite(base).sum(axis=0)
    mean = np.where(filled, np.nansum(base, axis=0) / np.maximum(filled, 1), 0.0)
    spread = np.sqrt(np.nansum((base - mean) ** 2, axis=0) / np.maximum(filled, 1))
    scale = np.where(spread > 1e-9, 1 / np.maximum(spread, 1e-9), 0.0)
    return lambda frame: np.nan_to_num((raw(frame) - mean) * scale)


def marginals(sides: dict[str, pd.DataFrame], columns: list[Column]) -> list[dict[str, Any]]:
    """Per column the shares of each side: over the 12 most frequent values of `train`, or over 30 equal steps.

    Steps span the central 99 % of T's values; what lies outside counts in the outermost step. Bars tell in `users` how
    many entities of T have each value.
    """
    found = []
    for column in columns:
        values = sides["train"][column.name]
        if as_text(values).nunique() < 2:
            continue
        picture = _steps(column, sides) if column.kind == "number" and values.nunique() > 20 else _bars(column, sides)
        found.append({"title": column.title, **picture})
    return found


def popularity(sides: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """Rank and share of events of items, most popular first, per side; some 40 ranks, even on a log scale.

    Under `rows` is the size of each sample; the shares of few events are noise.
    """
    found = {}
    for side, frame in sides.items():
        counts = np.sort(frame["item_id"].dropna().value_counts().to_numpy())[::-1]
        if len(counts) > 1:
            ranks = np.unique(np.round(np.geomspace(1, len(counts), 40)).astype(int))
            found[side] = [[int(rank), float(counts[rank - 1] / counts.sum())] for rank in ranks]
    return (
        {"sides": found, "rows": {side: int(sides[side]["item_id"].notna().sum()) for side in found}} if found else {}
    )


def _bars(column: Column, sides: dict[str, pd.DataFrame]) -> dict[str, Any]:
    known = frequent_values(sides["train"][column.name], 12)
    if column.kind == "number" or column.name in ("label", "weekday"):
        known = sorted(known, key=_by_number)
    shares = {}
    for side, frame in sides.items():
        counts = np.bincount(value_codes(frame[column.name], known), minlength=len(known) + 1)
        shares[side] = (counts / max(len(frame), 1)).tolist()
    others = any(share[-1] > 0 for share in shares.values())
    kept = len(known) + 1 if others else len(known)
    names = [*known, OTHERS][:kept]
    real = sides["train"]
    users = real["entity_id"].groupby(as_text(real[column.name])).nunique()
    held = [0 if name == OTHERS else int(users[name]) for name in names]  # all others: no value of its own
    return {
        "kind": "bars",
        "names": names,
        "users": held,
        "shares": {side: share[:kept] for side, share in shares.items()},
    }


def _by_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return float("inf"), text


def _steps(column: Column, sides: dict[str, pd.DataFrame]) -> dict[str, Any]:
    low, high = np.nanquantile(sides["train"][column.name].to_numpy(dtype=float), [0.005, 0.995])
    if column.name == "hour":
        low, high = 0.0, 24.0
    edges = np.linspace(low, max(high, low + 1e-9), _NUM_STEPS + 1)
    shares = {}
    for side, frame in sides.items():
        numbers = frame[column.name].to_numpy(dtype=float)
        known = np.clip(numbers[~np.isnan(numbers)], edges[0], edges[-1])
        shares[side] = (np.histogram(known, edges)[0] / max(len(numbers), 1)).tolist()
    return {"kind": "steps", "edges": edges.tolist(), "shares": shares, "is_day": column.name == "day"}

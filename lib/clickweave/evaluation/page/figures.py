"""Figures as a reader sees them: units, separators, dashes and directions."""

from collections.abc import Mapping
from typing import Any

SIDES = {"train": "real", "synthetic": "generated", "holdout": "holdout"}
_NONE = "\N{EN DASH}"
_VALUE_UNITS = {"P1": "share", "U1": "auc", "U3": "auc", "F4": "auc"}  # whose value is not in the unit of its score


def figure(value: float | None, unit: str = "number") -> str:
    """A figure for a reader: shares in per cent, AUC and distances with four decimals, a dash for none."""
    if value is None:
        return _NONE
    if unit == "share":
        return f"{value:.2%}" if abs(value) < 0.9995 or value >= 1 else f"{value:.4%}"
    if unit in ("auc", "distance"):
        return f"{value:.4f}"
    if unit == "count":
        return thousands(value)
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def value_unit(row: Mapping[str, Any]) -> str:
    """The unit of a row's value and ceiling, which may differ from that of its score."""
    return _VALUE_UNITS.get(row["id"], row["unit"])


def bound(row: Mapping[str, Any], which: str) -> str:
    """A gate or target (or what a recipe replaced: default_gate, default_target) with its direction."""
    value = row[which]
    if value is None or row["grade"] == "reported":  # no gate judges what is only reported
        return _NONE
    sign = "≥" if row["better"] == "high" else "≤"
    return f"{sign} {value * 100:g}%" if row["unit"] == "share" else f"{sign} {value:g}"


def thousands(value: float | None) -> str:
    """A count with separators."""
    return _NONE if value is None else f"{value:,.0f}"

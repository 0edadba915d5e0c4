"""What may lie beside a shareable version: the report without single real rows, manifests without what was fitted.

Left out are the points of the scatter, values that few users have, and bars of few rows; what stays are counts, shares
and scores over many users. The report of the stage itself keeps everything.
"""

from collections.abc import Mapping
from typing import Any

from clickweave.evaluation.pictures import OTHERS

LEFT_OUT = (
    "This copy of the report lies beside a version that may be shared: points of single rows, values of few users and "
    "bars of few rows are left out."
)
_NO_SCATTER: dict[str, Any] = {"kinds": {}, "explained": [], "window": []}


def without_single_rows(report: Mapping[str, Any], *, min_users: int) -> dict[str, Any]:
    """The report without what tells of fewer than `min_users` real users (or, in bars of numbers, rows)."""
    pictures, rows = report["pictures"], report["sample"]["rows_a_side"]
    marginals = [
        _frequent(picture, min_users) if picture["kind"] == "bars" else _coarse(picture, min_users, rows)
        for picture in pictures["marginals"]
    ]
    counted = {
        "popularity": _frequent_ranks(pictures.get("popularity", {}), min_users),
        "rhythm": {name: _frequent_steps(one, min_users) for name, one in pictures.get("rhythm", {}).items()},
        "flow": _frequent_steps(pictures.get("flow", {}), min_users),
    }
    shown = {**pictures, **counted, "scatter": _NO_SCATTER, "marginals": marginals}
    run = {key: told for key, told in report["run"].items() if key != "settings"}  # a target may name a real value
    return {**report, "run": run, "pictures": shown, "left_out": LEFT_OUT}


def without_fitted(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest without what its stage read off real rows: extremes, quantiles, first and last times."""
    return {name: value for name, value in manifest.items() if name != "fitted"}


def _frequent(picture: Mapping[str, Any], min_users: int) -> dict[str, Any]:
    """Bars with the values of few users among all others."""
    few = [name == OTHERS or held < min_users for name, held in zip(picture["names"], picture["users"], strict=True)]
    if not any(few):
        return dict(picture)
    kept = [name for name, is_few in zip(picture["names"], few, strict=True) if not is_few]
    shares = {}
    for side, share in picture["shares"].items():
        parts = list(zip(share, few, strict=True))
        shares[side] = [part for part, is_few in parts if not is_few] + [sum(part for part, is_few in parts if is_few)]
    users = [held for held, is_few in zip(picture["users"], few, strict=True) if not is_few]
    return {**picture, "names": [*kept, OTHERS], "users": [*users, 0], "shares": shares}


def _coarse(picture: Mapping[str, Any], min_rows: int, rows: int) -> dict[str, Any]:
    """Steps with edges of four digits (days: whole ones) and nothing where few real rows lie."""
    edges = [round(edge) if picture["is_day"] else float(f"{edge:.4g}") for edge in picture["edges"]]
    shares = {
        side: share if side == "synthetic" else [part if part * rows >= min_rows else 0.0 for part in share]
        for side, share in picture["shares"].items()
    }
    return {**picture, "edges": edges, "shares": shares}


def _frequent_ranks(picture: Mapping[str, Any], min_rows: int) -> dict[str, Any]:
    """Popularity without the ranks of real items that few rows of the sample have."""
    sides = {
        side: points
        if side == "synthetic"
        else [[rank, share] for rank, share in points if share * picture["rows"][side] >= min_rows]
        for side, points in picture.get("sides", {}).items()
    }
    return {**picture, "sides": sides} if sides else dict(picture)


def _frequent_steps(picture: Mapping[str, Any], min_rows: int) -> dict[str, Any]:
    """Histograms and matrices of counts over all rows, with nothing where few real ones are."""

    def kept(share: Any, rows: int) -> Any:
        if isinstance(share, list):
            return [kept(one, rows) for one in share]
        return share if round(share * rows) >= min_rows else 0.0

    shares = {
        side: share if side == "synthetic" else kept(share, picture["rows"][side])
        for side, share in picture.get("shares", {}).items()
    }
    return {**picture, "shares": shares} if shares else dict(picture)

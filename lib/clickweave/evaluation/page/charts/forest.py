"""Gains with their intervals, one line each (a forest plot; Lewis & Clarke 2001)."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from clickweave.evaluation.page.charts.canvas import WIDTH, Axes, short, svg, text

_LEFT, _RIGHT, _ROW = 116, WIDTH - 112, 30


def forest(rows: Sequence[Mapping[str, Any]], title: str, about: str, *, share: bool, x_name: str) -> str:
    """A square and an interval per row {name, gain, low, high, n}, around the line of no gain.

    The square is filled where the interval lies wholly on one side of 0, hollow where nothing can be said.
    """
    ends = [float(value) for row in rows for value in (row["low"], row["high"])] + [0.0]
    low, high = min(ends), max(ends)
    pad = (high - low or 1.0) * 0.06
    top, bottom = 12, 12 + _ROW * len(rows)
    axes = Axes((low - pad, high + pad), (0, 1), x_name, share_x=share, left=_LEFT, right=_RIGHT, bottom=bottom)
    zero = axes.at_x(0.0)
    parts = [axes.x_ticks(), f'<path class="even" d="M{zero:.1f} {top}V{bottom}"/>']
    for number, row in enumerate(rows):
        y = top + (number + 0.5) * _ROW
        parts.append(text(_LEFT - 10, y - 2, str(row["name"]), "end strong", most=16))
        if row.get("n") is not None:
            parts.append(text(_LEFT - 10, y + 11, f"n {short(row['n'])}", "end small"))
        parts.append(_interval(row, axes, y, share=share))
        parts.append(text(_RIGHT + 8, y - 2, _signed(row["gain"], share=share), "strong"))
        told = f"{_signed(row['low'], share=share)} to {_signed(row['high'], share=share)}"
        parts.append(text(_RIGHT + 8, y + 11, told, "small"))
    return svg("".join(parts), title, about, WIDTH, bottom + 42)


def _interval(row: Mapping[str, Any], axes: Axes, y: float, *, share: bool) -> str:
    left, middle, right = (axes.at_x(float(row[key])) for key in ("low", "gain", "high"))
    sure = "sure" if row["low"] > 0 else ("harm" if row["high"] < 0 else "unsure")
    ends = [_signed(row[key], share=share) for key in ("gain", "low", "high")]
    tip = escape(f"{row['name']}: {ends[0]} ({ends[1]} to {ends[2]})")
    whisker = f"M{left:.1f} {y:.1f}H{right:.1f}M{left:.1f} {y - 5:.1f}v10M{right:.1f} {y - 5:.1f}v10"
    square = f'<rect class="square {sure}" x="{middle - 5:.1f}" y="{y - 5:.1f}" width="10" height="10"/>'
    return f'<g><title>{tip}</title><path class="whisker {sure}" d="{whisker}"/>{square}</g>'


def _signed(value: float, *, share: bool) -> str:
    return f"{value * 100:+.1f}%" if share else f"{value:+.4f}"

"""The path of a run: its stages one below the other, with rows and times; augmentation goes beside the generator."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from clickweave.evaluation.page.charts.canvas import WIDTH, svg, text

_ROW, _TOP, _MAIN, _SIDE = 34, 26, 34, 14
_NAMES, _ROWS, _TIMES = 52, 262, 282  # names begin, rows end, bars of time begin
_BESIDE = ("augment",)  # joins the path again at mix


def path(stages: Sequence[Mapping[str, Any]], title: str, about: str) -> str:
    """A node per stage {stage, seconds, rows_in, rows_out} in the order they ran, with a bar as long as it took."""
    ys = {str(stage["stage"]): _TOP + (number + 0.5) * _ROW for number, stage in enumerate(stages)}
    longest = max((float(stage.get("seconds") or 0.0) for stage in stages), default=0.0) or 1.0
    head = [text(_NAMES, 12, "stage"), text(_ROWS, 12, "rows in → out", "end"), text(_TIMES, 12, "seconds")]
    parts = [*head, _ways(list(ys), ys)]
    for stage in stages:
        name = str(stage["stage"])
        y = ys[name]
        x = _SIDE if name in _BESIDE else _MAIN
        seconds = float(stage.get("seconds") or 0.0)
        told = f"{_count(stage.get('rows_in'))} → {_count(stage.get('rows_out'))}"
        parts.append(f'<circle class="node{" beside" if name in _BESIDE else ""}" cx="{x}" cy="{y:.1f}" r="6"/>')
        parts.append(text(_NAMES, y + 4, name, "strong", most=14))
        parts.append(text(_ROWS, y + 4, told, "end"))
        length = seconds / longest * (WIDTH - _TIMES - 58)
        tip = f"<title>{escape(f'{name}: {seconds:,.1f} s')}</title>"
        parts.append(
            f'<rect class="bar k-real" x="{_TIMES}" y="{y - 5:.1f}" width="{length:.1f}" height="10">{tip}</rect>'
        )
        parts.append(text(_TIMES + length + 6, y + 4, f"{seconds:,.1f}"))
    return svg("".join(parts), title, about, WIDTH, _TOP + _ROW * len(stages) + 4)


def _ways(names: Sequence[str], ys: Mapping[str, float]) -> str:
    """Lines between the nodes: down the path, and beside it from ingest over augment to mix."""
    chain = [name for name in names if name not in _BESIDE]
    main = "".join(f"M{_MAIN} {ys[a]:.1f}V{ys[b]:.1f}" for a, b in pairwise(chain))
    drawn = f'<path class="way" d="{main}"/>' if main else ""
    for name in _BESIDE:
        if {name, "ingest", "mix"} <= set(names):
            y, start, end = ys[name], ys["ingest"], ys["mix"]
            bent = f"M{_MAIN} {start:.1f}L{_SIDE} {y:.1f}V{end - _ROW:.1f}L{_MAIN} {end:.1f}"
            drawn += f'<path class="way beside" d="{bent}"/>'
    return drawn


def _count(rows: Any) -> str:
    return "\N{EN DASH}" if rows is None else f"{rows:,.0f}"

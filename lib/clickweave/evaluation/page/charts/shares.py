"""Rows as points, and shares of rows as bars."""

from collections.abc import Mapping, Sequence
from html import escape

from clickweave.evaluation.page.charts.canvas import WIDTH, Points, mark, place, span, svg, text

_NAMES = 128  # room for the names of bars
_NUMBERS = 52  # and for their figures


def scatter(kinds: Mapping[str, Points], window: Sequence[Sequence[float]], title: str, about: str) -> str:
    """Points per kind as one path each (class `k-<kind>`), those inside `window`: ((x0, x1), (y0, y1))."""
    (x0, x1), (y0, y1) = (span(*axis) for axis in window)
    height = 300
    parts = [f'<rect class="frame" x="1" y="1" width="{WIDTH - 2}" height="{height - 2}"/>']
    for kind, points in kinds.items():
        inside = [(x, y) for x, y in points if x0 <= x <= x1 and y0 <= y <= y1]
        marks = [mark(place(x, x0, x1, 10, WIDTH - 10), place(y, y0, y1, height - 10, 10)) for x, y in inside]
        parts.append(f'<path class="dots k-{escape(kind)}" d="{"".join(marks)}"/>')
    return svg("".join(parts), title, about, WIDTH, height)


def bars(names: Sequence[str], shares: Mapping[str, Sequence[float]], title: str, about: str) -> str:
    """Groups of horizontal bars, one group per name, one bar per side in the order of `shares`."""
    bar, gap = 7, 7
    group = max(bar * len(shares), 13) + gap
    height = group * len(names) + gap
    most = max((value for share in shares.values() for value in share), default=0.0) or 1.0
    room = WIDTH - _NAMES - _NUMBERS
    parts = []
    for number, name in enumerate(names):
        top = gap + number * group
        middle = top + (group - gap) / 2 + 4
        parts.append(text(_NAMES - 8, middle, name, "end", most=17))
        for row, (side, share) in enumerate(shares.items()):
            length = share[number] / most * room
            shape = f'x="{_NAMES}" y="{top + row * bar}" width="{length:.1f}" height="{bar - 1}"'
            tip = f"<title>{escape(f'{name}, {side}: {share[number]:.2%}')}</title>"
            parts.append(f'<rect class="bar k-{escape(side)}" {shape}>{tip}</rect>')
        longest = max(share[number] for share in shares.values())
        parts.append(text(_NAMES + longest / most * room + 6, middle, f"{longest:.1%}"))
    return svg("".join(parts), title, about, WIDTH, height)

"""Inline SVG as text: small pure functions, no scripts, colours by CSS class so that dark mode is the page's matter.

Every text is escaped here. Series are told apart by colour (Okabe & Ito 2008, safe for the colour-blind) and by
dash or order as well; each picture carries a title and a description for screen readers.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 12, 34
Points = Sequence[Sequence[float]]


def scatter(kinds: dict[str, Points], window: Sequence[Sequence[float]], title: str, about: str) -> str:
    """Points per kind as one path each (class `k-<kind>`), those inside `window`: ((x0, x1), (y0, y1))."""
    (x0, x1), (y0, y1) = (_span(*axis) for axis in window)
    width, height = 640, 440
    parts = []
    for kind, points in kinds.items():
        inside = [(x, y) for x, y in points if x0 <= x <= x1 and y0 <= y <= y1]
        marks = "".join(
            f"M{_place(x, x0, x1, 12, width - 12):.1f} {_place(y, y0, y1, height - 12, 12):.1f}h0" for x, y in inside
        )
        parts.append(f'<path class="dots k-{escape(kind)}" d="{marks}"/>')
    frame = f'<rect class="frame" x="1" y="1" width="{width - 2}" height="{height - 2}"/>'
    return _svg(frame + "".join(parts), title, about, width, height)


def lines(series: Mapping[str, Points], title: str, about: str, *, x_name: str, y_zero: bool = False) -> str:
    """Lines with a dot per point, class `k-<name>`; the axes span all points."""
    points = [point for line in series.values() for point in line]
    if not points:
        return ""
    x0, x1 = _span(min(p[0] for p in points), max(p[0] for p in points), pad=0.0)
    y0, y1 = _span(0.0 if y_zero else min(p[1] for p in points), max(p[1] for p in points))
    parts = [_grid(y0, y1), _x_labels([(x, f"{x:g}") for x in _ticks(x0, x1) if x0 <= x <= x1], x0, x1, x_name)]
    for name, line in series.items():
        places = [(_x(x, x0, x1), _y(y, y0, y1)) for x, y in line]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places)
        css = f"k-{escape(name)}"
        parts.append(f'<path class="line {css}" d="{path}"/><path class="dots big {css}" d="{dots}"/>')
    return _svg("".join(parts), title, about)


def steps(
    edges: Sequence[float], shares: dict[str, Sequence[float]], title: str, about: str, *, labels: Sequence[str]
) -> str:
    """Histogram outlines over common edges; `labels` name the first, middle and last edge. Shares are of all rows."""
    x0, x1 = edges[0], edges[-1]
    y1 = max((value for share in shares.values() for value in share), default=0.0) * 1.08 or 1.0
    middle = (x0 + x1) / 2
    parts = [_grid(0.0, y1), _x_labels(list(zip((x0, middle, x1), labels, strict=True)), x0, x1, "")]
    for name, share in shares.items():
        corners = [(edges[0], 0.0)]
        for left, right, value in zip(edges, edges[1:], share, strict=False):
            corners += [(left, value), (right, value)]
        corners.append((edges[-1], 0.0))
        path = "M" + "L".join(f"{_x(x, x0, x1):.1f} {_y(y, 0.0, y1):.1f}" for x, y in corners)
        parts.append(f'<path class="line k-{escape(name)}" d="{path}"/>')
    return _svg("".join(parts), title, about)


def bars(names: Sequence[str], shares: dict[str, Sequence[float]], title: str, about: str) -> str:
    """Groups of horizontal bars, one group per name, one bar per side in the order of `shares`."""
    bar, gap, left = 9, 10, 190  # left: room for 18 letters
    group = bar * len(shares) + gap
    height = group * len(names) + gap
    most = max((value for share in shares.values() for value in share), default=0.0) or 1.0
    parts = []
    for place, name in enumerate(names):
        top = gap + place * group
        text = name if len(name) <= 18 else name[:17] + "…"
        middle = top + bar * len(shares) / 2 + 4
        parts.append(
            f'<text class="end" x="{left - 8}" y="{middle:.0f}">{escape(text)}<title>{escape(name)}</title></text>'
        )
        for number, (side, share) in enumerate(shares.items()):
            length = share[place] / most * (WIDTH - left - 76)
            y = top + number * bar
            parts.append(
                f'<rect class="bar k-{escape(side)}" x="{left}" y="{y}" width="{length:.1f}" height="{bar - 1}"/>'
            )
        longest = max(share[place] for share in shares.values())
        x = left + longest / most * (WIDTH - left - 76) + 6
        parts.append(f'<text x="{x:.0f}" y="{middle:.0f}">{longest:.1%}</text>')
    return _svg("".join(parts), title, about, WIDTH, height)


def _svg(body: str, title: str, about: str, width: int = WIDTH, height: int = HEIGHT) -> str:
    head = f"<title>{escape(title)}</title><desc>{escape(about)}</desc>"
    return f'<svg viewBox="0 0 {width} {height}" role="img" preserveAspectRatio="xMidYMid meet">{head}{body}</svg>'


def _span(low: float, high: float, pad: float = 0.04) -> tuple[float, float]:
    """The range with a margin; never empty."""
    reach = (high - low) or max(abs(high), 1.0) * 0.1
    return low - pad * reach, (high if high > low else low + reach) + pad * reach


def _place(value: float, low: float, high: float, start: float, end: float) -> float:
    return start + (value - low) / ((high - low) or 1.0) * (end - start)


def _x(value: float, low: float, high: float) -> float:
    return _place(value, low, high, _LEFT, WIDTH - _RIGHT)


def _y(value: float, low: float, high: float) -> float:
    return _place(value, low, high, HEIGHT - _BOTTOM, _TOP)


def _ticks(low: float, high: float, num: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) inside the range."""
    rough = (high - low) / num
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _grid(low: float, high: float) -> str:
    parts = []
    for tick in _ticks(low, high):
        y = _y(tick, low, high)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="end" x="{_LEFT - 6}" y="{y + 4:.1f}">{tick:g}</text>')
    return "".join(parts)


def _x_labels(labels: Sequence[tuple[float, str]], low: float, high: float, name: str) -> str:
    parts = []
    for value, text in labels:
        x = _x(value, low, high)
        css = "end" if x > WIDTH - 60 else ("" if x < _LEFT + 30 else "mid")
        parts.append(f'<text class="{css}" x="{x:.1f}" y="{HEIGHT - 14}">{escape(text)}</text>')
    if name:
        parts.append(f'<text class="mid" x="{(WIDTH + _LEFT) / 2:.0f}" y="{HEIGHT - 1}">{escape(name)}</text>')
    return "".join(parts)

"""Lines over two axes, with or without intervals, and outlines of histograms."""

from collections.abc import Mapping, Sequence
from html import escape

from clickweave.evaluation.page.charts.canvas import Axes, Points, mark, short, span, svg


def lines(
    series: Mapping[str, Points],
    title: str,
    about: str,
    *,
    names: tuple[str, str],
    y_zero: bool = False,
    log: bool = False,
    share_x: bool = False,
    share_y: bool = False,
    bands: Mapping[str, Points] | None = None,
    diagonal: bool = False,
) -> str:
    """Lines with a dot per point, class `k-<name>`; the axes span all points. Empty where there are none.

    Args:
        names: of the horizontal and the vertical axis.
        y_zero: the vertical axis begins at 0 at the latest.
        log: both axes are of powers of ten; points that are not above 0 are left out.
        share_x, share_y: the axis's values are shares, written in per cent.
        bands: by name of a line its interval, as (x, low, high) per point.
        diagonal: the line of chance of a ROC curve; both axes go from 0 to 1.
    """
    kept = {name: [(p[0], p[1]) for p in line if not log or min(p) > 0] for name, line in series.items()}
    intervals = bands or {}
    ends = [(p[0], y) for band in intervals.values() for p in band for y in p[1:3]]
    points = [point for line in kept.values() for point in line] + ends
    if not points:
        return ""
    axes = _axes(points, y_zero=y_zero, log=log, square=diagonal)
    axes = Axes(axes.x, axes.y, *names, log, log, share_x, share_y)
    parts = [axes.y_grid(), axes.x_ticks()]
    if diagonal:
        parts.append(f'<path class="even" d="M{axes.left:.1f} {axes.bottom:.1f}L{axes.right:.1f} {axes.top:.1f}"/>')
    elif not log and axes.y[0] < 0 < axes.y[1]:
        parts.append(f'<path class="even" d="M{axes.left:.1f} {axes.at_y(0):.1f}H{axes.right:.1f}"/>')
    for name, band in intervals.items():
        upper = [(axes.at_x(x), axes.at_y(high)) for x, _, high in band]
        lower = [(axes.at_x(x), axes.at_y(low)) for x, low, _ in reversed(band)]
        parts.append(f'<path class="band k-{escape(name)}" d="{_joined([*upper, *lower])}Z"/>')
    for name, line in list(kept.items())[::-1]:  # the first, real rows, lies on top
        parts.append(_line(name, line, axes))
    return svg("".join(parts), title, about)


def _axes(points: Points, *, y_zero: bool, log: bool, square: bool) -> Axes:
    if square:
        return Axes((0.0, 1.0), (0.0, 1.0))
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    if log:
        return Axes((min(xs), max(*xs, min(xs) * 10)), (min(ys) / 1.3, max(*ys, min(ys) * 10) * 1.3))
    low, high = span(min(ys), max(ys))
    low = min(0.0, *ys) if y_zero else low
    return Axes(span(min(xs), max(xs), pad=0.0), (low, high))


def _line(name: str, line: Points, axes: Axes) -> str:
    """The line and its dots, each with its values in the tooltip where there are few."""
    if not line:
        return ""
    places = [(axes.at_x(x), axes.at_y(y)) for x, y in line]
    css = f"k-{escape(name)}"
    drawn = f'<path class="line {css}" d="{_joined(places)}"/>'
    if len(line) > 40:  # dots would hide the line
        return drawn
    if len(line) > 20:
        return drawn + f'<path class="dots {css}" d="{"".join(mark(*one) for one in places)}"/>'
    tips = [f"{short(x, share=axes.share_x)}: {short(round(y, 4), share=axes.share_y)}" for x, y in line]
    dots = [
        f'<path class="dots big {css}" d="{mark(*one)}"><title>{escape(tip)}</title></path>'
        for one, tip in zip(places, tips, strict=True)
    ]
    return drawn + "".join(dots)


def steps(
    edges: Sequence[float],
    shares: Mapping[str, Sequence[float]],
    title: str,
    about: str,
    *,
    labels: Sequence[tuple[float, str]],
    y_name: str = "share of rows",
) -> str:
    """Histogram outlines over common edges; `labels` are values of the axis and their words. Shares are of all rows."""
    most = max((value for share in shares.values() for value in share), default=0.0) * 1.08 or 1.0
    axes = Axes((edges[0], edges[-1]), (0.0, most), y_name=y_name, share_y=True)
    parts = [axes.y_grid(), axes.x_labels(labels)]
    for name, share in list(shares.items())[::-1]:
        corners = [(edges[0], 0.0)]
        for left, right, value in zip(edges, edges[1:], share, strict=False):
            corners += [(left, value), (right, value)]
        corners.append((edges[-1], 0.0))
        parts.append(
            f'<path class="line k-{escape(name)}" d="{_joined([(axes.at_x(x), axes.at_y(y)) for x, y in corners])}"/>'
        )
    return svg("".join(parts), title, about)


def _joined(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)

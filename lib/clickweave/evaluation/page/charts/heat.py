"""A matrix of shares as a heat map."""

from collections.abc import Sequence
from html import escape

from clickweave.evaluation.page.charts.canvas import WIDTH, svg, text

_LEFT, _TOP, _RIGHT = 116, 80, 46  # turned names of columns lean to the right


def heat(
    names: Sequence[str], cells: Sequence[Sequence[float]], title: str, about: str, *, most: float, signed: bool = False
) -> str:
    """From each name (row) to each name (column): the darker a cell, the larger its share, which is written in it.

    Args:
        cells: shares, or differences of shares where `signed`; then the sign is written, and more and less have colours
            of their own.
        most: the value of the darkest cell, so that pictures side by side compare.
    """
    size = (WIDTH - _LEFT - _RIGHT) / max(len(names), 1)
    high = size * 0.78
    height = _TOP + high * len(names) + 4
    parts = [text(4, 12, "from (rows), to (columns), per cent")]
    for column, name in enumerate(names):
        x, y = _LEFT + (column + 0.5) * size + 4, _TOP - 7
        cut = name if len(name) <= 10 else name[:9] + "…"
        turned = f'transform="rotate(-40 {x:.1f} {y})"'
        parts.append(f'<text x="{x:.1f}" y="{y}" {turned}>{escape(cut)}<title>{escape(name)}</title></text>')
    for row, (name, values) in enumerate(zip(names, cells, strict=True)):
        top = _TOP + row * high
        parts.append(text(_LEFT - 8, top + high / 2 + 4, name, "end", most=12))
        for column, value in enumerate(values):
            css = "less" if signed and value < 0 else ("more" if signed else "k-real")
            depth = min(abs(value) / most, 1.0) * 0.6 if most > 0 else 0.0
            left = _LEFT + column * size
            shape = f'x="{left:.1f}" y="{top:.1f}" width="{size - 1.5:.1f}" height="{high - 1.5:.1f}"'
            tip = escape(
                f"{name} to {names[column]}: {value:+.2%}" if signed else f"{name} to {names[column]}: {value:.2%}"
            )
            parts.append(f'<rect class="cell {css}" fill-opacity="{depth:.3f}" {shape}><title>{tip}</title></rect>')
            words = f"{value * 100:+.1f}" if signed else f"{value * 100:.1f}"
            if abs(value) >= 0.0005:
                parts.append(text(left + size / 2 - 0.7, top + high / 2 + 3, words, "mid small strong"))
    return svg("".join(parts), title, about, WIDTH, height)

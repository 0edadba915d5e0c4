"""What all pictures share: the frame, axes with round ticks, and places on them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 420, 250
LETTER = 7.6  # mean width of a figure or letter of the pictures' type, in units of the view box
Points = Sequence[Sequence[float]]


def svg(body: str, title: str, about: str, width: int = WIDTH, height: float = HEIGHT) -> str:
    """One picture; the description is read out to those who cannot see it."""
    head = f"<title>{escape(title)}</title><desc>{escape(about)}</desc>"
    return f'<svg viewBox="0 0 {width} {height:.0f}" role="img" preserveAspectRatio="xMidYMid meet">{head}{body}</svg>'


def text(x: float, y: float, words: str, css: str = "", *, most: int = 0) -> str:
    """Words at a place; with `most`, cut after so many letters, whole in the tooltip."""
    cut = words if not most or len(words) <= most else words[: most - 1] + "…"
    whole = "" if cut == words else f"<title>{escape(words)}</title>"
    kind = f' class="{css}"' if css else ""
    return f'<text{kind} x="{x:.1f}" y="{y:.1f}">{escape(cut)}{whole}</text>'


def mark(x: float, y: float) -> str:
    """The path of a dot, as round or square as the line's caps are."""
    return f"M{x:.1f} {y:.1f}h0"


def span(low: float, high: float, pad: float = 0.04) -> tuple[float, float]:
    """The range with a margin; never empty."""
    reach = (high - low) or max(abs(high), 1.0) * 0.1
    return low - pad * reach, (high if high > low else low + reach) + pad * reach


def ticks(low: float, high: float, num: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) inside the range."""
    rough = (high - low) / num
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def powers(low: float, high: float) -> list[float]:
    """Powers of ten inside the range, at most six of them."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return [10.0**power for power in range(first, last + 1, max(1, math.ceil((last - first) / 5)))]


def place(value: float, low: float, high: float, start: float, end: float) -> float:
    return start + (value - low) / ((high - low) or 1.0) * (end - start)


def short(value: float, *, share: bool = False) -> str:
    """A tick as it is written: 20%, 1,000, 1M or 0.25."""
    if share:
        return f"{value * 100:.6g}%"
    for size, letter in ((1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"


@dataclass(frozen=True)
class Axes:
    """Two axes, their names, and where a value lies between them. Ranges of log axes are above 0."""

    x: tuple[float, float]
    y: tuple[float, float]
    x_name: str = ""
    y_name: str = ""
    log_x: bool = False
    log_y: bool = False
    share_x: bool = False
    share_y: bool = False
    left: float = 58
    right: float = WIDTH - 16
    top: float = 24
    bottom: float = HEIGHT - 40

    def at_x(self, value: float) -> float:
        """The place of a value between left and right; what lies outside stands at the edge."""
        low, high = self.x
        if self.log_x:
            value, low, high = math.log10(max(value, low)), math.log10(low), math.log10(high)
        return place(min(max(value, low), high), low, high, self.left, self.right)

    def at_y(self, value: float) -> float:
        """The place of a value between bottom and top; what lies outside stands at the edge."""
        low, high = self.y
        if self.log_y:
            value, low, high = math.log10(max(value, low)), math.log10(low), math.log10(high)
        return place(min(max(value, low), high), low, high, self.bottom, self.top)

    def y_grid(self) -> str:
        """Grid lines with their values, and the axis's name above them."""
        parts = []
        for tick in powers(*self.y) if self.log_y else ticks(*self.y):
            y = self.at_y(tick)
            parts.append(f'<path class="grid" d="M{self.left:.0f} {y:.1f}H{self.right:.0f}"/>')
            parts.append(text(self.left - 7, y + 4, short(tick, share=self.share_y), "end"))
        return "".join(parts) + (text(4, 11, self.y_name) if self.y_name else "")

    def x_ticks(self) -> str:
        """Values below the axis and its name."""
        values = powers(*self.x) if self.log_x else ticks(*self.x)
        return self.x_labels([(value, short(value, share=self.share_x)) for value in values])

    def x_labels(self, labels: Sequence[tuple[float, str]]) -> str:
        """Given words at given values, left out where they would run into one another, and the axis's name."""
        parts, free = [], 0.0
        for value, words in labels:
            half = len(words) * LETTER / 2
            x = min(max(self.at_x(value), half + 3), WIDTH - half - 3)
            if x - half >= free:
                parts.append(text(x, self.bottom + 17, words, "mid"))
                free = x + half + 2
        if self.x_name:
            parts.append(text((self.left + self.right) / 2, self.bottom + 34, self.x_name, "mid"))
        return "".join(parts)

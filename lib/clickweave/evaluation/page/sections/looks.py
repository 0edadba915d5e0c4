"""Does it look alike? Rows, columns, popularity, sessions, flow and position bias, each side beside the real one."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from clickweave.evaluation.page import charts
from clickweave.evaluation.page.figures import SIDES, figure
from clickweave.evaluation.page.sections.parts import Figure, Section, named, picture, section

_HOUR = "hour of day"


def scatter(data: Mapping[str, Any]) -> Section:
    kinds = data["kinds"]
    if not kinds:
        return section("scatter", "", "", [])
    about = "Rows as points in the two main directions of the real rows; kinds: " + ", ".join(kinds)
    caption = (
        "Each dot is a row, at most 600 of a kind; the axes are the two main directions (PCA) of the real rows and "
        f"hold {figure(sum(data['explained']), 'share')} of their variance. Good: the clouds cover one another. A gap "
        "where real rows lie is something the generator misses, a cloud of its own is something it made up."
    )
    together = charts.scatter(kinds, data["window"], "rows in two dimensions", about)
    figures = [picture("all together", together, "Good: no colour lies alone.")]
    for kind, points in kinds.items():
        drawn = charts.scatter({kind: points}, data["window"], f"{kind} rows", about)
        told = "The shape to meet." if kind == "real" else "Good: the shape of the real rows."
        figures.append(picture(f"{kind} alone", drawn, told, kind))
    return section("scatter", "Rows in two dimensions", caption, figures, kinds)


def columns(marginals: Sequence[Mapping[str, Any]]) -> Section:
    shown = [_marginal(one) for one in marginals if one["title"] != _HOUR]
    intro = "Share of rows. Good: generated lies as near to real as the holdout, other real users, does."
    return section("columns", "Columns one by one", intro, shown, _sides_of(marginals))


def _sides_of(pictures: Sequence[Mapping[str, Any]]) -> list[str]:
    found = {side for one in pictures for side in one["shares"]}
    return [name for side, name in SIDES.items() if side in found]


def _marginal(data: Mapping[str, Any]) -> Figure:
    shares = {SIDES[side]: share for side, share in data["shares"].items()}
    title = str(data["title"])
    about = f"Share of rows by {title}: " + ", ".join(shares)
    told = _apart(shares)
    if data["kind"] == "bars":
        return picture(title, charts.bars(data["names"], shares, title, about), told)
    edges = data["edges"]
    if title == _HOUR:
        labels = [(hour, f"{hour:.0f} h") for hour in (0.0, 6.0, 12.0, 18.0, 24.0)]
    else:
        ends = (edges[0], (edges[0] + edges[-1]) / 2, edges[-1])
        labels = [(end, _day(end) if data["is_day"] else f"{end:.4g}") for end in ends]
    return picture(title, charts.steps(edges, shares, title, about, labels=labels), told)


def _apart(shares: Mapping[str, Sequence[float]]) -> str:
    """Caption: by how much sides differ from the real one (total variation over what is drawn), and what good is."""
    apart = {
        name: sum(abs(ours - real) for ours, real in zip(share, shares["real"], strict=True)) / 2
        for name, share in shares.items()
        if name != "real" and "real" in shares
    }
    if not apart:
        return ""
    told = ", ".join(f"{name} by {distance:.1%}" for name, distance in apart.items())
    good = "no more than the holdout" if "holdout" in apart else "near 0"
    return f"Apart from real: {told}. Good: {good}."


def _day(days: float) -> str:
    return datetime.fromtimestamp(days * 86_400, tz=UTC).strftime("%Y-%m-%d")


def popularity(data: Mapping[str, Any]) -> Section:
    sides = named(data)
    about = "Share of events by the rank of the item, both axes in powers of ten: " + ", ".join(sides)
    names = ("rank of the item, most popular first", "share of events")
    drawn = charts.lines(sides, "item popularity", about, log=True, share_y=True, names=names) if sides else ""
    caption = (
        "Good: generated follows real from the head to the tail. A line that falls off earlier has lost rare items; "
        "one that starts lower has lost the favourites."
    )
    return section(
        "popularity", "Item popularity", "", [picture("rank and frequency", drawn, caption)], sides, wide=True
    )


_RHYTHMS = {
    "session_length": "As many short and long sessions as in the real log?",
    "gap": "Between two events of a user: one lone peak is a clock, not a person.",
}


def rhythm(data: Mapping[str, Any], marginals: Sequence[Mapping[str, Any]]) -> Section:
    figures = []
    for name, told in data.items():
        shares, words = named(told["shares"]), told["labels"]
        about = f"Share by {told['title']}: " + ", ".join(shares)
        labels = [(place + 0.5, word) for place, word in enumerate(words)]
        edges = [float(edge) for edge in range(len(words) + 1)]
        drawn = charts.steps(edges, shares, told["title"], about, labels=labels, y_name=told["of"]) if shares else ""
        figures.append(picture(told["title"], drawn, f"{_RHYTHMS.get(name, '')} {_apart(shares)}".strip()))
    for one in marginals:
        if one["title"] == _HOUR:
            figures.append(_marginal(one))
    sides = [name for name in SIDES.values() if any(f"k-{name}" in one["svg"] for one in figures)]
    return section("rhythm", "Sessions and time", "", figures, sides)


def flow(data: Mapping[str, Any]) -> Section:
    shares = named({side: data["shares"][side] for side in data.get("shares", {})})
    most = max((value for matrix in shares.values() for row in matrix for value in row), default=0.0)
    goal = {"real": "The pattern to meet.", "generated": "Good: strong where real is strong, pale where it is pale."}
    figures: list[Figure] = [
        picture(
            name, charts.heat(data["names"], matrix, f"flow, {name}", _flow_about(name, data), most=most), goal[name]
        )
        for name, matrix in shares.items()
        if name in goal
    ]
    if {"real", "generated"} <= set(shares):
        pairs = zip(shares["generated"], shares["real"], strict=True)
        difference = [[made - real for made, real in zip(*rows, strict=True)] for rows in pairs]
        highest = max(abs(value) for row in difference for value in row)
        about = _flow_about("generated minus real", data)
        drawn = charts.heat(data["names"], difference, "flow, difference", about, most=max(highest, 0.01), signed=True)
        told = "Orange with + is made too often, blue with a minus too rarely. Good: pale, no cell of a full per cent."
        figures.append(picture("generated minus real", drawn, told))
    intro = (
        f"Which {data.get('by', 'category')} follows which, inside a user's history; each cell is its share of all "
        "such pairs. Good: both maps show the same pattern, and their difference is pale."
    )
    return section("flow", "What follows what", intro, figures)


def _flow_about(name: str, data: Mapping[str, Any]) -> str:
    return f"{name}: shares of pairs of consecutive events by {data['by']}, from rows to columns"


def positions(curves: Mapping[str, Any]) -> Section:
    shown = named(curves)
    about = "Share of rows with a label, by position: " + ", ".join(shown)
    names = ("position", "share of rows with a label")
    drawn = charts.lines(shown, "label rate by position", about, y_zero=True, share_y=True, names=names)
    caption = "Good: generated falls off as real does; a flat line has lost the position bias."
    title = "Label rate by position"
    return section("positions", title, "", [picture("position-bias curves", drawn, caption)], list(shown), wide=True)

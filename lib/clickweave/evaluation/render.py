"""From the report's dict to one HTML page that needs nothing else: no network, no scripts, no fonts."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from clickweave.evaluation import charts

_MARKS = {"green": "●", "amber": "▲", "red": "■", "na": "\N{EN DASH}", "reported": "○"}
_WORDS = {"green": "meets target", "amber": "meets gate", "red": "misses gate"}
_WORDS |= {"na": "not applicable", "reported": "reported"}
_SIDES = {"train": "real", "synthetic": "generated", "holdout": "holdout"}
_NONE = "\N{EN DASH}"


def render_html(report: Mapping[str, Any]) -> str:
    """The page of a report as `build_report` made it (or as it was read back from report.json)."""
    environment = Environment(
        loader=PackageLoader("clickweave.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": figure, "thousands": thousands, "bound": bound}
    page = environment.get_template("report.html.j2")
    return page.render(report=report, marks=_MARKS, words=_WORDS, pictures=_pictures(report))


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


def bound(row: Mapping[str, Any], which: str) -> str:
    """A gate or target with its direction; a dash for a figure that is only reported."""
    if row["grade"] == "reported":
        return _NONE
    sign = "≥" if row["better"] == "high" else "≤"
    value = row[which]
    return f"{sign} {value * 100:g}%" if row["unit"] == "share" else f"{sign} {value:g}"


def thousands(value: float | None) -> str:
    """A count with separators."""
    return _NONE if value is None else f"{value:,.0f}"


def _pictures(report: Mapping[str, Any]) -> dict[str, Any]:
    data = report["pictures"]
    curves = report["details"]["F7"].get("curves", {})
    return {
        "scatter": _scatter(data["scatter"]),
        "kinds": list(data["scatter"]["kinds"]),
        "losses": _losses(data["losses"]),
        "marginals": [_marginal(picture) for picture in data["marginals"]],
        "positions": _positions(curves),
        "ratios": _ratios(report.get("stages", {}).get("mix", {}).get("ratio", {}).get("tried", [])),
    }


def _scatter(data: Mapping[str, Any]) -> dict[str, Any] | None:
    if not data["kinds"]:
        return None
    about = "Rows as points in the two main directions of the real rows; kinds: " + ", ".join(data["kinds"])
    alone = {
        kind: Markup(charts.scatter({kind: points}, data["window"], f"{kind} rows", about))
        for kind, points in data["kinds"].items()
    }
    together = Markup(charts.scatter(data["kinds"], data["window"], "rows in two dimensions", about))
    return {"together": together, "alone": alone, "explained": sum(data["explained"])}


def _ratios(tried: list[dict[str, float]]) -> Markup | None:
    """The click model's AUC by ratio, and that of the best rival: the same rows, or as many of them again."""
    if len(tried) < 2:
        return None
    series = {
        "mixed": [(row["ratio"], row["auc"]) for row in tried],
        "real": [(row["ratio"], row["auc"] - row["gain"]) for row in tried],
    }
    about = "AUC on reference by synthetic rows per real one: with them, and with real rows alone"
    return Markup(charts.lines(series, "AUC by ratio", about, x_name="synthetic rows per real row"))


def _losses(history: list[dict[str, Any]]) -> Markup | None:
    names = {"train": "train_loss", "validation": "validation_loss"}
    series = {
        name: [(float(epoch["epoch"]), float(epoch[key])) for epoch in history if epoch.get(key) is not None]
        for name, key in names.items()
    }
    series = {name: points for name, points in series.items() if points}
    about = "Loss per epoch, " + " and ".join(series)
    return Markup(charts.lines(series, "training losses", about, x_name="epoch")) if series else None


def _marginal(picture: Mapping[str, Any]) -> dict[str, Any]:
    shares = {_SIDES[side]: share for side, share in picture["shares"].items()}
    about = f"Share of rows by {picture['title']}: " + ", ".join(shares)
    if picture["kind"] == "bars":
        drawn = charts.bars(picture["names"], shares, picture["title"], about)
    else:
        edges = picture["edges"]
        ends = (edges[0], (edges[0] + edges[-1]) / 2, edges[-1])
        labels = [_day(end) if picture["is_day"] else f"{end:.4g}" for end in ends]
        drawn = charts.steps(edges, shares, picture["title"], about, labels=labels)
    return {"title": picture["title"], "svg": Markup(drawn)}


def _day(days: float) -> str:
    return datetime.fromtimestamp(days * 86_400, tz=UTC).strftime("%Y-%m-%d")


def _positions(curves: Mapping[str, Any]) -> Markup | None:
    shown = {_SIDES[side]: curves[side] for side in ("train", "synthetic", "holdout") if curves.get(side)}
    if not shown:
        return None
    about = "Share of rows with a label, by position: " + ", ".join(shown)
    return Markup(charts.lines(shown, "label rate by position", about, x_name="position", y_zero=True))

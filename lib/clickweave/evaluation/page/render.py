"""From the report's dict to one HTML page that needs nothing else: no network, no scripts, no fonts."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from clickweave.evaluation.page.figures import bound, figure, thousands, value_unit
from clickweave.evaluation.page.sections import picture_sections, ratios_tried
from clickweave.evaluation.verdict import grouped, tally

_MARKS = {"green": "●", "amber": "▲", "red": "■", "reported": "○", "na": "\N{EN DASH}"}
_WORDS = {"green": "meets target", "amber": "meets gate", "red": "misses gate"}
_WORDS |= {"reported": "reported", "na": "not applicable"}


def render_html(report: Mapping[str, Any]) -> str:
    """The page of a report as `build_report` made it (or as it was read back from report.json)."""
    environment = Environment(
        loader=PackageLoader("clickweave.evaluation.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"figure": figure, "thousands": thousands, "bound": bound, "value_unit": value_unit}
    sections = picture_sections(report)
    page = environment.get_template("report.html.j2")
    return page.render(
        report=report,
        marks=_MARKS,
        words=_WORDS,
        groups=grouped(report["rows"]),
        tally=tally(report["rows"]),
        sections=sections,
        kinds=list(report["pictures"]["scatter"]["kinds"]),
        ratios=ratios_tried(report),
    )

"""The picture sections of the page: which pictures a report has data for, with titles, keys and captions.

A picture's numbers stand under `pictures`; where a figure of the verdict table brings its own of the same name, they
stand under its `details` and win, since they are counted over all rows.
"""

from collections.abc import Mapping
from typing import Any

from clickweave.evaluation.sections import looks, worth
from clickweave.evaluation.sections.parts import Section
from clickweave.evaluation.sections.worth import ratios_tried

__all__ = ["counted", "picture_sections", "ratios_tried"]
_COUNTED = ("popularity", "rhythm", "flow", "uplift", "roc")


def picture_sections(report: Mapping[str, Any]) -> list[Section]:
    """Sections {id, title, intro, keys, wide, figures: [{title, svg, caption}]} that have something to show."""
    data = {**report["pictures"], **{name: counted(report, name) for name in _COUNTED}}
    sections = [
        looks.scatter(data["scatter"]),
        looks.columns(data["marginals"]),
        looks.popularity(data["popularity"]),
        looks.rhythm(data["rhythm"], data["marginals"]),
        looks.flow(data["flow"]),
        looks.positions(report["details"].get("F7", {}).get("curves", {})),
        worth.uplift(data["uplift"]),
        worth.roc(data["roc"]),
        worth.training(data["losses"]),
        worth.lineage(report["lineage"]),
    ]
    return [one for one in sections if one["figures"]]


def counted(report: Mapping[str, Any], name: str) -> Any:
    """A picture's numbers: those of a figure's details, else those under `pictures`, else nothing."""
    for detail in report["details"].values():
        if isinstance(detail, Mapping) and detail.get(name):
            return detail[name]
    return report["pictures"].get(name) or {}

"""The picture sections of the page: which pictures a report has data for, with titles, keys and captions."""

from collections.abc import Mapping
from typing import Any

from clickweave.evaluation.page.sections import looks, sources, worth
from clickweave.evaluation.page.sections.parts import Section
from clickweave.evaluation.page.sections.worth import ratios_tried

__all__ = ["picture_sections", "ratios_tried"]


def picture_sections(report: Mapping[str, Any]) -> list[Section]:
    """Sections {id, title, intro, keys, wide, figures: [{title, svg, caption, kind}]} that have something to show."""
    data = report["pictures"]
    sections = [
        looks.scatter(data["scatter"]),
        looks.columns(data["marginals"]),
        looks.popularity(sources.popularity(report)),
        looks.rhythm(data.get("rhythm", {}), data["marginals"]),
        looks.flow(data.get("flow", {})),
        looks.positions(report["details"].get("F7", {}).get("curves", {})),
        worth.uplift(sources.uplift(report)),
        worth.roc(sources.roc(report)),
        worth.training(data["losses"]),
        worth.lineage(report["lineage"]),
    ]
    return [one for one in sections if one["figures"]]

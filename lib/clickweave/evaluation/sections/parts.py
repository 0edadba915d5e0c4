"""The pieces of a picture section."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from clickweave.evaluation.figures import SIDES

Section = dict[str, Any]
Figure = dict[str, Any]


def section(
    key: str, title: str, intro: str, figures: Sequence[Figure | None], keys: Sequence[str] = (), *, wide: bool = False
) -> Section:
    kept = [one for one in figures if one is not None and one["svg"]]
    return {"id": key, "title": title, "intro": intro, "figures": kept, "keys": list(keys), "wide": wide}


def picture(title: str, drawn: str, caption: str = "", kind: str = "") -> Figure:
    return {"title": title, "svg": Markup(drawn), "caption": caption, "kind": kind}


def named(sides: Mapping[str, Any]) -> dict[str, Any]:
    """What there is of each side, under the name that a reader knows it by, real rows first."""
    return {name: sides[side] for side, name in SIDES.items() if sides.get(side)}

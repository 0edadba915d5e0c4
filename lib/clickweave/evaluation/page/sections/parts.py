"""The pieces of a picture section."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from clickweave.evaluation.page.figures import SIDES

Section = dict[str, Any]
Figure = dict[str, Any]


def section(
    key: str,
    title: str,
    intro: str,
    figures: Sequence[Figure],
    keys: Iterable[str | tuple[str, str]] = (),
    *,
    wide: bool = False,
) -> Section:
    """A section without the pictures that came out empty.

    Args:
        keys: names of its series; with the name that a reader sees where that is another.
        wide: whether its only picture stands beside its caption.
    """
    kept = [one for one in figures if one["svg"]]
    named_keys = [(one, one) if isinstance(one, str) else one for one in keys]
    return {"id": key, "title": title, "intro": intro, "figures": kept, "keys": named_keys, "wide": wide}


def picture(title: str, drawn: str, caption: str = "", kind: str = "") -> Figure:
    return {"title": title, "svg": Markup(drawn), "caption": caption, "kind": kind}


def named(sides: Mapping[str, Any]) -> dict[str, Any]:
    """What there is of each side, under the name that a reader knows it by, real rows first."""
    return {name: sides[side] for side, name in SIDES.items() if sides.get(side)}

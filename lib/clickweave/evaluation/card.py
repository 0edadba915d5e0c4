"""The data card that lies beside a published version."""

from collections.abc import Collection, Mapping
from typing import Any

from clickweave.config.load import Recipe
from clickweave.contracts.tables import ORIGINS
from clickweave.evaluation.figures import bound, figure
from clickweave.frames.augment.chain import chain_name


def data_card(
    recipe: Recipe,
    counts: dict[str, int],
    report: dict[str, Any],
    *,
    shareable: bool = False,
    about: str = "",
    what_if: int = 0,
) -> str:
    """Markdown: source and terms, what is in it by origin, how it was judged, what it is for and not for.

    Args:
        counts: rows of the mixed table by origin.
        shareable: whether the mix holds generated rows alone, as strategy `replace` proves.
        about: a paragraph before the counts, such as `about_days`.
        what_if: items that do not exist.
    """
    rows = "\n".join(f"| {origin} | {counts.get(origin, 0):,} |" for origin in ORIGINS)
    verdicts = "\n".join(
        f"| {row['id']} | {row['name']} | {figure(row['score'], row['unit'])} | {bound(row, 'gate')} | {row['grade']} |"
        for row in report["rows"]
    )
    operators = ", ".join(chain_name(chain) for chain in recipe.augment.operators) or "none"
    return f"""# Data card: {recipe.dataset}

{report["verdict"]["sentence"]}

## Source and terms
- Events: `{recipe.source.events.path}`
- Terms: {recipe.terms or "not stated in the recipe; ask the owner of the log before sharing"}

## What is in it
{about}| origin | rows |
|---|---|
{rows}

Augmentation: {operators}. Generator: {recipe.train.generator}. Mix: {recipe.mix.strategy}. Each row says in `origin`,
`op` and `parent_id` where it came from. {_sharing(recipe, shareable)}{_of_what_if(what_if)}

## How it was judged
| row | what | value | gate | grade |
|---|---|---|---|---|
{verdicts}

Held-out entities are in none of these rows. Full figures: report.json and report.html.

## Use
For training recommenders, search rankers and click models on this platform. Not for statistics about people, and not as
a test set: measure on real held-out data (`clickweave export --table holdout`).
"""


_RE_ENACTED = """Users of generated rows have new ids, but re-enact real users of the training part with
their attributes"""
_NOT_TO_BE_SHARED = f"""{_RE_ENACTED}; this mix also holds real rows. Neither is anonymous: share it only with whom the
log may be shared."""
_SHAREABLE = """This mix is shareable: it was checked to hold generated rows alone, no real, augmented or blended row,
no history that goes on with a real one, no parent and no real user id. What a generated row may still tell of real
people is measured by the rows P below."""


def _of_what_if(num_items: int) -> str:
    if not num_items:
        return ""
    return f"""

{num_items:,} items do not exist: they are what-if items of sample.targets, and `what_if` is true for them in `items`.
Events of them have `:what_if` in `op`, and tell what similar items were like, nothing that was observed."""


def about_days(days: Mapping[str, int], made: Collection[str]) -> str:
    """What the card of a version by days is about.

    Args:
        days: rows of each day of the version, at least one.
        made: those of them that this run made.
    """
    return (
        f"{sum(days.values()):,} rows of {len(days)} days from {min(days)} to {max(days)}, each published by the run "
        f"that last processed it. This run made {len(made)} of them, {min(made)} to {max(made)}; what follows is about "
        "the rows that it mixed.\n\n"
    )


def _sharing(recipe: Recipe, shareable: bool) -> str:
    """With whom it may be shared, as far as we can say."""
    if not shareable:
        return _NOT_TO_BE_SHARED
    if recipe.encode.grain == "entity":
        return _SHAREABLE
    return f"{_SHAREABLE} {_RE_ENACTED}: look at those before you share it."

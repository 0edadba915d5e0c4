"""The data card that lies beside a published version."""

from collections.abc import Collection, Mapping
from typing import Any

from clickweave.config.load import Recipe
from clickweave.config.log import FileSource
from clickweave.contracts.tables import ORIGINS
from clickweave.evaluation.page.figures import bound, figure
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
    """Markdown, under the headings of Gebru et al. 2021 (Datasheets for Datasets), with the uses, limits and summary
    that Pushkarna et al. 2022 (Data Cards) ask for.

    Args:
        counts: rows of the mixed table by origin.
        shareable: whether the mix holds generated rows alone, as strategy `replace` proves.
        about: a paragraph before the counts, such as `about_days`.
        what_if: items that do not exist.
    """
    verdict, more = report["verdict"], _sharing(recipe, shareable) + _of_what_if(what_if)
    return f"""# Data card: {recipe.dataset}

{verdict["sentence"]} {verdict.get("findings", "")}

## Motivation
Made by clickweave from a real click log, as {"a set to share in its place" if shareable else "a training set"}.

## Source and terms
- Events: `{recipe.source.events.path}`; items: {_path(recipe.source.items)}; users: {_path(recipe.source.users)}
- Terms: {recipe.terms or "not stated in the recipe; ask the owner of the log before sharing"}

{_composition(counts, about, more)}

## Collection and processing
{_made(recipe)}

## How it was judged
| row | what | value | gate | grade |
|---|---|---|---|---|
{_verdicts(report)}

{_of_loosened(report)}Held-out entities are in none of these rows. Full figures: report.json and report.html.

## Limits
{_limits(report)}

{_USE}
## Distribution and maintenance
A version is never changed: a new run publishes a new one beside it. Its folder holds manifest.json with the settings'
digests, the code's version and the files. {_terms_bind(recipe)}
"""


_USE = """## Intended use
For training recommenders, search rankers and click models on this platform.

## Out-of-scope use
Not for statistics about people, nor for decisions about single ones; not for finding out who is in the log; and not as
a test set: measure on real held-out data (`clickweave export --table holdout`).

"""


def _composition(counts: Mapping[str, int], about: str, more: str) -> str:
    rows = "\n".join(f"| {origin} | {counts.get(origin, 0):,} |" for origin in ORIGINS)
    return f"""## Composition
{about}| origin | rows |
|---|---|
{rows}

One row is one event. Each says in `origin`, `op` and `parent_id` where it came from, and in `weight` how much it
counts. {more}"""


def _path(source: FileSource | None) -> str:
    return "derived from the events" if source is None else f"`{source.path}`"


def _made(recipe: Recipe) -> str:
    """What the recipe did, stage by stage."""
    operators = ", ".join(chain_name(chain) for chain in recipe.augment.operators) or "none"
    split = recipe.split
    return f"""- Contract: rows that break it were put into quarantine; exact duplicates are dropped.
- Split, before anything was fitted: {split.holdout_share:.0%} of the entities held out{_last_days(split.test_share)}.
- Augmentation: {operators}.
- Generator: {recipe.train.generator}, seed {recipe.train.seed}; rows drawn with seed {recipe.sample.seed}.
- Alignment: privacy filter {_on(recipe.align.privacy_filter)}, label rates {_on(recipe.align.calibrate_labels)}, \
numbers {_on(recipe.align.calibrate_numbers)}.
- Mix: {recipe.mix.strategy}, seed {recipe.mix.seed}."""


def _last_days(test_share: float) -> str:
    return f", and the last {test_share:.0%} of the time" if test_share else ""


def _on(switch: bool) -> str:
    return "on" if switch else "off"


def _verdicts(report: Mapping[str, Any]) -> str:
    return "\n".join(
        f"| {row['id']} | {row['name']} | {figure(row['score'], row['unit'])} | {bound(row, 'gate')} | {row['grade']} |"
        for row in report["rows"]
    )


def _of_loosened(report: Mapping[str, Any]) -> str:
    loose = [f"{row['id']} {row['name']}" for row in report["rows"] if row.get("loosened")]
    return f"The recipe loosened these gates: {', '.join(loose)}.\n\n" if loose else ""


def _limits(report: Mapping[str, Any]) -> str:
    """Figures that miss their gate, and those that could not be said."""
    red = [f"- {row['id']} {row['name']} misses its gate." for row in report["rows"] if row["grade"] == "red"]
    unsaid = [f"- {row['id']} {row['name']}: {row['note']}." for row in report["rows"] if row["grade"] == "na"]
    general = "- What the log does not hold, such as items nobody was shown, no row of this set can tell."
    return "\n".join([*red, *unsaid, general])


def _terms_bind(recipe: Recipe) -> str:
    told = recipe.terms or "unknown"
    return f"The terms of the source ({told}) bind whoever gets it, as far as rows or figures come from it."


_RE_ENACTED = """Users of generated rows have new ids, but re-enact real users of the training part with
those of their attributes that others have too"""
_NOT_TO_BE_SHARED = f"""{_RE_ENACTED}; this mix also holds real rows. Neither is anonymous: share it only with whom the
log may be shared."""
_SHAREABLE = """This mix is shareable: it was checked to hold generated rows alone, no real, augmented or blended row,
no history that goes on with a real one, no parent and no real user id. What a generated row may still tell of real
people is measured by the rows P of the report."""


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

"""query_edit: queries as users mistype or rephrase them: letters of any script, words, or another query for an item.

Edits of letters and words after Wei and Zou (2019) and of queries by common clicks after Craswell and Szummer (2007).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.errors import ConfigError
from clickweave.frames.augment.copies import Sources

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

CHANGES_ITEM = False  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False
LEAST_LETTERS = 4  # of a query whose letters are edited: of fewer one is too much
MOST_QUERIES = 50  # of one item that may stand in for each other
LETTERS = ("swap_letters", "drop_letter", "double_letter")
WORDS = ("drop_word", "swap_words")
Kind = Literal["swap_letters", "drop_letter", "double_letter", "drop_word", "swap_words", "coclick"]


class Params(Section):
    """Parameters of `query_edit`."""

    name: Literal["query_edit"] = "query_edit"
    share: float = Field(0.2, ge=0, le=1, description="share of rows with a query that get a copy with another one")
    rate: float = Field(0.1, ge=0, le=1, description="edits, per letter of the query, rounded up")
    max_edits: int = Field(2, ge=1, le=10, description="edits of one query, at most")
    kinds: tuple[Kind, ...] = Field(
        ("swap_letters", "drop_letter", "double_letter", "drop_word", "swap_words", "coclick"),
        min_length=1,
        description="of edits; coclick: a query clicked for the same item",
    )

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no queries."""
        if log.query is None:
            raise ConfigError("augment operator query_edit needs schema.query")
        if self.kinds == ("coclick",) and log.item is None:
            raise ConfigError("augment operator query_edit with kinds: [coclick] needs schema.item")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit."""


def apply(sources: Sources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """One copy of a seeded share of rows with a query, edited by one kind that its text allows.

    Letters are code points, words what blanks part. Queries that come out empty or as they were are no copies; item and
    label stay. Narrow, but with coclick one shuffle of clicked queries and one join by item.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import row_copies
    from clickweave.frames.draws import unit_draw

    rows = sources.train.where(F.col("query").isNotNull())
    rows = rows.where(unit_draw("row_id", salt="query_edit", seed=seed) < params.share)
    none = F.array().cast("array<string>")
    if "coclick" in params.kinds and log.item is not None:
        rows = rows.join(_coclicked(sources.train), "item_id", "left")
    else:
        rows = rows.withColumn("_others", none)
    rows = rows.withColumn("_others", F.array_remove(F.coalesce("_others", none), F.col("query")))
    letters, words = F.split("query", ""), F.split(F.trim("query"), r"\s+")
    rows = rows.withColumns({"_letters": letters, "_words": words})
    rows = rows.withColumn("_kind", _kind(params, seed)).where(F.col("_kind").isNotNull())
    edits = F.least(F.ceil(F.size("_letters") * F.lit(params.rate)), F.lit(params.max_edits)).cast("int")
    numbers = F.slice(F.sequence(F.lit(0), edits), F.lit(2), edits)

    def once_more(letters: Column, number: Column) -> Column:
        return _edited(letters, F.col("_kind"), unit_draw(F.col("row_id"), number, salt="query_edit letter", seed=seed))

    letters = F.aggregate(numbers, F.col("_letters"), once_more)
    words = _edited(F.col("_words"), F.col("_kind"), unit_draw("row_id", salt="query_edit word", seed=seed))
    place = F.floor(unit_draw("row_id", salt="query_edit other", seed=seed) * F.size("_others")).cast("int") + 1
    text = (
        F.when(F.col("_kind") == "coclick", F.try_element_at("_others", place))
        .when(F.col("_kind").isin(*WORDS), F.array_join(words, " "))
        .otherwise(F.array_join(letters, ""))
    )
    made = rows.withColumn("_text", text).where("trim(_text) <> '' and _text <> query")
    made = made.withColumn("query", F.col("_text"))
    return row_copies(made, f"query_edit {seed}").select(*sources.train.columns)


def _kind(params: Params, seed: int) -> Column:
    """One of the kinds that the row's text allows, each as likely; null where none does."""
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    allowed = {name: F.size("_letters") >= LEAST_LETTERS for name in LETTERS}
    allowed |= {name: F.size("_words") >= 2 for name in WORDS} | {"coclick": F.size("_others") >= 1}
    kinds = F.array_compact(F.array(*[F.when(allowed[name], F.lit(name)) for name in params.kinds]))
    place = F.floor(unit_draw("row_id", salt="query_edit kind", seed=seed) * F.size(kinds)).cast("int") + 1
    return F.when(F.size(kinds) > 0, F.try_element_at(kinds, place))


def _edited(parts: Column, kind: Column, draw: Column) -> Column:
    """An array after one edit at a drawn place: a part swapped with the next one, dropped, or (letters) doubled."""
    from pyspark.sql import functions as F

    place = (F.floor(draw * F.size(parts)) + 1).cast("int")  # from 1
    first = F.least(place, F.size(parts) - 1)
    before, after = F.slice(parts, F.lit(1), place - 1), F.slice(parts, place + 1, F.size(parts))
    pair = F.reverse(F.slice(parts, first, F.lit(2)))
    swapped = F.concat(F.slice(parts, F.lit(1), first - 1), pair, F.slice(parts, first + 2, F.size(parts)))
    doubled = F.concat(F.slice(parts, F.lit(1), place), F.slice(parts, place, F.size(parts)))
    swaps, drops = kind.startswith("swap"), kind.startswith("drop")
    found = F.when(F.size(parts) < 2, parts).when(swaps, swapped).when(drops, F.concat(before, after))
    return found.when(kind.startswith("double"), doubled).otherwise(parts)


def _coclicked(train: DataFrame) -> DataFrame:
    """item_id and _others, up to MOST_QUERIES queries that were clicked for it, in order of their hash."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    clicked = (
        train.where("label >= 1 and query is not null and item_id is not null").select("item_id", "query").distinct()
    )
    order = Window.partitionBy("item_id").orderBy(F.xxhash64("query"), "query")
    some = clicked.withColumn("_place", F.row_number().over(order)).where(F.col("_place") <= MOST_QUERIES)
    return some.groupBy("item_id").agg(F.array_sort(F.collect_list("query")).alias("_others"))

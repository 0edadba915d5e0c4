"""query_edit: queries as users mistype or rephrase them: letters of any script, words, or another query for an item.

Edits of letters and words after Wei and Zou (2019) and of queries by common clicks after Craswell and Szummer (2007).
"""

from __future__ import annotations

from collections.abc import Sequence
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
JOINED = r"[\p{M}\x{200D}\x{FE0F}\x{1F3FB}-\x{1F3FF}\x{1F1E6}-\x{1F1FF}]"  # marks, joiners, skin tones, flags
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
    """One copy of a seeded share of rows with a query, edited by a drawn kind; where the text does not allow that,
    by a kind of letters that is asked for, if it is long enough.

    Letters are code points; of texts with combining marks or joined emoji none is edited, since that could break a
    sign. Words are what blanks part; one edit of words is made, however many are allowed. Queries that come out empty
    or as they were are no copies; item and label stay. Narrow, but for coclick one shuffle of clicked queries and one
    join by item of the rows that drew it.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import row_copies
    from clickweave.frames.draws import unit_draw

    rows = sources.train.where(F.col("query").isNotNull())
    rows = rows.where(unit_draw("row_id", salt="query_edit", seed=seed) < params.share)
    kinds = [kind for kind in params.kinds if kind != "coclick" or log.item is not None]
    place = F.floor(unit_draw("row_id", salt="query_edit kind", seed=seed) * len(kinds)).cast("int") + 1
    rows = rows.withColumn("_kind", F.element_at(F.array(*[F.lit(kind) for kind in kinds]), place))
    rows = rows.withColumn("_text", F.lit(None).cast("string"))
    if "coclick" in kinds:
        clicked = _other_queries(rows.where("_kind = 'coclick'").drop("_text"), sources.train, seed)
        rows = rows.where("_kind <> 'coclick'").unionByName(clicked.select(*rows.columns))
    words, draw = F.split(F.trim("query"), r"\s+"), unit_draw("row_id", salt="query_edit word", seed=seed)
    by_words = F.when(F.col("_kind").isin(*WORDS) & (F.size(words) >= 2), _edited_words(words, draw))
    rows = rows.withColumn("_text", F.coalesce("_text", by_words))
    edited = _with_edited_letters(rows, [kind for kind in kinds if kind in LETTERS], params, seed)
    # not a filter: Spark would push it through the edits and make them twice
    changed = F.when((F.trim("_edited") != "") & (F.col("_edited") != F.col("query")), F.col("_edited"))
    made = edited.withColumn("query", F.explode(F.array_compact(F.array(changed))))
    return row_copies(made, log, f"query_edit {seed}").select(*sources.train.columns)


def _with_edited_letters(rows: DataFrame, kinds: Sequence[str], params: Params, seed: int) -> DataFrame:
    """Adds `_edited`: `_text`, or where that is null the query after some edits of letters, if it is long enough for
    any. Each edit swaps a letter with the next one, drops or doubles it. Narrow.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    rows = rows.withColumn("_edited", F.coalesce("_text", "query"))
    if not kinds:
        return rows
    place = (F.floor(unit_draw("row_id", salt="query_edit letters", seed=seed) * len(kinds)) + 1).cast("int")
    drawn = F.element_at(F.array(*[F.lit(kind) for kind in kinds]), place)
    whole = (F.octet_length("query") == F.length("query")) | ~F.col("query").rlike(JOINED)  # the first is quick to tell
    enough = F.col("_text").isNull() & (F.length("query") >= LEAST_LETTERS) & whole
    edits = F.least(F.ceil(F.length("query") * F.lit(params.rate)), F.lit(params.max_edits))
    rows = rows.withColumns(
        {
            "_letters": F.when(F.col("_kind").isin(*LETTERS), F.col("_kind")).otherwise(drawn),
            "_edits": F.when(enough, edits).otherwise(0),
        }
    )
    for number in range(params.max_edits):
        at = unit_draw(F.col("row_id"), F.lit(number), salt="query_edit letter", seed=seed)
        once_more = F.when(F.col("_edits") > number, _edited_letter(at)).otherwise(F.col("_edited"))
        rows = rows.withColumn("_edited", once_more)
    return rows


def _edited_letter(draw: Column) -> Column:
    """`_edited` with one letter more swapped, dropped or doubled, by `_letters`."""
    from pyspark.sql import functions as F

    kind = F.col("_letters")
    length = F.when(kind == "swap_letters", 2).otherwise(1)
    at = (F.floor(draw * (F.length("_edited") - length + 1)) + 1).cast("int")
    old = F.substr("_edited", at, length)
    new = F.when(kind == "swap_letters", F.reverse(old)).when(kind == "drop_letter", "").otherwise(F.concat(old, old))
    return F.overlay("_edited", new, at, length)


def _edited_words(words: Column, draw: Column) -> Column:
    """The words without a drawn one, or with it and the next one swapped, by `_kind`."""
    from pyspark.sql import functions as F

    at = (F.floor(draw * F.size(words)) + 1).cast("int")  # from 1
    first = F.least(at, F.size(words) - 1)
    dropped = F.concat(F.slice(words, F.lit(1), at - 1), F.slice(words, at + 1, F.size(words)))
    pair = F.reverse(F.slice(words, first, F.lit(2)))
    swapped = F.concat(F.slice(words, F.lit(1), first - 1), pair, F.slice(words, first + 2, F.size(words)))
    return F.array_join(F.when(F.col("_kind") == "drop_word", dropped).otherwise(swapped), " ")


def _other_queries(rows: DataFrame, train: DataFrame, seed: int) -> DataFrame:
    """Rows with `_text`, another query that was clicked for their item, of up to MOST_QUERIES by hash; null where there
    is none.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    clicked = train.where("label >= 1 and query is not null and item_id is not null")
    clicked = clicked.select("item_id", "query").distinct()
    order = Window.partitionBy("item_id").orderBy(F.xxhash64("query"), "query")
    some = clicked.withColumn("_place", F.row_number().over(order)).where(F.col("_place") <= MOST_QUERIES)
    lists = some.groupBy("item_id").agg(F.array_sort(F.collect_list("query")).alias("_others"))
    others = F.array_remove("_others", F.col("query"))
    at = F.floor(unit_draw("row_id", salt="query_edit other", seed=seed) * F.size(others)).cast("int") + 1
    return rows.join(lists, "item_id", "left").withColumn("_text", F.try_element_at(others, at))

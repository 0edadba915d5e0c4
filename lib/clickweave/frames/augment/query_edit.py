"""query_edit: queries as users mistype or rephrase them: letters of any script, words, or another query for an item.

Edits of letters and words after Wei and Zou (2019) and of queries by common clicks after Craswell and Szummer (2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import CATEGORY_KINDS, SchemaConfig
from clickweave.contracts.tables import feature_column
from clickweave.errors import ConfigError
from clickweave.frames.augment.copies import Sources

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

CHANGES_ITEM = False  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False
LEAST_LETTERS = 4  # of a query whose letters are edited: of fewer one is too much
JOINED = r"[\p{M}\x{200D}\x{FE0F}\x{1F3FB}-\x{1F3FF}\x{1F1E6}-\x{1F1FF}]"  # marks, joiners, skin tones, flags
MOST_QUERIES = 50  # of one item that may stand in for each other
MOST_BROADCAST = 1_000_000  # pairs of item and query: some 50 MB on each executor
LEAST_RELEVANT = 0.1  # share of real clicks whose query is less relevant than another query may be
LETTERS = ("swap_letters", "drop_letter", "double_letter")
WORDS = ("drop_word", "swap_words")
Kind = Literal["swap_letters", "drop_letter", "double_letter", "drop_word", "swap_words", "coclick", "category"]


class Params(Section):
    """Parameters of `query_edit`."""

    name: Literal["query_edit"] = "query_edit"
    share: float = Field(0.2, ge=0, le=1, description="share of rows with a query that get a copy with another one")
    rate: float = Field(0.1, ge=0, le=1, description="edits, per letter of the query, rounded up")
    max_edits: int = Field(2, ge=1, le=10, description="edits of one query, at most")
    kinds: tuple[Kind, ...] = Field(
        ("swap_letters", "drop_letter", "double_letter", "drop_word", "swap_words", "coclick"),
        min_length=1,
        description="of edits; coclick: a query clicked for the same item; category: the item's own, as a query",
    )

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no queries, or not what a kind needs."""
        if log.query is None:
            raise ConfigError("augment operator query_edit needs schema.query")
        if self.kinds == ("coclick",) and log.item is None:
            raise ConfigError("augment operator query_edit with kinds: [coclick] needs schema.item")
        if "category" in self.kinds and not _categories(log):
            raise ConfigError("augment operator query_edit with category needs a categorical feature in item_features")


@dataclass(frozen=True)
class Clicked:
    """What real clicks say of queries.

    Attributes:
        least_share: of a query's clicks an item must have so that the query may stand in for another one.
        pairs: of items and queries that were clicked together.
    """

    least_share: float
    pairs: int


def fit(sources: Sources, params: Params, log: SchemaConfig) -> Clicked | None:
    """With coclick one aggregate over clicked pairs of item and query, two shuffles; at most 1,001 rows come back."""
    from pyspark.sql import functions as F

    if "coclick" not in params.kinds or log.item is None:
        return None
    shares = _pairs(sources.train).groupBy(F.round("share", 3).alias("share"))
    rows = shares.agg(F.sum("clicks").alias("clicks"), F.count(F.lit(1)).alias("pairs")).orderBy("share").collect()
    wanted, below, least = LEAST_RELEVANT * sum(row["clicks"] for row in rows), 0, 0.0
    for row in rows:
        if below < wanted:
            below, least = below + row["clicks"], row["share"]
    return Clicked(least, sum(row["pairs"] for row in rows))


def apply(sources: Sources, fitted: Clicked | None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """One copy of a seeded share of rows with a query, edited by a drawn kind; where the text does not allow that,
    by a kind of letters that is asked for, if it is long enough.

    Letters are code points; of texts with combining marks or joined emoji none is edited, since that could break a
    sign. Words are what blanks part; one edit of words is made, however many are allowed. Another query is one for
    which the item is at least as relevant, by its share of the query's clicks, as for all but a tenth of real clicks.
    Queries that come out empty or as they were are no copies; item and label stay. Narrow, but for coclick three
    shuffles of clicked pairs and one join of rows by item, by broadcast up to MOST_BROADCAST pairs (four exchanges),
    and for category one join by item.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import row_copies
    from clickweave.frames.draws import unit_draw

    rows = sources.train.where(F.col("query").isNotNull())
    rows = rows.where(unit_draw("row_id", salt="query_edit", seed=seed) < params.share)
    kinds = [kind for kind in params.kinds if kind != "coclick" or fitted is not None]
    place = F.floor(unit_draw("row_id", salt="query_edit kind", seed=seed) * len(kinds)).cast("int") + 1
    rows = rows.withColumn("_kind", F.element_at(F.array(*[F.lit(kind) for kind in kinds]), place))
    kind, texts = F.col("_kind"), []
    if fitted is not None:
        rows = rows.join(_other_queries(sources.train, fitted), "item_id", "left")
        others = F.array_remove("_others", F.col("query"))
        at = F.floor(unit_draw("row_id", salt="query_edit other", seed=seed) * F.size(others)).cast("int")
        texts.append(F.when(kind == "coclick", F.get(others, at)))
    if "category" in kinds and sources.items is not None:
        known = sources.items.select("item_id", F.col(_categories(log)[0]).cast("string").alias("_category"))
        rows = rows.join(known, "item_id", "left")
        texts.append(F.when(kind == "category", F.col("_category")))
    rows = rows.withColumn("_words", F.when(kind.isin(*WORDS), F.array_remove(F.split("query", " "), "")))
    most = F.size("_words") - F.when(kind == "swap_words", 1).otherwise(0)  # the last has no next one
    at_word = F.floor(unit_draw("row_id", salt="query_edit word", seed=seed) * most) + 1
    rows = rows.withColumn("_at_word", at_word.cast("int"))
    texts.append(F.when(F.size("_words") >= 2, _edited_words()))
    letters = [kind for kind in kinds if kind in LETTERS]
    edited = _with_edited_letters(rows, texts, letters, params, seed)
    # not a filter: Spark would push it through the edits and make them twice
    changed = (F.trim("_edited") != "") & (F.col("_edited") != F.col("query"))
    made = edited.withColumn("query", F.explode(F.when(changed, F.array("_edited"))))
    return row_copies(made, log, f"query_edit {seed}").select(*sources.train.columns)


def _categories(log: SchemaConfig) -> list[str]:
    return [feature_column(name) for name, spec in log.item_features.items() if spec.kind in CATEGORY_KINDS]


def _with_edited_letters(
    rows: DataFrame, texts: Sequence[Column], kinds: Sequence[str], params: Params, seed: int
) -> DataFrame:
    """Adds `_edited`: the first of these texts that is not null, or else the query after some edits of letters, if it
    is long enough for any. Narrow.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    if not kinds:
        return rows.withColumn("_edited", F.coalesce(*texts, "query"))
    place = (F.floor(unit_draw("row_id", salt="query_edit letters", seed=seed) * len(kinds)) + 1).cast("int")
    drawn = F.element_at(F.array(*[F.lit(kind) for kind in kinds]), place)
    whole = (F.octet_length("query") == F.length("query")) | ~F.col("query").rlike(JOINED)  # the first is quick to tell
    letters, length = F.when(F.col("_kind").isin(*LETTERS), F.col("_kind")).otherwise(drawn), F.length("query")
    edits = F.least(F.ceil(length * F.lit(params.rate)), F.lit(params.max_edits), F.floor(length / 2))
    told = {
        "_text": F.coalesce(*texts),
        "_letters": letters,
        "_edits": F.when((length >= LEAST_LETTERS) & whole, edits).otherwise(0).cast("int"),
        "_length": length,
        "_num": F.when(letters == "swap_letters", 2).otherwise(1),
    }
    rows, edited = rows.withColumns(told), F.col("query")
    rows = rows.withColumns({f"_at_{number}": _place(number, seed) for number in range(params.max_edits)})
    for number in reversed(range(params.max_edits)):  # from the end, so that places before it stay
        edited = _edited_letter(edited, number)
    return rows.withColumn("_edited", F.coalesce("_text", edited))


def _place(number: int, seed: int) -> Column:
    """A drawn letter, from 1, of the query's part of this number, of `_edits` about equal ones; behind the end where
    there are fewer parts.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    draw = unit_draw(F.col("row_id"), F.lit(number), salt="query_edit letter", seed=seed)
    start, end = (F.floor(F.col("_length") * (number + more) / F.col("_edits")) for more in (0, 1))
    at = start + F.floor(draw * (end - start - F.col("_num") + 1)) + 1
    return F.when(F.col("_edits") > number, at).otherwise(F.col("_length") + 1).cast("int")


def _edited_letter(text: Column, number: int) -> Column:
    """The text with the letter of the query at `_at_<number>` swapped with the next one, dropped or doubled, by
    `_letters`; behind the end of the query that changes nothing.
    """
    from pyspark.sql import functions as F

    at, num = F.col(f"_at_{number}"), F.col("_num")
    old = F.substr("query", at, num)
    new = F.when(F.col("_letters") == "swap_letters", F.reverse(old)).when(F.col("_letters") == "double_letter", old)
    doubles = F.when(F.col("_letters") == "double_letter", 0).otherwise(num)
    return F.overlay(text, F.coalesce(new, F.lit("")), at, doubles)


def _edited_words() -> Column:
    """`_words` without the one at `_at_word`, or with it and the next one swapped, by `_kind`."""
    from pyspark.sql import functions as F

    words, at = F.col("_words"), F.col("_at_word")
    after = F.slice(words, at + 1, F.size(words))
    kept = F.when(F.col("_kind") == "drop_word", after)
    swapped = F.concat(
        F.slice(words, at + 1, F.lit(1)), F.slice(words, at, F.lit(1)), F.slice(words, at + 2, F.size(words))
    )
    return F.array_join(F.concat(F.slice(words, F.lit(1), at - 1), kept.otherwise(swapped)), " ")


def _pairs(train: DataFrame) -> DataFrame:
    """item_id, query, clicks, and the item's share of the query's clicks, of pairs that were clicked."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    clicked = train.where("label >= 1 and query is not null and item_id is not null")
    pairs = clicked.groupBy("query", "item_id").agg(F.count(F.lit(1)).alias("clicks"))
    return pairs.withColumn("share", F.col("clicks") / F.sum("clicks").over(Window.partitionBy("query")))


def _other_queries(train: DataFrame, fitted: Clicked) -> DataFrame:
    """item_id and `_others`, up to MOST_QUERIES queries that led to it, by hash."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    order = Window.partitionBy("item_id").orderBy(F.xxhash64("query"), "query")
    good = (
        _pairs(train).where(F.round("share", 3) >= fitted.least_share).withColumn("_place", F.row_number().over(order))
    )
    some = good.where(F.col("_place") <= MOST_QUERIES).groupBy("item_id")
    lists = some.agg(F.sort_array(F.collect_list("query")).alias("_others"))
    return F.broadcast(lists) if fitted.pairs <= MOST_BROADCAST else lists

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
LETTERS = {"drop_letter": (1, 0), "double_letter": (0, 1), "swap_letters": (2, 2)}  # that go, and that come, reversed
WORDS = ("drop_word", "swap_words")
Kind = Literal["swap_letters", "drop_letter", "double_letter", "drop_word", "swap_words", "coclick", "category"]


class Params(Section):
    """Parameters of `query_edit`."""

    name: Literal["query_edit"] = "query_edit"
    share: float = Field(0.2, ge=0, le=1, description="share of rows with a query that get a copy with another one")
    rate: float = Field(0.1, ge=0, le=1, description="edits of letters, per letter of the query, rounded up")
    max_edits: int = Field(2, ge=1, le=10, description="edits of letters of one query, at most; of words there is one")
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
    """With coclick one aggregate over clicked pairs of item and query, two shuffles; one row comes back."""
    from pyspark.sql import functions as F

    if "coclick" not in params.kinds or log.item is None:
        return None
    least = F.percentile("share", LEAST_RELEVANT, F.col("clicks"))
    row = _pairs(sources.train).agg(least.alias("least"), F.count(F.lit(1)).alias("pairs")).collect()[0]
    return Clicked(row["least"] or 0.0, row["pairs"])


def apply(sources: Sources, fitted: Clicked | None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """One copy of a seeded share of rows with a query, edited by a drawn kind; where the text does not allow that,
    by a kind of letters that is asked for, if it is long enough.

    Letters are code points; of texts with combining marks or joined emoji none is edited, since that could break a
    sign. Words are what blanks part; one edit of words is made. Another query is one for which the item is at least as
    relevant, by its share of the query's clicks, as for all but a tenth of real clicks. Queries that come out empty or
    as they were are no copies; item and label stay. Narrow, but for coclick three shuffles of clicked pairs and one
    join of rows by item, by broadcast up to MOST_BROADCAST pairs (four exchanges), and for category one join by item.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import row_copies
    from clickweave.frames.draws import unit_draw

    rows = sources.train.where(F.col("query").isNotNull())
    rows = rows.where(unit_draw("row_id", salt="query_edit", seed=seed) < params.share)
    kinds = [name for name in params.kinds if name != "coclick" or fitted is not None]
    rows = rows.withColumns(_told(kinds, params, seed))
    kind, texts, places = F.col("_kind"), [], {}
    if fitted is not None:
        rows = _with_other_queries(rows, sources.train, _is(kind, kinds, "coclick"), fitted)
        others = F.array_remove("_others", F.col("query"))
        texts.append(F.when(_is(kind, kinds, "coclick"), F.get(others, _drawn(F.size(others), "other", seed))))
    if "category" in kinds and sources.items is not None:
        known = sources.items.select("item_id", F.col(_categories(log)[0]).cast("string").alias("_category"))
        rows = rows.join(known, "item_id", "left")
        texts.append(F.when(_is(kind, kinds, "category"), F.col("_category")))
    if not set(kinds).isdisjoint(WORDS):
        swap = _is(kind, kinds, "swap_words").cast("int")
        places["_at_word"] = _drawn(F.size("_words") - swap, "word", seed) + 1  # the last has no next one
        texts.append(F.when(F.size("_words") >= 2, _edited_words(swap)))
    if not set(kinds).isdisjoint(LETTERS):
        places |= {f"_at_{number}": _place(number, seed) for number in range(params.max_edits)}
        texts.append(_edited_letters(params.max_edits))
    edited = rows.withColumns(places).withColumn("_edited", F.coalesce(*texts))
    # not a filter: Spark would push it through the edits and make them twice
    changed = (F.trim("_edited") != "") & (F.col("_edited") != F.col("query"))
    made = edited.withColumn("query", F.explode(F.when(changed, F.array("_edited"))))
    return row_copies(made, log, f"query_edit {seed}").select(*sources.train.columns)


def _categories(log: SchemaConfig) -> list[str]:
    return [feature_column(name) for name, spec in log.item_features.items() if spec.kind in CATEGORY_KINDS]


def _told(kinds: Sequence[str], params: Params, seed: int) -> dict[str, Column]:
    """What a row and its query tell: `_kind`, a place in `kinds`; `_words` where its kind is of these; the letters that
    are `_gone` and `_come` by an edit of letters that is asked for, and the number of `_edits`, of `_length` letters.
    """
    from pyspark.sql import functions as F

    kind, length = _drawn(len(kinds), "kind", seed), F.length("query")
    words = F.when(_is(kind, kinds, *WORDS), F.array_remove(F.split("query", " "), ""))
    told = {"_kind": kind, "_words": words}
    letters = [LETTERS[name] for name in kinds if name in LETTERS]
    if letters:
        whole = (F.octet_length("query") == length) | ~F.col("query").rlike(JOINED)  # the first is quick to tell
        edits = F.least(F.ceil(length * F.lit(params.rate)), F.lit(params.max_edits), F.floor(length / 2))
        drawn = _drawn(len(letters), "letters", seed)
        for name, numbers in zip(("_gone", "_come"), zip(*letters, strict=True), strict=True):
            told[name] = F.get(F.array(*map(F.lit, numbers)), drawn)
        told["_edits"] = F.when((length >= LEAST_LETTERS) & whole, edits).otherwise(0).cast("int")
        told["_length"] = length
    return told


def _drawn(num: int | Column, salt: str, seed: int, *key: Column) -> Column:
    """A whole number from 0 below `num`, by the row's id and the key."""
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    return F.floor(unit_draw("row_id", *key, salt=f"query_edit {salt}", seed=seed) * num).cast("int")


def _is(kind: Column, kinds: Sequence[str], *names: str) -> Column:
    """Whether the kind, a place in `kinds`, since texts take longer to compare, is one of these."""
    return kind.isin([place for place, name in enumerate(kinds) if name in names])


def _place(number: int, seed: int) -> Column:
    """A drawn letter, from 1, of the query's part of this number, of `_edits` about equal ones; behind the end where
    there are fewer parts.
    """
    from pyspark.sql import functions as F

    start, end = (F.call_function("div", F.col("_length") * more, F.col("_edits")) for more in (number, number + 1))
    width = end - start - (F.col("_gone") == 2).cast("int")  # the last has no next one
    at = start + _drawn(width, "letter", seed, F.lit(number)) + 1
    return F.when(F.col("_edits") > number, at).otherwise(F.col("_length") + 1).cast("int")


def _edited_letters(max_edits: int) -> Column:
    """The query with the letter at each of `_at_<number>` dropped, doubled or swapped with the next one; behind the end
    that changes nothing.
    """
    from pyspark.sql import functions as F

    pieces, start = [], F.lit(1)
    for number in range(max_edits):
        at = F.col(f"_at_{number}")
        pieces += [F.substr("query", start, at - start), F.reverse(F.substr("query", at, F.col("_come")))]
        start = at + F.col("_gone")
    return F.concat(*pieces, F.substr("query", start))


def _edited_words(swap: Column) -> Column:
    """`_words` without the one at `_at_word`, or, where `swap` is 1 and not 0, with it and the next one swapped."""
    from pyspark.sql import functions as F

    words, at = F.col("_words"), F.col("_at_word")
    before, after = F.slice(words, F.lit(1), at - 1), F.slice(words, at + 1 + swap, F.size(words))
    return F.array_join(F.concat(before, F.reverse(F.slice(words, at, 2 * swap)), after), " ")


def _with_other_queries(rows: DataFrame, train: DataFrame, wanted: Column, fitted: Clicked) -> DataFrame:
    """Adds `_others` to wanted rows: up to MOST_QUERIES queries that led to the item, by hash."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    order = Window.partitionBy("item_id").orderBy(F.xxhash64("query"), "query")
    good = _pairs(train).where(F.col("share") >= fitted.least_share).withColumn("_place", F.row_number().over(order))
    some = good.where(F.col("_place") <= MOST_QUERIES).groupBy(F.col("item_id").alias("_item"))
    lists = some.agg(F.sort_array(F.collect_list("query")).alias("_others"))
    if fitted.pairs > MOST_BROADCAST:
        return rows.join(lists, F.col("item_id") == F.col("_item"), "left")
    # nulls are not looked up; in a shuffle all of them would go to one task
    return rows.join(F.broadcast(lists), F.when(wanted, F.col("item_id")) == F.col("_item"), "left")


def _pairs(train: DataFrame) -> DataFrame:
    """item_id, query, clicks, and share of the query's clicks, to three digits, of pairs that were clicked."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    clicked = train.where("label >= 1 and query is not null and item_id is not null")
    pairs = clicked.groupBy("query", "item_id").agg(F.count(F.lit(1)).alias("clicks"))
    share = F.col("clicks") / F.sum("clicks").over(Window.partitionBy("query"))
    return pairs.withColumn("share", F.round(share, 3))

"""The privacy filter: what coincides with train more often than `reference`, other real people, does.

Real people coincide by chance, so a copy alone is no leak. Of generated rows that equal one of train's, as many are
dropped (by hash) as leaves the share that `reference` has; nothing where that is not exceeded. The two kinds of copies
are those that the report counts (P1): equal in every column a generator fills, time included; and without the time,
where exactly one entity of train has the pattern. With fewer than
LEAST_REFERENCE rows of reference nothing says how often real rows coincide, and exact copies go wholly: of rows with
their time, or where the log has none of patterns that one entity has. Patterns of logs with times and near copies then
stay: without a rate nothing tells chance from leak, and dropping all would empty rare items.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import feature_column
from clickweave.frames.align.texts import marked_private, private_texts
from clickweave.frames.draws import unit_draw

_KEY, _KIND = "_copy_key", "_copy_kind"
TIMED, PATTERN = "copies", "copies_any_time"
MADE, REAL_SIDE = "made", "real"  # sides: generated rows, and those of reference
TARGETED = "_targeted"
MOST_BROADCAST = 1_000_000  # row ids: some 50 MB on each executor
LEAST_REFERENCE = 100  # rows of reference; the share of copies among fewer is chance
UNKNOWN_RATE = (
    "too few rows of reference (split.reference_share) to tell how often real rows coincide: copies of real rows, and "
    "runs of items of one user, are dropped wholly; near copies are not looked for"
)


@dataclass(frozen=True)
class Kind:
    """What counts as a copy.

    Attributes:
        values: in which rows are equal (`compared_columns`).
        owned: whether only what exactly one entity of train has counts.
    """

    name: str
    values: tuple[Column, ...]
    owned: bool


@dataclass(frozen=True)
class Share:
    """Of `total` rows, how many are such."""

    found: int
    total: int

    @property
    def share(self) -> float:
        return self.found / self.total if self.total else 0.0


@dataclass(frozen=True)
class Excess:
    """What a filter drops.

    Attributes:
        made, real: how many generated rows, and rows of reference, coincide with train.
    """

    made: Share
    real: Share

    @property
    def drop_share(self) -> float:
        """Share of the coinciding generated rows that must go, so that the share among what stays is the real one; all
        where there are no real rows to compare with.
        """
        rest = 1.0 - self.real.share
        if not self.made.found or rest <= 0:
            return 0.0
        beyond = (self.made.found - self.real.share * self.made.total) / rest
        return min(1.0, max(0.0, beyond / self.made.found))

    @property
    def num_dropped(self) -> int:
        """Rows that must go, about: each is drawn by itself."""
        return round(self.made.found * self.drop_share)

    @property
    def figures(self) -> dict[str, float]:
        """For the manifest; shares, `after` as expected."""
        kept = self.made.found * (1 - self.drop_share)
        left = self.made.total - self.made.found * self.drop_share
        shares = {"before": self.made.share, "after": kept / left if left else 0.0}
        shares |= {"reference": self.real.share} if self.real.total else {}
        return {name: round(share, 9) for name, share in shares.items()} | {
            "copies": self.made.found,
            "dropped": self.num_dropped,
        }


def compared_columns(log: SchemaConfig, *, timed: bool) -> list[Column]:
    """What makes a row: all that a generator fills, ids of people left out. A time is compared by its distance from
    event_time, since the event's own is compared or not.
    """
    values = [F.col(name).cast("string") for name in ("item_id", "query", "label")]
    values += [F.col(name).cast("double") for name in ("position", "propensity")]
    for name, spec in log.event_features.items():
        value = F.col(feature_column(name))
        if spec.kind == "vector":
            continue
        if spec.kind == "time":
            start = F.lit(0) if log.event_time is None else F.unix_micros("event_time")
            value = F.unix_micros(value) - start
        values.append(value.cast("double") if spec.kind == "numeric" else value.cast("string"))
    return [*values, F.unix_micros("event_time")] if timed else values


def kind_of(name: str, log: SchemaConfig) -> Kind:
    """TIMED: equal in all that a generator fills; PATTERN: without the time, and of exactly one entity."""
    return Kind(name, tuple(compared_columns(log, timed=name == TIMED)), owned=name == PATTERN)


def copies_among(sides: Mapping[str, DataFrame], train: DataFrame, kinds: Sequence[Kind]) -> DataFrame:
    """One row per row of a side that is a copy of any kind: `side`, row_id, targeted (a column of the sides) and a bool
    by the name of each kind.

    Cost: of train and of the sides, one shuffle by key of a narrow row per kind; of copies one by row_id.
    """
    holders = F.min("entity_id").alias("first"), F.max("entity_id").alias("last"), F.min(_KIND).alias(_KIND)
    owned = [number for number, kind in enumerate(kinds) if kind.owned]
    known = _with_keys(train, kinds, "entity_id").groupBy(_KEY).agg(*holders)
    known = known.where(~F.col(_KIND).isin(owned) | (F.col("first") == F.col("last"))).select(_KEY)
    told = ("side", "row_id", TARGETED)
    keyed = [_with_keys(rows.withColumn("side", F.lit(side)), kinds, *told) for side, rows in sides.items()]
    found = reduce(DataFrame.unionByName, keyed).join(known, _KEY, "left_semi").groupBy(*told)
    return found.agg(*[F.max(F.col(_KIND) == number).alias(kind.name) for number, kind in enumerate(kinds)])


def fit_excess(copies: DataFrame, kind: Kind, num: Mapping[str, int], gone: Column, exempt: Column) -> Excess:
    """How often the rows of either side are copies of one kind; one aggregate over `copies_among`.

    Args:
        num: rows of either side that are not exempt.
        gone: whether a generated row was dropped before, which counts no more.
        exempt: rows that this kind is not asked of.
    """
    made = F.col("side") == MADE
    left, hit = ~(made & gone) & ~exempt, F.col(kind.name)
    counted = F.count_if(hit & left).alias("found"), F.count_if(made & gone & ~exempt).alias("gone")
    rows = {row["side"]: row for row in copies.groupBy("side").agg(*counted).collect()}
    shares = {
        side: Share(rows[side]["found"], num[side] - rows[side]["gone"]) if side in rows else Share(0, num[side])
        for side in (MADE, REAL_SIDE)
    }
    return Excess(shares[MADE], shares[REAL_SIDE])


def drawn_copies(kind: Kind, excess: Excess, *, seed: int) -> Column:
    """Whether a copy is of those that must go, by the hash of its row_id."""
    drawn = unit_draw("row_id", salt=f"align {kind.name}", seed=seed)
    return F.col(kind.name) & (drawn < F.lit(excess.drop_share))


def without_rows(events: DataFrame, dropped: DataFrame, num: int) -> DataFrame:
    """Events without the `num` rows whose row_id is in `dropped`. By broadcast up to MOST_BROADCAST ids, so that events
    stay where they lie, else one shuffle of them by row_id.
    """
    if not num:
        return events
    ids = dropped.select("row_id")
    return events.join(F.broadcast(ids) if num <= MOST_BROADCAST else ids, "row_id", "left_anti")


def _with_keys(rows: DataFrame, kinds: Sequence[Kind], *columns: str) -> DataFrame:
    """These columns and, one row per kind, its number and the hash of its values; null equals null. Narrow."""
    keys = [
        F.xxhash64(F.lit(number), *[part for value in kind.values for part in (value.isNull(), value)])
        for number, kind in enumerate(kinds)
    ]
    return rows.select(*columns, F.posexplode(F.array(*keys)).alias(_KIND, _KEY))


def private_values(train: DataFrame, names: Sequence[str], *, min_users: int) -> dict[str, DataFrame]:
    """By column, the values of fewer than `min_users` entities of train. One shuffle by value each."""
    return {name: private_texts(train, name, min_users=min_users) for name in names} if min_users > 1 else {}


def without_private_values(events: DataFrame, private: dict[str, DataFrame]) -> tuple[DataFrame, list[str]]:
    """Events with null in place of such values, and `_private_<number>`: which rows had one, by column. One
    join by value each.
    """
    marks = []
    for place, (name, values) in enumerate(private.items()):
        mark = f"_private_{place}"
        marked = marked_private(events, values, name).withColumnRenamed("_private", mark)
        events = marked.withColumn(name, F.when(~F.col(mark), F.col(name)))
        marks.append(mark)
    return events, marks

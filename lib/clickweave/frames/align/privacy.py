"""The privacy filter: what coincides with train more often than `reference`, other real people, does.

Real people coincide by chance, so a copy alone is no leak. Of generated rows that equal one of train's, as many are
dropped (by hash) as leaves the share that `reference` has; nothing where that is not exceeded. The two kinds of copies
are those that the report counts (P1): equal in every column a generator fills, time included; and without the time,
where exactly one entity of train has the pattern. With fewer than
LEAST_REFERENCE rows of reference nothing says how often real rows coincide, and exact copies go wholly: of rows with
their time, or where the log has none of patterns that one entity has. Patterns of logs with times and near copies then
stay: without a rate nothing tells chance from leak, and dropping all would empty rare items.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import feature_column
from clickweave.frames.align.texts import marked_private, private_texts
from clickweave.frames.draws import unit_draw

_KEY = "_copy_key"
TIMED, PATTERN = "copies", "copies_any_time"
LEAST_REFERENCE = 100  # rows of reference; the share of copies among fewer is chance
UNKNOWN_RATE = (
    "too few rows of reference (split.reference_share) to tell how often real rows coincide: copies of real rows, and "
    "runs of items of one user, are dropped wholly; near copies are not looked for"
)


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
    def figures(self) -> dict[str, float]:
        """For the manifest; shares, `after` as expected."""
        kept = self.made.found * (1 - self.drop_share)
        left = self.made.total - self.made.found * self.drop_share
        shares = {"before": self.made.share, "after": kept / left if left else 0.0}
        shares |= {"reference": self.real.share} if self.real.total else {}
        return {name: round(share, 9) for name, share in shares.items()} | {
            "copies": self.made.found,
            "dropped": round(self.made.found * self.drop_share),
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


def with_copy_key(rows: DataFrame, values: Sequence[Column]) -> DataFrame:
    """Adds the hash of these values; null equals null. Narrow."""
    return rows.withColumn(_KEY, F.xxhash64(*[part for value in values for part in (value.isNull(), value)]))


def known_keys(train: DataFrame, values: Sequence[Column], *, owned: bool) -> DataFrame:
    """One row per key of train as `_copy_key`; with `owned` those that exactly one entity has. One shuffle by key."""
    holders = F.min("entity_id").alias("first"), F.max("entity_id").alias("last")
    keys = with_copy_key(train, values).groupBy(_KEY).agg(*holders)
    return (keys.where("first = last") if owned else keys).select(_KEY)


def fit_copies(events: DataFrame, reference: DataFrame, known: DataFrame, values: Sequence[Column]) -> Excess:
    """How often generated rows and those of reference are copies; one shuffle of each by key."""
    sides = [rows.withColumn("_side", F.lit(side)) for side, rows in (("made", events), ("real", reference))]
    keyed = reduce(DataFrame.unionByName, [with_copy_key(rows, values).select("_side", _KEY) for rows in sides])
    hit = known.select(_KEY, F.lit(1).alias("_hit"))
    counts = keyed.join(hit, _KEY, "left").groupBy("_side")
    found = counts.agg(F.count("_hit").alias("found"), F.count(F.lit(1)).alias("total")).collect()
    shares = {row["_side"]: Share(int(row["found"]), int(row["total"])) for row in found}
    return Excess(shares.get("made", Share(0, 0)), shares.get("real", Share(0, 0)))


def without_copies(
    events: DataFrame, known: DataFrame, values: Sequence[Column], fitted: Excess, *, salt: str, seed: int
) -> DataFrame:
    """Events without the excess of copies, drawn by the hash of their row_id. One shuffle by key; none where nothing
    is dropped.
    """
    if fitted.drop_share == 0.0:
        return events
    drawn = unit_draw("row_id", salt=f"align {salt}", seed=seed) < F.lit(fitted.drop_share)
    hit = known.select(_KEY, F.lit(True).alias("_hit"))
    joined = with_copy_key(events, values).join(hit, _KEY, "left")
    return joined.where(~(F.coalesce("_hit", F.lit(False)) & drawn)).drop(_KEY, "_hit")


def private_values(train: DataFrame, names: Sequence[str], *, min_users: int) -> dict[str, DataFrame]:
    """By column, the values of fewer than `min_users` entities of train. One shuffle by value each."""
    return {name: private_texts(train, name, min_users=min_users) for name in names} if min_users > 1 else {}


def without_private_values(events: DataFrame, private: dict[str, DataFrame]) -> tuple[DataFrame, list[str]]:
    """Events with null in place of such values, and `_private_<number>`: which rows had one, by column. Rows that lose
    their only key go with `with_some_key`. One join by value each.
    """
    marks = []
    for place, (name, values) in enumerate(private.items()):
        mark = f"_private_{place}"
        marked = marked_private(events, values, name).withColumnRenamed("_private", mark)
        events = marked.withColumn(name, F.when(~F.col(mark), F.col(name)))
        marks.append(mark)
    return events, marks


def with_some_key(events: DataFrame) -> DataFrame:
    """Events that have an item or a query. Narrow."""
    return events.where(F.col("item_id").isNotNull() | F.col("query").isNotNull())

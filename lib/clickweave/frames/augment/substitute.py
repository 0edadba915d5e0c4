"""substitute: some items of a session are swapped for similar ones; their attributes follow, popularity stays.

The item substitution of CoSeRec (Liu et al. 2021, section 3.2), with the acceptance of Metropolis and Hastings
(Hastings 1970, equation 6), so that popular items do not become more popular: on the graph of mutual neighbours the law
of items by their events is the one that swaps leave as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.errors import ConfigError
from clickweave.frames.augment.copies import Sources, check_sessions
from clickweave.frames.augment.neighbours import NEIGHBOURS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

CHANGES_ITEM = True  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = True


class Params(Section):
    """Parameters of `substitute`."""

    name: Literal["substitute"] = "substitute"
    share: float = Field(0.2, ge=0, le=1, description="share of sessions that get a copy with other items")
    rate: float = Field(0.2, ge=0, le=1, description="share of the copy's events that may get another item")
    tau: float = Field(0.1, ge=0, le=1, description="least similarity of the new item")
    label_tau: float = Field(0.3, ge=0, le=1, description="least similarity where the event has a label of 1 or more")
    k: int = Field(10, ge=1, le=NEIGHBOURS, description="neighbours of an item that may stand in for it")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no sessions or no items."""
        check_sessions(log, "substitute")
        if log.item is None:
            raise ConfigError("augment operator substitute needs schema.item")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit: the neighbours stay in Spark."""


def apply(sources: Sources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Copies of a seeded share of sessions in which at least one item is another; such events stand on no slate.

    One join by item, whose right side has one row per item, so that the events of an item with a million of them can be
    split; one shuffle by session. Where no side is small enough to be broadcast, 10 exchanges in all.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import SESSION, chosen_sessions, off_slates, session_copies
    from clickweave.frames.draws import unit_draw

    chosen = chosen_sessions(sources.train, params.share, "substitute", seed)
    rows = chosen.withColumn("_clicked", _clicked()).join(_stand_ins(sources, params), ["item_id", "_clicked"], "left")
    draws = {name: unit_draw("row_id", salt=f"substitute {name}", seed=seed) for name in ("event", "item", "accept")}
    place = 1 + F.floor(draws["item"] * F.size("_others")).cast("int")
    other = F.when(F.size("_others") > 0, F.element_at("_others", place))
    rows = rows.withColumn("_other", other)
    accepted = (draws["event"] < params.rate) & (draws["accept"] < F.col("_other.accept"))
    swapped = rows.withColumn("_swapped", F.coalesce(accepted, F.lit(False)))
    changed = swapped.withColumn("_any", F.max("_swapped").over(Window.partitionBy(*SESSION))).where("_any")
    copies = off_slates(session_copies(changed, log, f"substitute {seed}"), log, F.col("_swapped"))
    item = F.when(F.col("_swapped"), F.col("_other.item_id")).otherwise(F.col("item_id"))
    return copies.withColumn("item_id", item).select(*sources.train.columns)


def _clicked() -> Column:
    from pyspark.sql import functions as F

    return F.col("label") >= 1


def _stand_ins(sources: Sources, params: Params) -> DataFrame:
    """item_id, _clicked, and the item's mutual neighbours as an array of item_id and the chance to be accepted.

    Events with a label and those without have neighbours and popularities of their own, so that neither law of items
    is pulled towards the other.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    ends = (F.least("item_id", "neighbour_id").alias("_one"), F.greatest("item_id", "neighbour_id").alias("_two"))
    directed = _mutual(sources, params, ends)
    degree = F.count(F.lit(1)).over(Window.partitionBy("item_id", "_clicked"))
    weighed = directed.withColumn("_weight", F.col("_events") / degree)
    of_both = F.sum("_weight").over(Window.partitionBy(*ends, "_clicked"))
    accept = F.least((of_both - F.col("_weight")) / F.col("_weight"), F.lit(1.0)).alias("accept")
    one = weighed.select(
        "item_id", "_clicked", F.struct(F.col("neighbour_id").alias("item_id"), accept).alias("_other")
    )
    return one.groupBy("item_id", "_clicked").agg(F.array_sort(F.collect_list("_other")).alias("_others"))


def _mutual(sources: Sources, params: Params, ends: tuple[Column, Column]) -> DataFrame:
    """item_id, neighbour_id, _clicked and _events, the item's with (without) a label: pairs that are among each other's
    neighbours, both with such events and near enough for them; each pair in both directions.
    """
    from pyspark.sql import functions as F

    assert sources.neighbours is not None
    near = sources.neighbours.where((F.col("rank") <= params.k) & (F.col("similarity") >= params.tau))
    met = near.groupBy(*ends).agg(F.count(F.lit(1)).alias("_ways"), F.min("similarity").alias("_similarity"))
    clicks = F.count_if(_clicked())
    counts = F.array(F.count(F.lit(1)) - clicks, clicks).alias("_events")
    events = sources.train.groupBy("item_id").agg(counts)
    pairs = met.where("_ways = 2")
    for end in ("_one", "_two"):
        pairs = pairs.join(events.select(F.col("item_id").alias(end), F.col("_events").alias(f"_of{end}")), end)

    def way(item: str, other: str, number: int) -> Column:
        num = F.get(f"_of{item}", F.lit(number)).alias("_events")
        both = num * F.get(f"_of{other}", F.lit(number)) > 0
        near_enough = F.col("_similarity") >= (params.label_tau if number else 0)
        told = F.struct(
            F.col(item).alias("item_id"), F.col(other).alias("neighbour_id"), F.lit(number == 1).alias("_clicked"), num
        )
        return F.when(both & near_enough, told)

    ways = [way(*names, number) for names in (("_one", "_two"), ("_two", "_one")) for number in (0, 1)]
    return pairs.select(F.inline(F.array_compact(F.array(*ways))))

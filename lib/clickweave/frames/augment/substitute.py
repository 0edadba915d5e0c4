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
    from pyspark.sql import DataFrame

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
    split; one shuffle by session. Where no side is small enough to be broadcast, 15 exchanges in all.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import SESSION, chosen_sessions, off_slates, session_copies
    from clickweave.frames.draws import unit_draw

    chosen = chosen_sessions(sources.train, params.share, "substitute", seed)
    rows = chosen.join(_stand_ins(sources, params), "item_id", "left")
    draws = {name: unit_draw("row_id", salt=f"substitute {name}", seed=seed) for name in ("event", "item", "accept")}
    place = 1 + F.floor(draws["item"] * F.size("_others")).cast("int")
    other = F.when(F.size("_others") > 0, F.element_at("_others", place))
    rows = rows.withColumn("_other", other)
    alike = F.col("_other.similarity") >= F.when(F.col("label") >= 1, params.label_tau).otherwise(0.0)
    accepted = (draws["event"] < params.rate) & (draws["accept"] < F.col("_other.accept")) & alike
    swapped = rows.withColumn("_swapped", F.coalesce(accepted, F.lit(False)))
    changed = swapped.withColumn("_any", F.max("_swapped").over(Window.partitionBy(*SESSION))).where("_any")
    copies = off_slates(session_copies(changed, log, f"substitute {seed}"), log, F.col("_swapped"))
    item = F.when(F.col("_swapped"), F.col("_other.item_id")).otherwise(F.col("item_id"))
    return copies.withColumn("item_id", item).select(*sources.train.columns)


def _stand_ins(sources: Sources, params: Params) -> DataFrame:
    """item_id, and its mutual neighbours as an array of item_id, similarity and the chance to be accepted."""
    from pyspark.sql import functions as F

    assert sources.neighbours is not None
    near = sources.neighbours.where((F.col("rank") <= params.k) & (F.col("similarity") >= params.tau))
    back = near.select(F.col("neighbour_id").alias("item_id"), F.col("item_id").alias("neighbour_id"))
    mutual = near.join(back, ["item_id", "neighbour_id"], "left_semi")
    events = sources.train.groupBy("item_id").agg(F.count(F.lit(1)).alias("events"))
    degree = mutual.groupBy("item_id").agg(F.count(F.lit(1)).alias("degree"))
    weight = events.join(degree, "item_id").select("item_id", (F.col("events") / F.col("degree")).alias("weight"))
    other = weight.select(F.col("item_id").alias("neighbour_id"), F.col("weight").alias("other"))
    pairs = mutual.join(weight, "item_id").join(other, "neighbour_id")
    accept = F.least(F.col("other") / F.col("weight"), F.lit(1.0)).alias("accept")
    one = F.struct(F.col("neighbour_id").alias("item_id"), "similarity", accept)
    return pairs.groupBy("item_id").agg(F.array_sort(F.collect_list(one)).alias("_others"))

"""negatives: unclicked rows for CTR models, by popularity^alpha or from the same slate; never an item that the entity
clicked.

Popularity-smoothed negative sampling after Mikolov et al. 2013 (alpha 0.75); weights that undo it after Bengio and
Senecal 2008.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.errors import ConfigError
from clickweave.frames.augment.copies import Sources

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CELLS = 65_536  # the unit interval in cells, so that "which item does this draw hit" is an equi-join
LEAST_WEIGHT = 0.1  # the most is its inverse
TRIES = 4  # draws per wanted negative; the first that the entity did not click counts

CHANGES_ITEM = True  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False


class Params(Section):
    """Parameters of `negatives`."""

    name: Literal["negatives"] = "negatives"
    ratio: float = Field(0.5, ge=0, le=20, description="negatives wanted per positive row")
    alpha: float = Field(0.75, ge=0, le=1, description="exponent on item popularity; 0 draws items evenly")
    source: Literal["popularity", "slate"] = Field(
        "popularity", description="all items, or unclicked ones that stood on the positive's slate"
    )
    weigh: bool = Field(
        False, description="popularity: weight = even chance / chance of the item, in [0.1, 10], which undoes alpha"
    )

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no items, or no slates that source asks for."""
        if log.item is None:
            raise ConfigError("augment operator negatives needs schema.item")
        if self.source == "slate" and log.slate is None:
            raise ConfigError("augment operator negatives with source: slate needs schema.slate")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit: the item distribution stays in Spark, so that a million items cost the driver nothing."""


def apply(sources: Sources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """About `ratio` rows per positive row (label >= 1), with label 0 and another item; the context is the parent's.

    Slate, propensity and the raw value under a threshold label are null, since nobody was shown this row. Fewer rows
    come out where an entity clicked nearly everything, or a slate holds fewer. Shuffles: items (or slates), clicked
    pairs, wanted rows (once each). Where no side is small enough to be broadcast, 8 exchanges in all.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import row_copies
    from clickweave.frames.draws import unit_draw
    from clickweave.frames.source_rows import threshold_feature

    positives = sources.train.where((F.col("label") >= 1) & F.col("item_id").isNotNull())
    extra = unit_draw("row_id", salt="negatives count", seed=seed) < params.ratio % 1.0
    wanted = F.sequence(F.lit(0), F.lit(int(params.ratio)) + extra.cast("int"))
    numbered = positives.withColumn("_wanted", F.explode(F.slice(wanted, 2, F.size(wanted))))
    clicked = positives.select("entity_id", F.col("item_id").alias("_item")).distinct()
    if params.source == "slate":
        found = _mates(sources.train, numbered, clicked, seed)
    else:
        found = _popular(positives, numbered, clicked, params, seed)
    emptied = {"propensity": F.lit(None)}
    emptied |= {threshold_feature(log, threshold): F.lit(None) for threshold in log.thresholds.values()}
    rows = numbered.join(found, ["row_id", "_wanted"])
    made = rows.withColumns(
        {name: value.cast(positives.schema[name].dataType) for name, value in emptied.items()}
        | {"item_id": F.col("_item"), "label": F.lit(0).cast("bigint"), "weight": F.col("weight") * F.col("_weight")}
    )
    return row_copies(made, log, f"negatives {seed}", "_wanted").select(*positives.columns)


def _popular(positives: DataFrame, numbered: DataFrame, clicked: DataFrame, params: Params, seed: int) -> DataFrame:
    """row_id and _wanted with _item, by popularity, and its _weight."""
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    tries = numbered.select(
        "row_id", "entity_id", "_wanted", F.explode(F.sequence(F.lit(1), F.lit(TRIES))).alias("_try")
    )
    draws = tries.withColumn("_draw", unit_draw("row_id", "_wanted", "_try", salt="negatives item", seed=seed))
    hits = draws.withColumn("_cell", F.floor(F.col("_draw") * CELLS)).join(
        _item_spans(positives, params.alpha), "_cell"
    )
    hits = hits.where((F.col("_draw") >= F.col("_from")) & (F.col("_draw") < F.col("_to")))
    unclicked = hits.join(clicked, ["entity_id", "_item"], "left_anti")
    odds = F.lit(1.0) / (F.col("_num") * (F.col("_to") - F.col("_from")))  # even chance over that of the draw
    weight = F.least(F.greatest(odds, F.lit(LEAST_WEIGHT)), F.lit(1 / LEAST_WEIGHT)) if params.weigh else F.lit(1.0)
    first = F.min_by(F.struct("_item", weight.alias("_weight")), "_try").alias("_first")
    return unclicked.groupBy("row_id", "_wanted").agg(first).select("row_id", "_wanted", "_first.*")


def _mates(train: DataFrame, numbered: DataFrame, clicked: DataFrame, seed: int) -> DataFrame:
    """row_id and _wanted with _item, the _wanted-th unclicked item of the slate in random order, and its _weight, 1."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    shown = train.where("slate_id is not null and item_id is not null and label = 0")
    mates = shown.select("slate_id", F.col("item_id").alias("_item")).distinct()
    pairs = numbered.where("_wanted = 1").select("row_id", "entity_id", "slate_id").join(mates, "slate_id")
    unclicked = pairs.join(clicked, ["entity_id", "_item"], "left_anti")
    drawn = Window.partitionBy("row_id").orderBy(unit_draw("row_id", "_item", salt="negatives mate", seed=seed))
    return unclicked.select("row_id", F.row_number().over(drawn).alias("_wanted"), "_item", F.lit(1.0).alias("_weight"))


def _item_spans(positives: DataFrame, alpha: float) -> DataFrame:
    """One row per item and cell that the item's span [_from, _to) of the unit interval touches.

    Spans are proportional to count^alpha and lie in the order of item_id; the last one ends at 1.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    weights = positives.groupBy(F.col("item_id").alias("_item")).count().withColumn("_w", F.pow("count", F.lit(alpha)))
    in_order = Window.orderBy("_item")
    everything = in_order.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    share_to = F.sum("_w").over(in_order) / F.sum("_w").over(everything)
    last = F.lead("_item").over(in_order).isNull()
    num = F.count(F.lit(1)).over(everything).alias("_num")
    spans = weights.select("_item", num, F.when(last, 1.0).otherwise(share_to).alias("_to"))
    spans = spans.withColumn("_from", F.coalesce(F.lag("_to").over(in_order), F.lit(0.0)))
    last_cell = F.least(F.floor(F.col("_to") * CELLS), F.lit(CELLS - 1))
    return spans.withColumn("_cell", F.explode(F.sequence(F.floor(F.col("_from") * CELLS), last_cell)))

"""cold_entity_rows: pseudo-interactions of cold items, from the events of the items that are most like them.

Neighbours by content stand in for a history that a new item does not have (the simulated cold start of Volkovs et al.
2017), at a weight below that of a real event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import CATEGORY_KINDS, SchemaConfig
from clickweave.errors import ConfigError
from clickweave.frames.augment.copies import Sources
from clickweave.frames.augment.neighbours import NEIGHBOURS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHANGES_ITEM = True  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = True
SPARE = 3  # events of a neighbour that are kept for each wanted one, before they are drawn from


class Params(Section):
    """Parameters of `cold_entity_rows`."""

    name: Literal["cold_entity_rows"] = "cold_entity_rows"
    c: int = Field(5, ge=1, description="items with fewer events are cold, those of the catalogue without any too")
    k: int = Field(5, ge=1, le=NEIGHBOURS, description="neighbours whose events are taken")
    cap: int = Field(10, ge=0, le=1000, description="events that a cold item gets, at most")
    weight: float = Field(0.5, gt=0, le=1, description="training weight of a pseudo-event, beside 1 of a real one")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no items, or none of their attributes is categorical or an id."""
        if log.item is None:
            raise ConfigError("augment operator cold_entity_rows needs schema.item")
        if not any(spec.kind in CATEGORY_KINDS for spec in log.item_features.values()):
            raise ConfigError("augment operator cold_entity_rows needs a categorical or id feature in item_features")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit."""


def apply(sources: Sources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Up to `cap` events per cold item: those of its neighbours with its item in place of theirs, drawn evenly.

    Position, slate and propensity are null, since nobody was shown the item there. Events of a neighbour are thinned to
    SPARE * cap before they are joined, so that an item of a million events weighs no more than another. Shuffles: items
    once for their events, neighbours, thinned events and pseudo-events. Where no side is small enough to be broadcast,
    11 exchanges in all.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import row_copies
    from clickweave.frames.draws import unit_draw

    assert sources.neighbours is not None and sources.items is not None
    counts = sources.train.groupBy("item_id").agg(F.count(F.lit(1)).alias("_events"))
    known = sources.items.select("item_id").join(counts, "item_id", "left")
    cold = known.where(F.coalesce("_events", F.lit(0)) < params.c).select("item_id")
    near = sources.neighbours.where(F.col("rank") <= params.k).join(cold, "item_id", "left_semi")
    near = near.select(F.col("item_id").alias("_cold"), F.col("neighbour_id").alias("item_id"))
    used = counts.join(near.select("item_id").distinct(), "item_id", "left_semi")
    events = sources.train.join(used, "item_id")
    thin = unit_draw("row_id", salt="cold_entity_rows thin", seed=seed) * F.col("_events") < SPARE * max(params.cap, 1)
    pairs = events.where(thin).join(near, "item_id")
    drawn = Window.partitionBy("_cold").orderBy(
        unit_draw("row_id", "_cold", salt="cold_entity_rows", seed=seed), "row_id"
    )
    taken = pairs.withColumn("_rank", F.row_number().over(drawn)).where(F.col("_rank") <= params.cap)
    lost = {name: F.lit(None).cast(taken.schema[name].dataType) for name in ("position", "propensity")}
    made = taken.withColumns(lost | {"item_id": F.col("_cold"), "weight": F.col("weight") * F.lit(params.weight)})
    return row_copies(made, log, f"cold_entity_rows {seed}", "_cold").select(*sources.train.columns)

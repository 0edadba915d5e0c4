"""cold_entity_rows: pseudo-interactions of cold items, from the events of the items that are most like them, or of
cold users, from those of the users that are.

Neighbours by content stand in for a history that a new item or user does not have (the simulated cold start of Volkovs
et al. 2017), at a weight below that of a real event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import CATEGORY_KINDS, SchemaConfig
from clickweave.errors import ConfigError
from clickweave.frames.augment.copies import Sources, check_sessions
from clickweave.frames.augment.neighbours import NEIGHBOURS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHANGES_ITEM = True  # whether item attributes must be joined anew
CHANGES_USER = True
NEEDS_NEIGHBOURS = True
SPARE = 3  # events of a neighbour that are kept for each wanted one, before they are drawn from
MOST_LENT = 0.5  # share of the events of a user that cold users get, all of them together


class Params(Section):
    """Parameters of `cold_entity_rows`."""

    name: Literal["cold_entity_rows"] = "cold_entity_rows"
    entity: Literal["item", "user"] = Field("item", description="who is cold")
    c: int = Field(
        5, ge=1, description="items (of the catalogue) or users (who have an event) with fewer events are cold"
    )
    k: int = Field(5, ge=1, le=NEIGHBOURS, description="neighbours whose events are taken")
    cap: int = Field(10, ge=0, le=1000, description="events that a cold item or user gets, at most")
    weight: float = Field(0.5, gt=0, le=1, description="training weight of a pseudo-event, beside 1 of a real one")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no items, or none of their attributes is categorical or an id; for cold
        users where it has no users, items or times.
        """
        if log.item is None:
            raise ConfigError("augment operator cold_entity_rows needs schema.item")
        if self.entity == "user":
            if log.user is None:
                raise ConfigError("augment operator cold_entity_rows with entity: user needs schema.user")
            check_sessions(log, "cold_entity_rows with entity: user")
            return
        if not any(spec.kind in CATEGORY_KINDS for spec in log.item_features.values()):
            raise ConfigError("augment operator cold_entity_rows needs a categorical or id feature in item_features")

    @property
    def needs_neighbours(self) -> bool:
        """Whether similar items are read."""
        return self.entity == "item"


def fit(sources: Sources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit."""


def apply(sources: Sources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Pseudo-events of cold items, or of cold users."""
    of = _of_items if params.entity == "item" else _of_users
    return of(sources, params, log, seed)


def _of_items(sources: Sources, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
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


def _of_users(sources: Sources, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Up to `cap` events per cold user: those of its neighbours under its id, at their times, drawn evenly; each
    session of a neighbour is one of the cold user's.

    Neighbours have c events at least. They are alike by the log's categorical and id attributes of users, where it has
    such, else by items in common. Of each at most the share MOST_LENT, and SPARE * cap events, are given to anybody, so
    that no history is handed on, not over many users either. Position, slate and propensity are null. A user without
    any event in train may be one of the holdout and gets none. Shuffles: events by user, users or items in common,
    pairs of users, lent events. By items in common, where no side is small enough to be broadcast, 15 exchanges in all.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.similar_users import (
        alike_users,
        as_borrowed,
        lent,
        nearest,
        sharing_users,
        user_categories,
    )
    from clickweave.frames.draws import unit_draw

    train, floor, features = sources.train.where(F.col("item_id").isNotNull()), params.c - 1, user_categories(log)
    if features and sources.users is not None:
        pairs = alike_users(train, sources.users, features, floor, seed)
    else:
        pairs = sharing_users(train, floor, seed)
    near = nearest(pairs, params.k, "cold user tie", seed).select("_borrower", "_lender", "_all")
    events = lent(train, near, most=SPARE * max(params.cap, 1), share=MOST_LENT, seed=seed)
    drawn = Window.partitionBy("_borrower").orderBy(
        unit_draw("row_id", "_borrower", salt="cold_entity_rows user", seed=seed), "row_id"
    )
    offered = near.select("_borrower", "_lender").join(events, "_lender")
    taken = offered.withColumn("_rank", F.row_number().over(drawn)).where(F.col("_rank") <= params.cap)
    taken = taken.withColumn("position", F.lit(None).cast("bigint"))
    return as_borrowed(taken, log, params.weight, f"cold_entity_rows user {seed}").select(*train.columns)

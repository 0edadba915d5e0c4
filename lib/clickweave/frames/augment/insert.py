"""insert: a similar item between two events of a short session.

The item insertion of CoSeRec (Liu et al. 2021, section 3.2), which helps short sequences most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.errors import ConfigError
from clickweave.frames.augment.copies import Sources, check_sessions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHANGES_ITEM = True  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = True


class Params(Section):
    """Parameters of `insert`."""

    name: Literal["insert"] = "insert"
    share: float = Field(0.2, ge=0, le=1, description="share of short sessions that get a longer copy")
    rate: float = Field(0.1, ge=0, le=1, description="share of gaps that get an event, long ones more often")
    max_len: int = Field(20, ge=2, description="only sessions with fewer events")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no sessions or no items."""
        check_sessions(log, "insert")
        if log.item is None:
            raise ConfigError("augment operator insert needs schema.item")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit."""


def apply(sources: Sources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Copies of a seeded share of sessions with fewer than max_len events that hold at least one event more.

    A new event follows one with a label of at most 1 and copies all of it but the item, which is a neighbour of its
    item, nearer ones more often; it has no slate, position or propensity. A gap gets one with a chance in proportion to
    its length, so that gaps keep their law, at an even time inside it, in whole units of the log; gaps inside a slate
    get none. One shuffle by session, one join by item, one by session. Where no side is small enough to be broadcast, 8
    exchanges in all.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment import copies
    from clickweave.frames.draws import unit_draw

    assert sources.neighbours is not None
    sessions = Window.partitionBy(*copies.SESSION)
    order = sessions.orderBy("event_time", "row_id")
    rows = copies.in_sessions(copies.chosen_sessions(sources.train, params.share, "insert", seed))
    time_us, step_us = F.unix_micros("event_time"), copies.time_step_us(log)
    ends = {"_first": F.min(time_us).over(sessions), "_last": F.max(time_us).over(sessions)}
    following = {"_next": F.lead(time_us).over(order), "_next_slate": F.lead("slate_id").over(order)}
    rows = rows.withColumns(ends | following).where(F.col("_n") < params.max_len)
    mean_us = F.try_divide(F.col("_last") - F.col("_first"), F.col("_n") - 1)
    longer = F.coalesce(F.try_divide(F.col("_next") - time_us, mean_us), F.lit(1.0))
    drawn = unit_draw("row_id", salt="insert gap", seed=seed) < longer * params.rate
    wide = F.col("_next") - time_us >= 2 * step_us  # so that the new event has a time of its own
    on_one = F.lit(log.has_slates) & F.coalesce(F.col("slate_id") == F.col("_next_slate"), F.lit(False))
    gaps = rows.where(drawn & F.coalesce(wide, F.lit(False)) & (F.col("label") <= 1) & ~on_one)
    near = F.array_sort(F.collect_list(F.struct("rank", F.col("neighbour_id").alias("item_id"))))
    lists = sources.neighbours.groupBy("item_id").agg(near.alias("_near"))
    nearer = F.pow(unit_draw("row_id", salt="insert item", seed=seed), F.lit(2))
    place = 1 + F.floor(nearer * F.size("_near")).cast("int")
    most = F.floor((F.col("_next") - time_us) / step_us) - 1
    steps = 1 + F.floor(most * unit_draw("row_id", salt="insert time", seed=seed))
    lost = {name: F.lit(None).cast(rows.schema[name].dataType) for name in ("position", "propensity")}
    new = gaps.join(lists, "item_id").withColumn("_item", F.element_at("_near", place).getField("item_id"))
    new = new.withColumns(
        lost | {"item_id": F.col("_item"), "event_time": F.timestamp_micros(time_us + steps.cast("bigint") * step_us)}
    )
    kept = rows.join(new.select(*copies.SESSION).distinct(), list(copies.SESSION), "left_semi")
    columns = [*sources.train.columns, "_new"]
    both = kept.withColumn("_new", F.lit(0)).select(*columns)
    both = both.unionByName(new.withColumn("_new", F.lit(1)).select(*columns))
    made = copies.session_copies(both, log, f"insert {seed}", row_key=("_new",))
    return copies.off_slates(made, log, F.col("_new") == 1).select(*sources.train.columns)

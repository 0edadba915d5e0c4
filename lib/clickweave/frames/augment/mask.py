"""mask: some items of a session are replaced by a mask id, which is no item; times and labels stay.

The masked sequences of BERT4Rec (Sun et al. 2019, section 3.6) and the item mask of CL4SRec (Xie et al. 2022).
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

CHANGES_ITEM = True  # whether item attributes must be joined anew: a mask has none
NEEDS_NEIGHBOURS = False


class Params(Section):
    """Parameters of `mask`."""

    name: Literal["mask"] = "mask"
    share: float = Field(0.2, ge=0, le=1, description="share of sessions that get a masked copy")
    rate: float = Field(0.2, ge=0, le=1, description="share of the copy's events whose item is masked; never the last")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no sessions or no items."""
        check_sessions(log, "mask")
        if log.item is None:
            raise ConfigError("augment operator mask needs schema.item")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit."""


def apply(sources: Sources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Copies of a seeded share of sessions in which at least one event is masked.

    A masked event stands on no slate, where its item would stand twice. One shuffle by session.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.align.keys import id_space
    from clickweave.frames.augment.copies import SESSION, chosen_sessions, in_sessions, session_copies
    from clickweave.frames.draws import unit_draw

    assert log.item is not None
    numbered = in_sessions(chosen_sessions(sources.train, params.share, "mask", seed))
    drawn = unit_draw("row_id", salt="mask event", seed=seed) < params.rate
    masked = drawn & (F.col("_place") < F.col("_n") - 1) & F.col("item_id").isNotNull()
    marked = numbered.withColumn("_masked", masked)
    changed = marked.withColumn("_any", F.max("_masked").over(Window.partitionBy(*SESSION))).where("_any")
    raw_type = sources.train.select(F.col("source").getField(log.item)).schema[0].dataType
    copies = session_copies(changed, log, f"mask {seed}").withColumns(
        {
            "item_id": F.when(F.col("_masked"), F.lit(id_space(raw_type).mask_id())).otherwise(F.col("item_id")),
            "slate_id": F.when(~F.col("_masked"), F.col("slate_id")),
        }
    )
    return copies.select(*sources.train.columns)

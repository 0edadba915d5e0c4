"""cold_boost: synthetic rows for what the real log knows too little of, and for nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.errors import ConfigError
from clickweave.frames.mix.sources import MixSources

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KEEPS_REAL = True
_KEYS = {"item": "item_id", "user": "entity_id"}


class Params(Section):
    """Parameters of `cold_boost`."""

    by: Literal["item", "user"] = Field(
        "item",
        description="whose real events count; user (else session): new ones have none and stay, histories that go on "
        "taper off",
    )
    c: int = Field(20, ge=1, description="real events from which on no synthetic row is added; 1 - events / c below")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no items, or no users and sessions."""
        if self.by == "item" and log.item is None:
            raise ConfigError("mix strategy cold_boost needs schema.item; map it or set by: user")
        if self.by == "user" and log.entity_column is None:
            raise ConfigError("mix strategy cold_boost by user needs schema.user or schema.session")


def fit(sources: MixSources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit."""


def apply(sources: MixSources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Of the synthetic rows of a key with n real events a seeded share of 1 - n / c, at least 0; rows without the key
    are none of its. One shuffle of counts by key and one join of synthetic rows with them.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw
    from clickweave.frames.mix.join import whole_mix

    key = _KEYS[params.by]
    support = sources.real.where(F.col(key).isNotNull()).groupBy(key).agg(F.count(F.lit(1)).alias("_support"))
    rows = sources.synthetic.where(F.col(key).isNotNull()).join(support, key, "left")
    share = F.lit(1.0) - F.coalesce("_support", F.lit(0)) / F.lit(params.c)
    return whole_mix(sources, log, rows.where(unit_draw("row_id", salt="mix cold_boost", seed=seed) < share))

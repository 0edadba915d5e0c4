"""bootstrap: the control that every operator must beat: real user-days again, unchanged.

The Poisson bootstrap (Chamandy et al. 2012): each day of a user is taken k times, k a Poisson number.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.frames.augment.copies import Sources, check_sessions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHANGES_ITEM = False  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False
MOST = 30  # times a day is taken; at share 5 one day in 10^14 would be taken more often


class Params(Section):
    """Parameters of `bootstrap`."""

    name: Literal["bootstrap"] = "bootstrap"
    share: float = Field(1.0, ge=0, le=5, description="user-days, per real one; 1: as many")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no times or no entity."""
        check_sessions(log, "bootstrap")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit."""


def apply(sources: Sources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Copies of all events of an entity's UTC day, k times each, k ~ Poisson(share) by day. Narrow."""
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import session_copies
    from clickweave.frames.draws import unit_draw

    day = F.floor(F.unix_micros("event_time") / F.lit(86_400_000_000))
    reached, chance, cuts = 0.0, math.exp(-params.share), []
    for number in range(MOST):  # the distribution function
        reached += chance
        cuts.append(reached)
        chance *= params.share / (number + 1)
    times = F.lit(MOST)
    for number, cut in reversed(list(enumerate(cuts))):
        times = F.when(F.col("_draw") < cut, number).otherwise(times)
    drawn = sources.train.withColumn("_draw", unit_draw(F.col("entity_id"), day, salt="bootstrap", seed=seed))
    rows = drawn.where(F.col("_draw") >= cuts[0]).withColumn("_times", times)
    copies = rows.withColumn("_copy", F.explode(F.sequence(F.lit(1), F.col("_times"))))
    return session_copies(copies, log, f"bootstrap {seed}", "_copy").select(*sources.train.columns)

"""crop: a contiguous part of a session. Items, order, gaps and labels of the kept events stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.frames.augment.copies import Sources, check_sessions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHANGES_ITEM = False  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False


class Params(Section):
    """Parameters of `crop`."""

    name: Literal["crop"] = "crop"
    share: float = Field(0.2, ge=0, le=1, description="share of sessions that get a cropped copy")
    keep_share: float = Field(0.7, gt=0, le=1, description="share of the session's events in the copy, rounded up")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no sessions."""
        check_sessions(log, "crop")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit."""


def apply(sources: Sources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Copies of ceil(keep_share * n) consecutive events of a seeded share of sessions with n >= 2 events.

    The place of the crop is uniform over the session; session_copies says what a copy is. One shuffle by session.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import SESSION, chosen_sessions, in_sessions, session_copies
    from clickweave.frames.draws import unit_draw

    numbered = in_sessions(chosen_sessions(sources.train, params.share, "crop", seed))
    keep = F.ceil(F.col("_n") * F.lit(params.keep_share))
    start = F.floor(unit_draw(*SESSION, salt="crop start", seed=seed) * (F.col("_n") - keep + 1))
    inside = (F.col("_n") >= 2) & (F.col("_place") >= start) & (F.col("_place") < start + keep)
    return session_copies(numbered.where(inside), log, f"crop {seed}").drop("_place", "_n")

"""crop: a contiguous part of a session. Items, order, gaps and labels of the kept events stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHANGES_ITEM = False  # whether item attributes must be joined anew


class Params(Section):
    """Parameters of `crop`."""

    name: Literal["crop"] = "crop"
    share: float = Field(0.2, ge=0, le=1, description="share of sessions that get a cropped copy")
    keep_share: float = Field(0.7, gt=0, le=1, description="share of the session's events in the copy, rounded up")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no sessions."""
        if log.event_time is None or log.entity_column is None:
            raise ConfigError(
                "augment operator crop needs sessions: schema.event_time and schema.user or schema.session"
            )


def fit(train: DataFrame, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit."""


def apply(train: DataFrame, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Copies of ceil(keep_share * n) consecutive events of a seeded share of sessions with n >= 2 events.

    The place of the crop is uniform over the session. A copy keeps its user and is a session of its own, so that no
    session holds an event twice: it gets a new session_id, of the raw column's type where the log maps sessions.
    One shuffle by session.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.align.keys import id_space
    from clickweave.frames.draws import row_key, unit_draw
    from clickweave.frames.quality import entity_of_row

    sessions = Window.partitionBy("entity_id", "session_id")
    in_order = sessions.orderBy("event_time", "row_id")
    chosen = train.where(unit_draw("entity_id", "session_id", salt="crop", seed=seed) < params.share)
    numbered = chosen.withColumn("_place", F.row_number().over(in_order) - 1).withColumn(
        "_n", F.count("*").over(sessions)
    )
    keep = F.ceil(F.col("_n") * F.lit(params.keep_share))
    start_draw = unit_draw("entity_id", "session_id", salt="crop start", seed=seed)
    start = F.floor(start_draw * (F.col("_n") - keep + 1))
    inside = (F.col("_n") >= 2) & (F.col("_place") >= start) & (F.col("_place") < start + keep)
    new_session = F.concat(F.col("session_id"), F.lit(f"-crop{seed}"))
    if log.session is not None:
        raw_type = train.select(F.col("source").getField(log.session)).schema[0].dataType
        new_session = id_space(raw_type).new_id(f"crop {seed}", F.xxhash64("entity_id", "session_id"))
    return (
        numbered.where(inside)
        .drop("_place", "_n")
        .withColumn("session_id", new_session)
        .withColumn("entity_id", entity_of_row())
        .withColumn("parent_id", F.col("row_id"))
        .withColumn("row_id", row_key("row_id", salt=f"crop {seed}"))
    )

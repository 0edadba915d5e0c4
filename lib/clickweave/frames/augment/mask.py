"""mask: items of a session that a model must guess. Each is replaced by one code that no real item has.

Item masking after BERT4Rec (Sun et al. 2019) and CL4SRec (Xie et al. 2022, section 3.2.2). Times and labels stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.errors import ConfigError, ContractError
from clickweave.frames.augment.copies import Sources, check_sessions

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHANGES_ITEM = True  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False


class Params(Section):
    """Parameters of `mask`."""

    ENDS_CHAIN: ClassVar[bool] = True  # what hides items comes after all that looks at them

    name: Literal["mask"] = "mask"
    share: float = Field(0.2, ge=0, le=1, description="share of sessions that get a masked copy")
    rate: float = Field(0.2, ge=0, le=1, description="share of a session's items that are masked, never the last one")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no sessions or no items."""
        check_sessions(log, "mask")
        if log.item is None:
            raise ConfigError("augment operator mask needs schema.item")


def mask_code(train: DataFrame, log: SchemaConfig) -> str:
    """The masked item as text: the first id of the raw item column's space for new ids (law 5).

    Raises:
        ContractError: the raw column's type leaves no room for new ids.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.align.keys import INT_FROM, LONG_FROM, TEXT_PREFIX, id_space

    assert log.item is not None
    raw_type = train.select(F.col("source").getField(log.item)).schema[0].dataType
    codes = {"text": f"{TEXT_PREFIX}mask", "long": str(LONG_FROM), "integer": str(INT_FROM)}
    return codes[id_space(raw_type).kind]


def fit(sources: Sources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit; looks through train for the mask's code.

    Raises:
        ContractError: a real item has the mask's code.
    """
    code = mask_code(sources.train, log)
    if not sources.train.where(sources.train["item_id"] == code).isEmpty():
        raise ContractError(
            f"augment operator mask: a real item is called {code!r}, as masks are; rename it in the log"
        )


def apply(sources: Sources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Copies of a seeded share of sessions in which at least one item more, never the last event's, is masked.

    Masked events are on no slate, since an item stands once on one; their item attributes are null, since the
    catalogue does not know the mask. One shuffle by session; a session of a million events is sorted by one task,
    on disk where memory ends.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import SESSION, chosen_sessions, off_slates, session_copies
    from clickweave.frames.draws import unit_draw

    session = Window.partitionBy(*SESSION)
    rows = chosen_sessions(sources.train, params.share, "mask", seed)
    goes_on = F.lead("row_id").over(session.orderBy("event_time", "row_id")).isNotNull()
    drawn = unit_draw("row_id", salt="mask item", seed=seed) < params.rate
    shown = F.col("item_id") != mask_code(sources.train, log)  # in a chain some are masked already
    rows = rows.withColumn("_masked", goes_on & drawn & F.coalesce(shown, F.lit(False)))
    rows = rows.withColumn("_any", F.bool_or("_masked").over(session)).where("_any")
    made = off_slates(session_copies(rows, log, f"mask {seed}"), log, F.col("_masked"))
    item = F.when(F.col("_masked"), F.lit(mask_code(sources.train, log))).otherwise(F.col("item_id"))
    return made.withColumn("item_id", item).drop("_masked", "_any")

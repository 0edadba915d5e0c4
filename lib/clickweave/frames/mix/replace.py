"""replace: generated rows alone, for sharing; the only mix that may be called shareable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import GENERATED, event_columns
from clickweave.errors import ContractError
from clickweave.frames.mix.sources import MixSources

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KEEPS_REAL = False


class Params(Section):
    """Parameters of `replace`: none."""


@dataclass(frozen=True)
class Replaced:
    """What was found among the synthetic rows: those that stay, and those that go on with a real history."""

    kept: int
    continued: int


def fit(sources: MixSources, params: Params, log: SchemaConfig) -> Replaced:
    """Proves that what stays is generated and nobody's: one aggregate over the synthetic rows. A user (else session)
    id counts as nobody's where it lies in the space of new ids, which align keeps free of real ones.

    Raises:
        ContractError: nothing stays, or a row has a real id or a parent, or was not generated.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import StructType

    from clickweave.frames.align.continued import is_continued
    from clickweave.frames.align.rows import entity_space

    continued = F.coalesce(is_continued(), F.lit(False))
    raw_type = sources.synthetic.schema["source"].dataType
    assert isinstance(raw_type, StructType)
    space = entity_space(log, raw_type)
    is_real = F.lit(False)
    if space is not None and log.entity_column is not None:
        is_real = ~F.coalesce(space.reached_by(F.col(log.entity_column)), F.lit(False))
    wrong = (F.col("origin") != GENERATED) | F.col("parent_id").isNotNull()
    row = sources.synthetic.agg(
        F.count_if(~continued).alias("kept"),
        F.count_if(continued).alias("continued"),
        F.count_if(~continued & is_real).alias("real"),
        F.count_if(~continued & wrong).alias("wrong"),
    ).collect()[0]
    if row["kept"] == 0:
        raise ContractError(
            f"mix: strategy replace needs generated rows, but the synthetic side is empty ({row['continued']} rows go "
            "on with real histories and may not stand alone); raise sample.entities or choose another strategy"
        )
    if row["real"] or row["wrong"]:
        raise ContractError(
            f"mix: strategy replace may hold generated rows of nobody alone, but {row['real']} synthetic rows have a "
            f"{log.entity_column} outside the space of new ids and {row['wrong']} a parent or another origin; run "
            "align again"
        )
    return Replaced(row["kept"], row["continued"])


def apply(sources: MixSources, fitted: Replaced, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """The generated rows that go on with nobody's history. Narrow."""
    from pyspark.sql import functions as F

    from clickweave.frames.align.continued import is_continued

    columns = event_columns(tuple(log.event_features))
    return sources.synthetic.where(~F.coalesce(is_continued(), F.lit(False))).select(*columns)

"""share: so many synthetic rows per real row, chosen by hash; if asked for, in each stratum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from clickweave.config.log import SchemaConfig
from clickweave.frames.mix.sources import MixSources, RatioParams
from clickweave.frames.mix.strata import CHOICES, STRATUM, check_strata, strata_by

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

KEEPS_REAL = True


class Params(RatioParams):
    """Parameters of `share`."""

    by: str | None = Field(None, description=f"strata in each of which the ratio holds, where rows reach: {CHOICES}")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no such strata."""
        if self.by is not None:
            check_strata(log, self.by, "share")


def fit(sources: MixSources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit."""


def apply(sources: MixSources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Synthetic rows whose expected number is the ratio times that of real rows. Narrow; by strata one join of
    synthetic rows with their counts, at most two where an attribute of items tells them apart.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw
    from clickweave.frames.mix.join import whole_mix

    drawn = unit_draw("row_id", salt="mix share", seed=seed)
    rows, share = sources.synthetic, F.lit(_share(params.ratio * sources.num_real, sources.num_synthetic))
    if params.by is not None:
        rows, share = _by_stratum(sources, params, log)
    return whole_mix(sources, log, rows.where(drawn < share))


def _share(wanted: float, rows: int) -> float:
    return min(1.0, wanted / rows) if rows else 0.0


def _by_stratum(sources: MixSources, params: Params, log: SchemaConfig) -> tuple[DataFrame, Column]:
    """Synthetic rows with the counts of their stratum, and the share of them that is wanted; null is a stratum too."""
    from pyspark.sql import functions as F

    strata = strata_by(sources, params.by or "", log)
    real = strata.sizes(sources.real).select(F.col(STRATUM).alias("_of"), F.col("rows").alias("_real"))
    made = strata.sizes(sources.synthetic).select(F.col(STRATUM).alias("_in"), F.col("rows").alias("_made"))
    counts = made.join(real, F.col("_in").eqNullSafe(F.col("_of")), "left")
    rows = strata.marked(sources.synthetic).join(counts, F.col(STRATUM).eqNullSafe(F.col("_in")), "left")
    return rows, F.lit(params.ratio) * F.coalesce("_real", F.lit(0)) / F.col("_made")

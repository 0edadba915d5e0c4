"""share: so many synthetic rows per real row, chosen by hash."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from clickweave.config.base import Section

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Params(Section):
    """Parameters of `share`."""

    synthetic_per_real: float = Field(0.5, ge=0, description="synthetic rows per real row; all there are, if fewer")


def choose(synthetic: DataFrame, params: Params, *, num_real: int, num_synthetic: int, seed: int) -> DataFrame:
    """A seeded share of rows whose expected number is synthetic_per_real * num_real. Narrow."""
    from clickweave.frames.draws import unit_draw

    wanted = params.synthetic_per_real * num_real
    share = min(1.0, wanted / num_synthetic) if num_synthetic else 0.0
    return synthetic.where(unit_draw("row_id", salt="mix share", seed=seed) < share)

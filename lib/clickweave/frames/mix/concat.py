"""concat: every real, augmented and synthetic row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clickweave.config.base import Section

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Params(Section):
    """Parameters of `concat`: none."""


def choose(synthetic: DataFrame, params: Params, *, num_real: int, num_synthetic: int, seed: int) -> DataFrame:
    """All synthetic rows."""
    return synthetic

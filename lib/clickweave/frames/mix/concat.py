"""concat: every real, augmented and synthetic row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.frames.mix.sources import MixSources

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KEEPS_REAL = True


class Params(Section):
    """Parameters of `concat`: none."""


def fit(sources: MixSources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit."""


def apply(sources: MixSources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """All rows. Narrow."""
    from clickweave.frames.mix.join import whole_mix

    return whole_mix(sources, log, sources.synthetic)

"""upweight: all rows; augmented and synthetic ones weigh together a stated share of what the real ones weigh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.frames.augment.numbers import steady
from clickweave.frames.mix.sources import MixSources

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KEEPS_REAL = True


class Params(Section):
    """Parameters of `upweight`."""

    share: float = Field(0.5, gt=0, description="weight of all added rows, per weight of all real ones")
    weight: float | None = Field(None, gt=0, description="of each added row, in place of share and of its own")


@dataclass(frozen=True)
class Weights:
    """Sums of weights as they come, and what those of added rows are multiplied by."""

    real: float
    added: float
    factor: float


def fit(sources: MixSources, params: Params, log: SchemaConfig) -> Weights | None:
    """One sum over each source; nothing where the weight is given."""
    from pyspark.sql import functions as F

    if params.weight is not None:
        return None
    real, *added = [
        steady(side.agg(F.sum("weight").alias("sum")).collect()[0]["sum"] or 0.0)
        for side in (sources.real, sources.augmented, sources.synthetic)
    ]
    whole = sum(added)
    return Weights(real, whole, steady(params.share * real / whole) if whole and real else 1.0)


def apply(sources: MixSources, fitted: Weights | None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """All rows. Added ones keep their weights' relations, unless each is given the same. Narrow."""
    from dataclasses import replace

    from pyspark.sql import functions as F

    from clickweave.frames.mix.join import whole_mix

    weight = F.lit(params.weight) if fitted is None else F.col("weight") * F.lit(fitted.factor)
    augmented = sources.augmented.withColumn("weight", weight)
    return whole_mix(replace(sources, augmented=augmented), log, sources.synthetic.withColumn("weight", weight))

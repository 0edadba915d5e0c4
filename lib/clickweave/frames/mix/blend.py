"""blend: convex combinations of real rows with generated ones of the same label, in numbers and vectors alone.

alpha x + (1 - alpha) x' (mixup, Zhang et al. 2018, equation 1, between rows of one label), at alpha 0.5 the plain mean.
Real rows stay beside the blended ones, which stand in place of the synthetic rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import BLENDED, feature_column
from clickweave.errors import ConfigError
from clickweave.frames.augment.numbers import Range, categories, fit_ranges, free_features, mixed_with, numeric_features
from clickweave.frames.mix.sources import MixSources, RatioParams

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

KEEPS_REAL = True
DONORS = 50  # generated rows of a group that real rows are blended with


class Params(RatioParams):
    """Parameters of `blend`."""

    alpha: float = Field(0.5, ge=0, le=1, description="weight of the real row; the generated one has the rest")
    by: tuple[str, ...] | None = Field(
        None,
        description="categorical or id event features that both rows agree in; where no generated row does, the label "
        "is enough; null: all",
    )

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where nothing can be blended, or a column is no category."""
        if not _numbers(log) and not _vectors(log):
            raise ConfigError("mix strategy blend needs a numeric or vector event feature that is no label")
        for name in self.by or ():
            if feature_column(name) not in categories(log):
                raise ConfigError(f"mix.by: {name!r} is no categorical or id event feature")


@dataclass(frozen=True)
class Ranges:
    """Ranges of the numbers in real rows, which blended ones stay in."""

    numbers: dict[str, Range]


def fit(sources: MixSources, params: Params, log: SchemaConfig) -> Ranges:
    """One aggregate over the real rows."""
    return Ranges(fit_ranges(sources.real, _numbers(log)) if _numbers(log) else {})


def apply(sources: MixSources, fitted: Ranges, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Blended rows whose expected number is the ratio times that of real rows; each is a copy of a real row, on no
    slate, with numbers between its own and those of one of DONORS generated rows of its group, drawn by hash. Whole
    numbers stay whole (halves up), and where either has no value the real one stays.

    Real rows are read twice: once as they are, once to be paired, with one join by group. Shuffles of synthetic rows:
    two of at most DONORS per group and task.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import StructType

    from clickweave.frames.augment.copies import row_copies
    from clickweave.frames.mix.join import whole_mix
    from clickweave.frames.source_rows import with_source

    paired = _paired(sources, [*map(feature_column, [*fitted.numbers, *_vectors(log)])], params, log, seed)
    other = {feature_column(name): F.col("_donor").getField(feature_column(name)) for name in fitted.numbers}
    values = mixed_with(other, fitted.numbers, F.lit(params.alpha))
    values |= {name: _mean_of(name, params.alpha) for name in map(feature_column, _vectors(log))}
    values["weight"] = F.col("weight") * params.alpha + F.col("_donor.weight") * (1.0 - params.alpha)
    made = row_copies(paired.withColumns(values), log, f"blend {seed}", "_copy")
    told = {"origin": F.lit(BLENDED), "op": F.lit("blend"), "run_id": F.lit(sources.run_id)}
    raw_type = sources.real.schema["source"].dataType
    assert isinstance(raw_type, StructType)
    return whole_mix(sources, log, with_source(made.withColumns(told), log, raw_type, attributes={}))


def _numbers(log: SchemaConfig) -> tuple[str, ...]:
    return numeric_features(log)


def _vectors(log: SchemaConfig) -> tuple[str, ...]:
    return tuple(name for name, kind in free_features(log).items() if kind == "vector")


def _paired(sources: MixSources, values: list[str], params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """Real rows with `_copy` and `_donor`: a generated row of equal label and categories, else of equal label."""
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    names = categories(log) if params.by is None else [feature_column(name) for name in params.by]
    alike, alone = _group("label", *names), _group("label")
    near = _donors(sources.synthetic, alike, values, seed).select(F.col("group").alias("_alike"), "near")
    any_ = _donors(sources.synthetic, alone, values, seed).select(
        F.col("group").alias("_alone"), F.col("near").alias("any")
    )
    rows = _copies(sources.real, params.ratio, seed).withColumns({"_alike": alike, "_alone": alone})
    joined = rows.join(near, "_alike", "left").join(F.broadcast(any_), "_alone")  # any_: one row per label
    drawn = unit_draw("row_id", "_copy", salt="mix blend donor", seed=seed)

    def one(donors: str) -> Column:
        return F.get(F.col(donors), F.floor(drawn * F.size(donors)).cast("int"))

    return joined.withColumn("_donor", F.coalesce(one("near"), one("any"))).drop("near", "any")


def _copies(real: DataFrame, ratio: float, seed: int) -> DataFrame:
    """Real rows, in expectation `ratio` times as many, numbered by `_copy`. Narrow."""
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    numbers = F.array(*[F.lit(number) for number in range(math.ceil(ratio))]).cast("array<int>")
    many = real.withColumn("_copy", F.explode(numbers))
    return many.where(unit_draw("row_id", salt="mix blend", seed=seed) < F.lit(ratio) - F.col("_copy"))


def _group(*columns: str) -> Column:
    from pyspark.sql import functions as F

    return F.xxhash64(*[F.coalesce(F.col(name).cast("string"), F.lit("\0")) for name in columns])


def _donors(synthetic: DataFrame, group: Column, values: list[str], seed: int) -> DataFrame:
    """`group` and `near`: an array of at most DONORS of its rows, drawn by hash, with their values and weight."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    light = synthetic.select(
        group.alias("group"),
        F.struct(unit_draw("row_id", salt="mix donors", seed=seed).alias("draw"), "row_id", "weight", *values).alias(
            "donor"
        ),
    )
    first = Window.partitionBy("group").orderBy("donor.draw", "donor.row_id")
    kept = light.withColumn("_rank", F.row_number().over(first)).where(F.col("_rank") <= DONORS)
    return kept.groupBy("group").agg(F.sort_array(F.collect_list("donor")).alias("near"))


def _mean_of(column: str, alpha: float) -> Column:
    """The vector between the real row's and the donor's; the real one where they have not the same length."""
    from pyspark.sql import functions as F

    other = F.col("_donor").getField(column)

    def between(own: Column, its: Column) -> Column:
        return own * alpha + its * (1.0 - alpha)

    mixed = F.zip_with(F.col(column), other, between)
    return F.when(F.size(column) == F.size(other), mixed).otherwise(F.col(column))

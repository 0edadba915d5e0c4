"""mixup: the weighted mean of the numbers of two rows that have the same label and categories.

mixup (Zhang et al. 2018, equation 1) between rows of one label, so that the label stays; at alpha 0.5 the plain mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import feature_column
from clickweave.frames.augment.copies import Sources
from clickweave.frames.augment.groups import fit_giants, parts_of
from clickweave.frames.augment.numbers import (
    Range,
    categories,
    check_numeric,
    fit_ranges,
    mixed_with,
    numeric_features,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHANGES_ITEM = False  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False


class Params(Section):
    """Parameters of `mixup`."""

    name: Literal["mixup"] = "mixup"
    share: float = Field(0.2, ge=0, le=1, description="share of rows that get a mixed copy")
    alpha: float = Field(0.5, ge=0, le=1, description="weight of the row itself; the partner has the rest")
    columns: tuple[str, ...] | None = Field(None, description="numeric event features; null: all but label columns")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where a column is not a numeric event feature, or there is none."""
        check_numeric(log, "mixup", self.columns)


@dataclass(frozen=True)
class Numbers:
    """Ranges of the features, and rows of the largest groups (groups.fit_giants)."""

    ranges: dict[str, Range]
    giants: dict[int, int]


def fit(sources: Sources, params: Params, log: SchemaConfig) -> Numbers:
    """Two aggregates over train, one of them by label and categories."""
    ranges = fit_ranges(sources.train, params.columns or numeric_features(log))
    return Numbers(ranges, fit_giants(sources.train, "label", *categories(log), share=params.share))


def apply(sources: Sources, fitted: Numbers, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """One copy of a seeded share of rows, mixed with another chosen row: the next in random order of those with equal
    label, categorical and id features. A row without any such other is no copy.

    One shuffle by label and categories; a giant group is dealt out at random to parts of about GROUP_ROWS rows.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import row_copies
    from clickweave.frames.draws import unit_draw

    chosen = sources.train.where(unit_draw("row_id", salt="mixup", seed=seed) < params.share)
    alike = ("label", *categories(log))
    part = F.floor(unit_draw("row_id", salt="mixup part", seed=seed) * parts_of(fitted.giants, *alike))
    chosen = chosen.withColumns({"_part": part, "_order": unit_draw("row_id", salt="mixup order", seed=seed)})
    group = Window.partitionBy(*alike, "_part")
    in_order = group.orderBy("_order", "row_id")
    values = F.struct(*[F.col(feature_column(name)) for name in fitted.ranges], F.col("row_id"))
    next_row, first_row = F.lead(values).over(in_order), F.first(values).over(in_order)
    paired = chosen.withColumn("_other", F.coalesce(next_row, first_row))
    paired = paired.where(F.col("_other.row_id") != F.col("row_id"))
    other = {feature_column(name): F.col(f"_other.{feature_column(name)}") for name in fitted.ranges}
    mixed = paired.withColumns(mixed_with(other, fitted.ranges, F.lit(params.alpha)))
    return row_copies(mixed, log, f"mixup {seed}").select(*sources.train.columns)

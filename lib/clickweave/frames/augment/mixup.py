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
MOST_DONORS = 200_000  # rows that others are mixed with, of all groups: they fit into every executor
MOST_OF_GROUP = 1000  # Spark cuts groups before the shuffle up to this many
LEAST_OF_GROUP = 10


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
    """Ranges of the features, and how rows are paired.

    Attributes:
        groups: of rows with equal label and categories.
        donors: rows of one group that others are mixed with, at most.
        giants: rows of the largest groups (groups.fit_giants).
    """

    ranges: dict[str, Range]
    groups: int
    donors: int
    giants: dict[int, int]


def fit(sources: Sources, params: Params, log: SchemaConfig) -> Numbers:
    """Three aggregates over train, two of them by label and categories."""
    alike = ("label", *categories(log))
    ranges = fit_ranges(sources.train, params.columns or numeric_features(log))
    groups = sources.train.select(*alike).distinct().count()
    donors = min(MOST_OF_GROUP, max(LEAST_OF_GROUP, MOST_DONORS // max(1, groups)))
    return Numbers(ranges, groups, donors, fit_giants(sources.train, *alike))


def apply(sources: Sources, fitted: Numbers, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """One copy of a seeded share of rows, mixed with a drawn donor that has equal label, categorical and id features.

    A row without any such other is no copy. Donors are some rows of each group, drawn by hash, without more columns
    than are mixed. One shuffle of them, cut to what each task can need; they are broadcast while they are at most
    MOST_DONORS, else one shuffle of rows joins them by group, where the rows of a giant group can be split. Two
    exchanges in all.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import row_copies
    from clickweave.frames.draws import unit_draw

    alike, names = ("label", *categories(log)), [feature_column(name) for name in fitted.ranges]
    rows = sources.train.withColumn("_alike", F.struct(*alike))
    order = unit_draw("row_id", salt="mixup donor", seed=seed)
    some = rows.where(order * parts_of(fitted.giants, *alike) < 1)  # some 10,000 of a giant group, a tenth would do
    some = some.select("_alike", F.struct(order.alias("order"), "row_id", *names).alias("_donor"))
    in_order = Window.partitionBy("_alike").orderBy("_donor.order", "_donor.row_id")
    some = some.withColumn("_place", F.row_number().over(in_order)).where(F.col("_place") <= fitted.donors)
    donors = some.groupBy("_alike").agg(F.sort_array(F.collect_list("_donor")).alias("_donors"))
    if fitted.groups * fitted.donors <= MOST_DONORS:
        donors = F.broadcast(donors)
    chosen = rows.where(unit_draw("row_id", salt="mixup", seed=seed) < params.share).join(donors, "_alike")
    place = F.floor(unit_draw("row_id", salt="mixup place", seed=seed) * F.size("_donors")).cast("int")
    drawn, next_one = F.get("_donors", place), F.get("_donors", (place + 1) % F.size("_donors"))
    other = F.when(drawn["row_id"] == F.col("row_id"), next_one).otherwise(drawn)
    paired = chosen.withColumn("_other", other).where(F.col("_other.row_id") != F.col("row_id"))
    mixed = paired.withColumns(
        mixed_with({name: F.col(f"_other.{name}") for name in names}, fitted.ranges, F.lit(params.alpha))
    )
    return row_copies(mixed, log, f"mixup {seed}").select(*sources.train.columns)

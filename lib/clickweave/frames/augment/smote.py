"""smote: new rows of the rarer labels, on the line from a row to one of its near neighbours.

SMOTE, and SMOTE-NC for categories (Chawla et al. 2002, sections 4.2 and 6.1). Neighbours are found by locality-
sensitive hashing with projections (Datar et al. 2004): near rows are near on a random line.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import feature_column
from clickweave.errors import ConfigError
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
    from pyspark.sql import Column, DataFrame

CHANGES_ITEM = False  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False
CANDIDATES = 2  # rows on either side of the line for each wanted neighbour, of which the nearest ones count
LOGISTIC = 1.702  # slope with which a logistic curve is within 0.01 of the normal distribution's (Bowling et al. 2009)


class Params(Section):
    """Parameters of `smote`."""

    name: Literal["smote"] = "smote"
    ratio: float = Field(1.0, ge=0, le=20, description="new rows, per real row of any but the most frequent label")
    k: int = Field(5, ge=1, le=50, description="near rows of which one is drawn")
    columns: tuple[str, ...] | None = Field(None, description="numeric event features; null: all but label columns")

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no labels, a column is not a numeric event feature, or there is none."""
        if log.labels is None:
            raise ConfigError("augment operator smote needs schema.labels")
        check_numeric(log, "smote", self.columns)


@dataclass(frozen=True)
class Labels:
    """Ranges of the features, the rarer labels, and rows of their largest groups (groups.fit_giants)."""

    ranges: dict[str, Range]
    rare: tuple[int, ...]
    giants: dict[int, int]


def fit(sources: Sources, params: Params, log: SchemaConfig) -> Labels:
    """Three aggregates over train: ranges, rows by label, rows by rarer label and categories."""
    from pyspark.sql import functions as F

    ranges = fit_ranges(sources.train, params.columns or numeric_features(log))
    counts = {row["label"]: row["count"] for row in sources.train.groupBy("label").count().collect()}
    rare = tuple(sorted(label for label, count in counts.items() if count < max(counts.values())))
    few = sources.train.where(F.col("label").isin(*rare)) if rare else sources.train.limit(0)
    return Labels(ranges, rare, fit_giants(few, "label", *categories(log)))


def apply(sources: Sources, fitted: Labels, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """About `ratio` rows per row of a rarer label: x + u (z - x) with u uniform and z one of the k nearest rows.

    Nearest in standard deviations, of 2 k rows on either side of x on a random line, of those with equal label,
    categorical and id features. Item, query and categories are the row's own. A row without a neighbour makes none. One
    shuffle by label and categories; a giant group is cut into strips of about GROUP_ROWS rows.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import row_copies
    from clickweave.frames.draws import unit_draw

    rare = sources.train.where(F.col("label").isin(*fitted.rare)) if fitted.rare else sources.train.limit(0)
    along, across = (_projection(fitted.ranges, f"smote {side} {seed}") for side in ("along", "across"))
    alike = ("label", *categories(log))
    share = F.lit(1.0) / (F.lit(1.0) + F.exp(across * F.lit(-LOGISTIC)))  # of rows below, about
    rows = rare.withColumns({"_along": along, "_strip": F.floor(share * parts_of(fitted.giants, *alike))})
    group = Window.partitionBy(*alike, "_strip").orderBy("_along", "row_id")
    values = F.struct(*[F.col(feature_column(name)) for name in fitted.ranges], F.col("row_id"))
    reach = CANDIDATES * params.k
    sides = F.concat(*[F.collect_list(values).over(group.rowsBetween(*ends)) for ends in ((-reach, -1), (1, reach))])
    whole, part = int(params.ratio), params.ratio % 1.0
    extra = (unit_draw("row_id", salt="smote count", seed=seed) < part).cast("int")
    numbers = F.slice(F.sequence(F.lit(0), F.lit(whole + 1)), F.lit(2), F.lit(whole) + extra)
    rows = rows.withColumn("_near", sides).where(F.size("_near") > 0)
    by_distance = F.transform("_near", lambda one: F.struct(_distance(one, fitted.ranges), one.alias("other")))
    rows = rows.withColumn("_near", F.slice(F.sort_array(by_distance).getField("other"), 1, params.k))
    rows = rows.withColumn("_copy", F.explode(numbers))
    place = F.floor(unit_draw("row_id", "_copy", salt="smote neighbour", seed=seed) * F.size("_near")) + 1
    paired = rows.withColumn("_other", F.element_at("_near", place.cast("int")))
    other = {feature_column(name): F.col(f"_other.{feature_column(name)}") for name in fitted.ranges}
    own_share = F.lit(1.0) - unit_draw("row_id", "_copy", salt="smote share", seed=seed)
    mixed = paired.withColumns(mixed_with(other, fitted.ranges, own_share))
    return row_copies(mixed, log, f"smote {seed}", "_copy").select(*sources.train.columns)


def _distance(other: Column, ranges: dict[str, Range]) -> Column:
    """Squared distance of the row and another one, in standard deviations; a null is as far as one."""
    from pyspark.sql import functions as F

    total = F.lit(0.0)
    for name, span in ranges.items():
        apart = (F.col(feature_column(name)) - other.getField(feature_column(name))) / (span.sd or 1.0)
        total = total + F.coalesce(apart * apart, F.lit(1.0))
    return total


def _projection(ranges: dict[str, Range], salt: str) -> Column:
    """A place on a random line of unit direction, in standard deviations; nulls count as the mean."""
    from pyspark.sql import functions as F

    draws = random.Random(salt)
    weights = [draws.gauss(0, 1) for _ in ranges]
    norm = sum(weight * weight for weight in weights) ** 0.5 or 1.0
    place = F.lit(0.0)
    for (name, span), weight in zip(ranges.items(), weights, strict=True):
        scaled = (F.col(feature_column(name)) - span.mean) / (span.sd or 1.0)
        place = place + F.coalesce(scaled, F.lit(0.0)) * (weight / norm)
    return place

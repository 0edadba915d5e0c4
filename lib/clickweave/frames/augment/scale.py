"""scale: numeric jitter. Multiplies numeric features by 1 + sigma * e, e a standard normal draw per row and column.

The result stays inside the column's range in real/train; whole numbers stay whole; null stays null; labels stay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import feature_column
from clickweave.frames.augment.copies import Sources
from clickweave.frames.augment.numbers import Range, check_numeric, fit_ranges, inside, numeric_features

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

CHANGES_ITEM = False  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False


class Params(Section):
    """Parameters of `scale`."""

    name: Literal["scale"] = "scale"
    share: float = Field(0.2, ge=0, le=1, description="share of rows that get a jittered copy")
    sigma: float = Field(0.1, ge=0, le=1, description="standard deviation of the relative jitter")
    columns: tuple[str, ...] | None = Field(None, description="numeric event features; null: all but label columns")

    def targets(self, log: SchemaConfig) -> tuple[str, ...]:
        """The features that are jittered."""
        return numeric_features(log) if self.columns is None else self.columns

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where a column is not a numeric event feature, or there is none."""
        check_numeric(log, "scale", self.columns)


def fit(sources: Sources, params: Params, log: SchemaConfig) -> dict[str, Range]:
    """The range of each feature; one aggregate over train."""
    return fit_ranges(sources.train, params.targets(log))


def apply(sources: Sources, fitted: dict[str, Range], params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """One jittered copy of a seeded share of rows. Narrow."""
    from clickweave.frames.augment.copies import row_copies
    from clickweave.frames.draws import unit_draw

    chosen = sources.train.where(unit_draw("row_id", salt="scale", seed=seed) < params.share)
    jittered = {
        feature_column(name): _jitter(feature_column(name), span, params.sigma, seed) for name, span in fitted.items()
    }
    return row_copies(chosen.withColumns(jittered), log, f"scale {seed}")


def _jitter(column: str, span: Range, sigma: float, seed: int) -> Column:
    from pyspark.sql import functions as F

    from clickweave.frames.draws import normal_draw

    normal = normal_draw("row_id", salt=f"scale {column}", seed=seed)
    value = inside(F.col(column) * (F.lit(1.0) + F.lit(sigma) * normal), span)
    return F.when(F.col(column).isNotNull(), value)

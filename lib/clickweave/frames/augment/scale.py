"""scale: numeric jitter. Multiplies numeric features by 1 + sigma * e, e a standard normal draw per row and column.

The result stays inside the column's range in real/train; whole numbers stay whole; null stays null; labels stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import feature_column
from clickweave.errors import ConfigError
from clickweave.frames.augment.copies import Sources

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
        """The features that are jittered; those under a label threshold are not, since the label must stay."""
        under_label = {threshold.column for threshold in log.thresholds.values()}
        numeric = [
            n for n, s in log.event_features.items() if s.kind == "numeric" and (s.column or n) not in under_label
        ]
        return tuple(numeric) if self.columns is None else self.columns

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where a column is not a numeric event feature, or there is none."""
        allowed = Params().targets(log)
        for name in self.targets(log):
            if name not in allowed:
                raise ConfigError(f"augment operator scale: {name!r} is not a numeric event feature without a label")
        if not self.targets(log):
            raise ConfigError("augment operator scale needs a numeric event feature; the recipe names none")


@dataclass(frozen=True)
class Range:
    """Range of one feature in real/train, and whether all its values are whole."""

    low: float
    high: float
    whole: bool


def fit(sources: Sources, params: Params, log: SchemaConfig) -> dict[str, Range]:
    """The range of each target feature; one aggregate over train."""
    from pyspark.sql import functions as F

    aggregates = []
    for name in params.targets(log):
        value = F.col(feature_column(name))
        aggregates += [F.min(value).alias(f"low {name}"), F.max(value).alias(f"high {name}")]
        aggregates += [F.bool_and(value == F.floor(value)).alias(f"whole {name}")]
    row = sources.train.agg(*aggregates).first()
    if row is None:
        return {}
    found = [name for name in params.targets(log) if row[f"low {name}"] is not None]
    return {n: Range(row[f"low {n}"], row[f"high {n}"], bool(row[f"whole {n}"])) for n in found}


def apply(sources: Sources, fitted: dict[str, Range], params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """One jittered copy of a seeded share of rows. Narrow."""
    from clickweave.frames.augment.copies import row_copies
    from clickweave.frames.draws import unit_draw

    chosen = sources.train.where(unit_draw("row_id", salt="scale", seed=seed) < params.share)
    jittered = {
        feature_column(name): _jitter(feature_column(name), span, params.sigma, seed) for name, span in fitted.items()
    }
    return row_copies(chosen.withColumns(jittered), f"scale {seed}")


def _jitter(column: str, span: Range, sigma: float, seed: int) -> Column:
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    # Box and Muller (1958), equation for one of the pair
    radius = F.sqrt(-2.0 * F.log(F.lit(1.0) - unit_draw("row_id", salt=f"scale radius {column}", seed=seed)))
    normal = radius * F.cos(F.lit(6.283185307179586) * unit_draw("row_id", salt=f"scale angle {column}", seed=seed))
    value = F.col(column) * (F.lit(1.0) + F.lit(sigma) * normal)
    value = F.round(value) if span.whole else value
    inside = F.least(F.greatest(value, F.lit(span.low)), F.lit(span.high))
    return F.when(F.col(column).isNotNull(), inside).cast("double")

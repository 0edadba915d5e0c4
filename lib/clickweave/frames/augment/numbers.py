"""Numeric event features as operators see them: which ones, their ranges, and values that stay inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clickweave.config.log import CATEGORY_KINDS, EventTypes, LabelColumns, SchemaConfig
from clickweave.contracts.tables import feature_column
from clickweave.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True)
class Range:
    """What is known of one feature in real/train.

    Attributes:
        whole: whether all values are whole.
    """

    low: float
    high: float
    whole: bool
    mean: float
    sd: float


def free_features(log: SchemaConfig) -> dict[str, str]:
    """Event features that may change, and their kinds: those whose raw column has no role besides. One under a label
    cannot change without the label, one that is the position as well not without it.
    """
    taken = {log.user, log.item, log.session, log.slate, log.query, log.position, log.propensity}
    match log.labels:
        case EventTypes(column=column):
            taken.add(column)
        case LabelColumns(columns=columns):
            taken |= {column if isinstance(column, str) else column.column for column in columns}
    if log.event_time is not None:
        taken.add(log.event_time.column)
    return {name: spec.kind for name, spec in log.event_features.items() if (spec.column or name) not in taken}


def numeric_features(log: SchemaConfig) -> tuple[str, ...]:
    """The numeric event features that may change."""
    return tuple(name for name, kind in free_features(log).items() if kind == "numeric")


def check_numeric(log: SchemaConfig, name: str, columns: Sequence[str] | None) -> None:
    """Raises ConfigError where a column is not a numeric event feature that may change, or there is none."""
    allowed = numeric_features(log)
    for column in columns or ():
        if column not in allowed:
            raise ConfigError(f"augment operator {name}: {column!r} is not a numeric event feature without a label")
    if not allowed:
        raise ConfigError(f"augment operator {name} needs a numeric event feature; the recipe names none")


def fit_ranges(train: DataFrame, features: Sequence[str]) -> dict[str, Range]:
    """The range of each feature that has a value; one aggregate over train."""
    from pyspark.sql import functions as F

    aggregates = []
    for name in features:
        value = F.col(feature_column(name))
        aggregates += [F.min(value).alias(f"low {name}"), F.max(value).alias(f"high {name}")]
        aggregates += [F.avg(value).alias(f"mean {name}"), F.stddev_pop(value).alias(f"sd {name}")]
        aggregates += [F.bool_and(value == F.floor(value)).alias(f"whole {name}")]
    row = train.agg(*aggregates).collect()[0]
    found = [name for name in features if row[f"low {name}"] is not None]
    return {
        name: Range(
            low=row[f"low {name}"],
            high=row[f"high {name}"],
            whole=row[f"whole {name}"],
            mean=steady(row[f"mean {name}"]),
            sd=steady(row[f"sd {name}"]),
        )
        for name in found
    }


def steady(value: float) -> float:
    """Nine digits of a sum's result: the last ones depend on the order in which partitions are added."""
    return float(f"{value:.9g}")


def inside(value: Column, span: Range) -> Column:
    """A value inside the range, whole where all are."""
    from pyspark.sql import functions as F

    value = F.round(value) if span.whole else value
    return F.least(F.greatest(value, F.lit(span.low)), F.lit(span.high)).cast("double")


def mixed_with(other: dict[str, Column], ranges: dict[str, Range], own_share: Column) -> dict[str, Column]:
    """By canonical column: own_share * own value + the rest of the other's; where either is null the own value stays.

    Args:
        other: canonical column -> the other row's value.
    """
    from pyspark.sql import functions as F

    found = {}
    for name, span in ranges.items():
        column = feature_column(name)
        own = F.col(column)
        value = inside(own * own_share + other[column] * (F.lit(1.0) - own_share), span)
        found[column] = F.when(other[column].isNotNull() & own.isNotNull(), value).otherwise(own)
    return found


def categories(log: SchemaConfig) -> list[str]:
    """Canonical columns that two rows must agree in to be mixed: categorical and id event features."""
    return [feature_column(name) for name, spec in log.event_features.items() if spec.kind in CATEGORY_KINDS]

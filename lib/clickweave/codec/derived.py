"""Event features that are functions of the item or the user: attributes, which are joined and never generated."""

from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clickweave.codec.inputs import Planned
from clickweave.codec.spec import ENTITY, Derived
from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import feature_column

MIN_SHARE = 0.9  # of the rows must belong to keys with two rows or more: below, dependence may be chance


def fit_derived(inputs: DataFrame, log: SchemaConfig, grain: str) -> tuple[Derived, ...]:
    """Which event features another column implies: item_id where it does, else the user. One shuffle by each.

    Columns under a label threshold always stay: the label is read from them.
    """
    thresholds = {threshold.column for threshold in log.thresholds.values()}
    features = log.event_features.items()
    names = [feature_column(name) for name, spec in features if (spec.column or name) not in thresholds]
    keys = ["item_id"] if log.item is not None else []
    if grain == ENTITY and log.entity_column is not None:
        keys.append("entity_id")
    elif log.user is not None:
        keys.append("user_id")
    found: dict[str, str] = {}
    for key in keys:
        found |= dict.fromkeys(functions_of(inputs, key, [name for name in names if name not in found]), key)
    return tuple(Derived(name, found[name]) for name in names if name in found)


def functions_of(rows: DataFrame, key: str, columns: Sequence[str]) -> list[str]:
    """The columns that are functions of `key`: each key with two rows or more has one value, or null alone, such keys
    hold MIN_SHARE of the rows, and rows without a key have no value. Constant columns are none: they say nothing.
    """
    if not columns:
        return []
    by_key = rows.groupBy(key).agg(
        F.count(F.lit(1)).alias("rows"),
        *[F.count(name).alias(f"known {name}") for name in columns],
        *[F.min(name).alias(f"low {name}") for name in columns],
        *[F.max(name).alias(f"high {name}") for name in columns],
    )
    is_key, repeated = F.col(key).isNotNull(), F.col("rows") > 1
    row = by_key.agg(
        F.sum("rows").alias("rows"),
        F.sum(F.when(is_key & repeated, F.col("rows"))).alias("repeated"),
        *[F.bool_and(_one_value(name, is_key) | (is_key & ~repeated)).alias(f"one {name}") for name in columns],
        *[F.sum(f"known {name}").alias(f"known {name}") for name in columns],
        *[F.min(f"low {name}").eqNullSafe(F.max(f"high {name}")).alias(f"same {name}") for name in columns],
    ).collect()[0]
    if (row["repeated"] or 0) < MIN_SHARE * (row["rows"] or 1):
        return []

    def is_constant(name: str) -> bool:
        return bool(row[f"same {name}"]) and row[f"known {name}"] in (0, row["rows"])

    return [name for name in columns if row[f"one {name}"] and not is_constant(name)]


def without_derived(planned: Sequence[Planned], derived: Sequence[Derived]) -> tuple[Planned, ...]:
    """The columns that are still coded; what is a function of the entity is one of its columns (level entity)."""
    by = {each.name: each.by for each in derived}
    about = [plan for plan in planned if plan.column.level == ENTITY]
    for plan in planned:
        if by.get(plan.column.name) == "entity_id":
            about.append(replace(plan, column=replace(plan.column, level=ENTITY)))
    others = [plan for plan in planned if plan.column.level != ENTITY and plan.column.name not in by]
    return (*about, *others)


def _one_value(name: str, is_key: Column) -> Column:
    known, low, high = F.col(f"known {name}"), F.col(f"low {name}"), F.col(f"high {name}")
    return (known == 0) | (is_key & (known == F.col("rows")) & (low == high))

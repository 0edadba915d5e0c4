"""Fits the codec from Spark aggregates. The driver holds O(kept values), never O(rows)."""

import math
from dataclasses import replace

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clickweave.codec.spec import BINS, FIRST_BIN, VALUES, CodecSpec, ColumnSpec
from clickweave.config.log import SchemaConfig
from clickweave.config.stages import EncodeConfig
from clickweave.contracts.tables import feature_column
from clickweave.errors import ContractError

QUANTILE_ACCURACY = 100_000  # relative error 1e-5 of approximate quantiles
_STEPS_US = (86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000, 1_000)


def fit_codec(train: DataFrame, log: SchemaConfig, config: EncodeConfig, *, fitted_on: str) -> CodecSpec:
    """The codec of a log, fitted on real/train: one aggregate per categorical column, two for all ordered ones.

    Raises:
        ContractError: there are no rows.
    """
    num_rows = train.count()
    if num_rows == 0:
        raise ContractError("encode: real/train has no rows; check split.holdout_share and the quarantine")
    values, bins = coded_columns(log)
    by_name = _fit_bins(train, bins, config)
    for name, needs_users in values.items():
        by_name[name] = _fit_values(train, name, config, min_users=config.min_users if needs_users else 1)
    order = [name for name in train.columns if name in by_name]
    return CodecSpec(columns=tuple(by_name[name] for name in order), num_rows=num_rows, fitted_on=fitted_on)


def coded_columns(log: SchemaConfig) -> tuple[dict[str, bool], dict[str, str]]:
    """What is coded: {value column: must a value be backed by k users?} and {bin column: decoded type}.

    The label is left out where threshold columns imply it: align computes it from them.
    """
    values: dict[str, bool] = {}
    bins: dict[str, str] = {}
    if log.entity_column is not None:
        values["entity_id"] = False
    if log.item is not None:
        values["item_id"] = False
    if log.query is not None:
        values["query"] = True
    if log.position is not None:
        bins["position"] = "long"
    if log.propensity is not None:
        bins["propensity"] = "double"
    if log.event_time is not None:
        bins["event_time"] = "timestamp"
    if len(log.thresholds) < log.num_levels:
        values["label"] = False
    for name, spec in log.event_features.items():
        if spec.kind == "numeric":
            bins[feature_column(name)] = "double"
        else:
            values[feature_column(name)] = spec.kind == "categorical"
    return values, bins


def _fit_values(train: DataFrame, name: str, config: EncodeConfig, *, min_users: int) -> ColumnSpec:
    """One shuffle by value; the `max_values` most frequent reach the driver, ties by value."""
    users = F.lit(1) if min_users == 1 else F.count_distinct("entity_id")
    value = F.col(name).cast("string").alias("value")
    counted = train.select(value, "entity_id").groupBy("value").agg(F.count("*").alias("n"), users.alias("users"))
    kept_rows = (
        counted.where(F.col("value").isNotNull() & (F.col("users") >= min_users))
        .orderBy(F.desc("n"), "value")
        .limit(config.max_values)
        .collect()
    )
    totals = counted.agg(
        F.sum("n").alias("all"), F.sum(F.when(F.col("value").isNull(), F.col("n"))).alias("null")
    ).first()
    num_all, num_null = (0, 0) if totals is None else (totals["all"] or 0, totals["null"] or 0)
    counts = tuple(row["n"] for row in kept_rows)
    return ColumnSpec(
        name=name,
        kind=VALUES,
        type="long" if name == "label" else "string",
        values=tuple(row["value"] for row in kept_rows),
        counts=counts,
        rare_pool=tuple(range(len(counts))),
        num_null=num_null,
        num_rare=num_all - num_null - sum(counts),
        is_entity=name == "entity_id",
    )


def _fit_bins(train: DataFrame, types: dict[str, str], config: EncodeConfig) -> dict[str, ColumnSpec]:
    """Bins of all ordered columns: one aggregate for all, and one per column with few distinct values."""
    if not types:
        return {}
    numbers = train.select(*[_as_number(name, kind).alias(name) for name, kind in types.items()])
    shares = [i / config.num_bins for i in range(config.num_bins + 1)]
    aggregates = [F.count("*").alias("rows")]
    for name, kind in types.items():
        aggregates += [
            F.percentile_approx(name, shares, QUANTILE_ACCURACY).alias(f"quantiles {name}"),
            F.approx_count_distinct(name).alias(f"distinct {name}"),
            F.min(name).alias(f"low {name}"),
            F.max(name).alias(f"high {name}"),
            F.count(name).alias(f"known {name}"),
            *[F.bool_and(F.pmod(name, F.lit(float(s))) == 0).alias(f"step {s} {name}") for s in _steps(kind)],
        ]
    row = numbers.agg(*aggregates).collect()[0]
    specs = {}
    for name, kind in types.items():
        step = float(next((s for s in _steps(kind) if row[f"step {s} {name}"]), 1 if kind == "timestamp" else 0))
        few = _few_values(numbers, name, config.num_bins) if row[f"distinct {name}"] <= 2 * config.num_bins else None
        lows: tuple[float, ...] = ()
        highs: tuple[float, ...] = ()
        if row[f"low {name}"] is None:
            pass  # all null: no bins
        elif few is not None:
            lows, highs = few, few
        else:
            edges = [row[f"low {name}"], *row[f"quantiles {name}"][1:-1], row[f"high {name}"]]
            lows, highs = bins_between(edges, step)
        null = row["rows"] - row[f"known {name}"]
        specs[name] = ColumnSpec(name=name, kind=BINS, type=kind, lows=lows, highs=highs, step=step, num_null=null)
    return specs


def bins_between(edges: list[float], step: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Bins [low, high] between ascending quantile edges; an edge that repeats carries much mass: a spike of its own.

    Bins do not overlap. With a step, both ends are multiples of it that belong to the bin; without one, a bin ends
    where the next begins.
    """
    unique = sorted(set(edges))
    spikes = {edge for edge in unique if edges.count(edge) > 1}
    lows, highs = [], []
    for number, edge in enumerate(unique):
        if edge in spikes or len(unique) == 1:
            lows.append(edge)
            highs.append(edge)
        if number + 1 == len(unique):
            break
        following = unique[number + 1]
        last = number + 2 == len(unique) and following not in spikes
        low = edge if edge not in spikes else edge + step if step else math.nextafter(edge, math.inf)
        high = following if last or not step else following - step
        if low <= high:
            lows.append(low)
            highs.append(high)
    return tuple(lows), tuple(highs)


def with_bin_counts(spec: CodecSpec, shards: DataFrame) -> CodecSpec:
    """The spec with the number of rows in each bin, counted on the encoded rows; one small aggregate per column."""

    def counted(column: ColumnSpec) -> ColumnSpec:
        if column.kind != BINS:
            return column
        found = {row[0]: row[1] for row in shards.groupBy(f"code_{column.name}").count().collect()}
        return replace(column, counts=tuple(found.get(FIRST_BIN + i, 0) for i in range(len(column.lows))))

    return replace(spec, columns=tuple(counted(column) for column in spec.columns))


def _few_values(numbers: DataFrame, name: str, limit: int) -> tuple[float, ...] | None:
    """All distinct values in order, or None if there are more than `limit`."""
    found = numbers.select(name).where(F.col(name).isNotNull()).distinct().limit(limit + 1).collect()
    return tuple(sorted(row[0] for row in found)) if len(found) <= limit else None


def _as_number(name: str, kind: str) -> Column:
    return F.unix_micros(name).cast("double") if kind == "timestamp" else F.col(name).cast("double")


def _steps(kind: str) -> tuple[int, ...]:
    return _STEPS_US if kind == "timestamp" else (1,)

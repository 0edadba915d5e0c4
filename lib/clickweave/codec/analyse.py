"""Fits the codec from Spark aggregates. The driver holds O(kept values), never O(rows)."""

import math
from collections.abc import Sequence
from dataclasses import replace

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clickweave.codec.inputs import Planned
from clickweave.codec.part_names import counts_days, counts_microseconds
from clickweave.codec.spec import (
    BINS,
    ENTITY,
    FIRST_BIN,
    GAP,
    NULL_CODE,
    PLACE,
    SPAN,
    VALUES,
    VECTOR,
    CodecSpec,
    ColumnSpec,
)
from clickweave.codec.totals import AGAIN, least_paces
from clickweave.config.stages import EncodeConfig
from clickweave.contracts.tables import DAY_US
from clickweave.errors import ContractError

QUANTILE_ACCURACY = 100_000  # relative error 1e-5 of approximate quantiles
TAIL_HALVINGS = 6  # the outermost bin holds a 64th of what an inner one does
MAX_DAYS = 2_000  # distinct days that get a code each; beyond, days share bins
_TIME_STEPS_US = (DAY_US, 3_600_000_000, 60_000_000, 1_000_000, 1_000, 1)


def fit_codec(
    inputs: DataFrame, planned: Sequence[Planned], config: EncodeConfig, *, grain: str, fitted_on: str
) -> CodecSpec:
    """The codec of a log: one aggregate per column of values, up to three for all ordered ones.

    Args:
        inputs: real/train as codec/inputs.py prepares it for this grain.
        planned: with the parts of times (codec/times.py); vectors are left out (codec/fit_parts.py).

    Raises:
        ContractError: there are no rows.
    """
    time_us = F.unix_micros("event_time")
    again = F.max(AGAIN) if grain == ENTITY else F.lit(True)
    bounds = {"rows": F.count(F.lit(1)), "first": F.min(time_us), "last": F.max(time_us), AGAIN: again}
    paces = least_paces() if any(plan.column.name == SPAN for plan in planned) else []
    row = inputs.agg(*[column.alias(name) for name, column in bounds.items()], *paces).collect()[0]
    if row["rows"] == 0:
        raise ContractError("encode: real/train has no rows; check split.holdout_share and the quarantine")
    fitted: dict[str, ColumnSpec] = {}
    for rows, columns in _by_rows(inputs, planned):
        fitted |= _fit_bins(rows, [plan.column for plan in columns if plan.column.kind == BINS], config)
        for plan in columns:
            if plan.column.kind == VALUES and plan.kind != VECTOR:
                least = config.min_users if plan.backed else 1
                fitted[plan.column.name] = _fit_values(rows, plan.column, config, min_users=least)
    return CodecSpec(
        columns=tuple(fitted[plan.column.name] for plan in planned if plan.kind != VECTOR),
        num_rows=row["rows"],
        fitted_on=fitted_on,
        grain=grain,
        window_us=(row["first"] or 0, row["last"] or 0),
        once=not row[AGAIN],
        least_paces_us=tuple(pace or 0.0 for pace in row[len(bounds) :]),
    )


def _by_rows(inputs: DataFrame, planned: Sequence[Planned]) -> list[tuple[DataFrame, list[Planned]]]:
    """Which rows fit which columns: one row a history those of level entity, all but the first of each the gap."""
    gaps = [plan for plan in planned if plan.column.name == GAP]
    about = [plan for plan in planned if plan.column.level == ENTITY]
    others = [plan for plan in planned if plan not in gaps and plan not in about]
    groups = [(inputs, others)]
    if about:
        groups.append((inputs.where(F.col(PLACE) == 0), about))
    if gaps:
        groups.append((inputs.where(F.col(PLACE) > 0), gaps))
    return groups


def _fit_values(train: DataFrame, column: ColumnSpec, config: EncodeConfig, *, min_users: int) -> ColumnSpec:
    """One shuffle by value; the `max_values` most frequent reach the driver, ties by value."""
    users = F.lit(1) if min_users == 1 else F.count_distinct("entity_id")
    value = F.col(column.name).cast("string").alias("value")
    counted = train.select(value, "entity_id").groupBy("value").agg(F.count("*").alias("n"), users.alias("users"))
    kept_rows = (
        counted.where(F.col("value").isNotNull() & (F.col("users") >= min_users))
        .orderBy(F.desc("n"), "value")
        .limit(config.max_values)
        .select("value", "n")
        .toArrow()
    )
    totals = counted.agg(
        F.sum("n").alias("all"), F.sum(F.when(F.col("value").isNull(), F.col("n"))).alias("null")
    ).first()
    num_all, num_null = (0, 0) if totals is None else (totals["all"] or 0, totals["null"] or 0)
    counts = tuple(kept_rows.column("n").to_pylist())
    return replace(
        column,
        values=tuple(kept_rows.column("value").to_pylist()),
        counts=counts,
        rare_pool=tuple(range(len(counts))),
        num_null=num_null,
        num_rare=num_all - num_null - sum(counts),
    )


def _fit_bins(train: DataFrame, columns: Sequence[ColumnSpec], config: EncodeConfig) -> dict[str, ColumnSpec]:
    """Bins of ordered columns: one aggregate for all, and one per column with few distinct values."""
    if not columns:
        return {}
    numbers = train.select(*[F.col(column.name).cast("double").alias(column.name) for column in columns])
    shares = bin_shares(config.num_bins)
    aggregates: list[Column] = [F.count("*").alias("rows")]
    for column in columns:
        name = column.name
        aggregates += [
            F.percentile_approx(name, shares, QUANTILE_ACCURACY).alias(f"quantiles {name}"),
            F.approx_count_distinct(name).alias(f"distinct {name}"),
            F.min(name).alias(f"low {name}"),
            F.max(name).alias(f"high {name}"),
            F.count(name).alias(f"known {name}"),
            *[F.bool_and(F.pmod(name, F.lit(float(s))) == 0).alias(f"step {s} {name}") for s in _steps(name)],
        ]
    row = numbers.agg(*aggregates).collect()[0]
    specs = {}
    for column in columns:
        name = column.name
        step = float(next((s for s in _steps(name) if row[f"step {s} {name}"]), 0))
        most = MAX_DAYS if counts_days(name) else config.num_bins
        few = _few_values(numbers, name, most) if row[f"distinct {name}"] <= 2 * most else None
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
        specs[name] = replace(column, lows=lows, highs=highs, step=step, num_null=null)
    return specs


def bin_shares(num_bins: int) -> list[float]:
    """Shares of the rows at which bins end, ascending from 0 to 1: equal steps, and the first and the last of them
    halved again and again, since in a heavy tail a bin as full as the others would be as wide as all of them.
    """
    tails = [2.0**-halving / num_bins for halving in range(1, TAIL_HALVINGS + 1)]
    return sorted({i / num_bins for i in range(num_bins + 1)} | {*tails, *(1 - share for share in tails)})


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
    """The spec with the number of rows (level entity: histories) in each bin, counted on the encoded rows; one small
    aggregate per column.
    """

    def counted(column: ColumnSpec) -> ColumnSpec:
        if column.kind != BINS:
            return column
        rows = shards.where(F.col(PLACE) == 0) if column.level == ENTITY else shards
        found = {row[0]: row[1] for row in rows.groupBy(f"code_{column.name}").count().collect()}
        counts = tuple(found.get(FIRST_BIN + i, 0) for i in range(len(column.lows)))
        return replace(column, counts=counts, num_null=found.get(NULL_CODE, 0))

    return replace(spec, columns=tuple(counted(column) for column in spec.columns))


def _few_values(numbers: DataFrame, name: str, limit: int) -> tuple[float, ...] | None:
    """All distinct values in order, or None if there are more than `limit`."""
    found = numbers.select(name).where(F.col(name).isNotNull()).distinct().limit(limit + 1).collect()
    return tuple(sorted(row[0] for row in found)) if len(found) <= limit else None


def _steps(name: str) -> tuple[int, ...]:
    """Steps that are looked for, the largest first: microseconds in clocks and gaps, else whole numbers."""
    return _TIME_STEPS_US if counts_microseconds(name) else (1,)

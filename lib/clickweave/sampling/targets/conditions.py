"""Conditions on columns as codes that events are drawn to, and as checks of what came out."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clickweave.codec.spec import EVENT, EVENT_CLOCK, FIRST_BIN, FIRST_VALUE, VALUES, CodecSpec, ColumnSpec
from clickweave.config.log import SchemaConfig
from clickweave.config.targets import HOUR
from clickweave.contracts.tables import HOUR_US, feature_column
from clickweave.errors import ContractError
from clickweave.frames.source_rows import threshold_feature

_COLUMNS = {"item": "item_id", "label": "label", "query": "query", "position": "position"}


@dataclass(frozen=True)
class Check:
    """What a decoded column must hold: a number in [low, high]; for `hour` the hour of event_time, UTC."""

    column: str
    low: float
    high: float
    hour: bool = False

    def holds(self, rows: pa.RecordBatch) -> np.ndarray:
        """Which rows meet it; a null does not."""
        values = pc.hour(rows.column(self.column)) if self.hour else rows.column(self.column)
        inside = pc.and_(pc.greater_equal(values, self.low), pc.less_equal(values, self.high))
        return np.asarray(inside.fill_null(False).to_numpy(zero_copy_only=False), bool)


@dataclass(frozen=True)
class Conditions:
    """Columns that can be given, each with the codes that may be, and what must be checked afterwards."""

    codes: dict[str, tuple[int, ...]]
    checks: tuple[Check, ...]


def conditions(wanted: dict[str, Any], spec: CodecSpec, log: SchemaConfig) -> Conditions:
    """The recipe's conditions in terms of the codec; a label that a threshold makes is a range of its column.

    Raises:
        ContractError: no real event can meet one: the value was never seen, or nothing lies in the range.
    """
    events = {column.name: column for column in spec.columns if column.level == EVENT}
    codes: dict[str, tuple[int, ...]] = {}
    checks: list[Check] = []
    for name, value in wanted.items():
        values = list(value) if isinstance(value, list | tuple) else [value]
        if name == HOUR:
            low, high = values[0], values[-1]
            checks.append(Check("event_time", low, high, hour=True))
            if EVENT_CLOCK in events:
                codes[EVENT_CLOCK] = _bins(events[EVENT_CLOCK], low * HOUR_US, (high + 1) * HOUR_US - 1, name)
            continue
        column = events.get(_COLUMNS.get(name, feature_column(name)))
        if name == "label" and column is None and log.thresholds:
            column, values = _threshold(events, values, log)
        if column is None:
            raise ContractError(f"sample.targets: {name!r} is no column that the generator draws; leave it out")
        if column.kind == VALUES:
            codes[column.name] = _values(column, values, name)
        else:
            low, high = float(values[0]), float(values[-1])
            codes[column.name] = _bins(column, low, high, name)
            checks.append(Check(column.name, low, high))
    return Conditions(codes, tuple(checks))


def _threshold(
    events: dict[str, ColumnSpec], wanted: list[Any], log: SchemaConfig
) -> tuple[ColumnSpec | None, list[Any]]:
    """The column that a label of one level is made from, and its range: reached, or for 0 the weakest one not."""
    if len(wanted) != 1 or wanted[0] not in (0, *log.thresholds):
        raise ContractError(f"sample.targets: label must be 0 or one of {', '.join(map(str, log.thresholds))} here")
    threshold = log.thresholds[max(1, int(wanted[0]))]
    column = events.get(threshold_feature(log, threshold))
    if column is not None and column.kind == VALUES:
        raise ContractError(f"sample.targets: label: {threshold.column!r} is no number here; name its values instead")
    if wanted[0] == 0:
        return column, [-math.inf, math.nextafter(threshold.at_least, -math.inf)]
    return column, [threshold.at_least, math.inf]


def level_codes(level: int, spec: CodecSpec, log: SchemaConfig) -> dict[str, tuple[int, ...]]:
    """Codes by column of the events that have exactly this level of a label of thresholds: those up to it are reached
    and no stronger one is. Bins that lie on both sides of a threshold are left out, so that nothing must be checked.

    Raises:
        ContractError: a column under a threshold is coded by values, or no bin lies inside.
    """
    events = {column.name: column for column in spec.columns if column.level == EVENT}
    codes: dict[str, tuple[int, ...]] = {}
    for name in dict.fromkeys(threshold_feature(log, each) for each in log.thresholds.values()):
        column = events.get(name)
        if column is None or column.kind == VALUES:
            raise ContractError(f"sample.targets: label: {name!r} is no number here; name its values instead")
        own = {k: t.at_least for k, t in log.thresholds.items() if threshold_feature(log, t) == name}
        low = max((at for k, at in own.items() if k <= level), default=-math.inf)
        below = min((at for k, at in own.items() if k > level), default=math.inf)
        ends = enumerate(zip(column.lows, column.highs, strict=True))
        codes[name] = tuple(n + FIRST_BIN for n, (start, end) in ends if start >= low and end < below)
        if not codes[name]:
            raise ContractError(f"sample.targets: label {level}: no bin of {name!r} lies inside; raise encode.num_bins")
    return codes


def _values(column: ColumnSpec, wanted: list[Any], name: str) -> tuple[int, ...]:
    place = {value: number for number, value in enumerate(column.values)}
    found = []
    for value in wanted:
        text = str(int(value)) if isinstance(value, bool) else str(value)
        number = place.get(text)
        if number is None or column.counts[number] == 0:
            raise ContractError(f"sample.targets: no real event with {name} = {value!r} that the generator could learn")
        found.append(number + FIRST_VALUE)
    return tuple(found)


def _bins(column: ColumnSpec, low: float, high: float, name: str) -> tuple[int, ...]:
    """Codes of the bins that touch [low, high]."""
    touched = [
        number + FIRST_BIN
        for number, (start, end) in enumerate(zip(column.lows, column.highs, strict=True))
        if start <= high and end >= low
    ]
    if not touched:
        raise ContractError(f"sample.targets: no real event with {name} from {low:g} to {high:g}")
    return tuple(touched)

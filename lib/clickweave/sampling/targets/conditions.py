"""Conditions on columns as codes that events are drawn to, and as checks of what came out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clickweave.codec.spec import EVENT, EVENT_CLOCK, FIRST_BIN, FIRST_VALUE, VALUES, CodecSpec, ColumnSpec
from clickweave.config.targets import HOUR
from clickweave.contracts.tables import HOUR_US, feature_column
from clickweave.errors import ContractError

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


def conditions(wanted: dict[str, Any], spec: CodecSpec) -> Conditions:
    """The recipe's conditions in terms of the codec.

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
        if column is None:
            raise ContractError(f"sample.targets: {name!r} is no column that the generator draws; leave it out")
        if column.kind == VALUES:
            codes[column.name] = _values(column, values, name)
        else:
            low, high = float(values[0]), float(values[-1])
            codes[column.name] = _bins(column, low, high, name)
            checks.append(Check(column.name, low, high))
    return Conditions(codes, tuple(checks))


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

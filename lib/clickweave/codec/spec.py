"""What a fitted codec is: plain data, no Spark, no numpy. The bundle carries it as JSON.

Every column of a training row becomes one integer code; ordered columns (numeric, time) also carry a position
in [0, 1] inside their bin. Code 0 is null everywhere.

    values (categorical, label, entity):  0 null | 1 rare | 2 + i  -> values[i]
    bins   (numeric, time):               0 null | 1 + i           -> [lows[i], highs[i]]; a spike has low == high
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

NULL_CODE = 0
RARE_CODE = 1
FIRST_VALUE = 2
FIRST_BIN = 1

VALUES = "values"
BINS = "bins"


@dataclass(frozen=True)
class ColumnSpec:
    """One column of the codec.

    Attributes:
        name: canonical column name (contracts/tables.py).
        kind: `values` or `bins`.
        type: what decode returns: string | long | double | timestamp.
        values: for `values`, the kept values as text, most frequent first.
        counts: rows in the training data per kept value (or bin), same order; 0 only for a bin.
        rare_pool: for `values`, indices into `values` that a rare code may decode to (each backed by >= k users).
        lows, highs: for `bins`, ascending, in the column's unit (microseconds since 1970 for time).
        step: for `bins`, decoded numbers are multiples of this (1 for integers); 0 means continuous.
        num_null: rows in the training data that carry the null code.
        num_rare: rows in the training data that carry the rare code (`values` only).
        is_entity: the code stands for the user (else session); align maps it to a new id.
    """

    name: str
    kind: str
    type: str
    values: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    rare_pool: tuple[int, ...] = ()
    lows: tuple[float, ...] = ()
    highs: tuple[float, ...] = ()
    step: float = 0.0
    num_null: int = 0
    num_rare: int = 0
    is_entity: bool = False

    @property
    def num_codes(self) -> int:
        """Size of the code space, null (and rare) included."""
        return FIRST_VALUE + len(self.values) if self.kind == VALUES else FIRST_BIN + len(self.lows)

    @property
    def has_position(self) -> bool:
        """Whether rows carry a position in [0, 1] inside the bin: bins that are not all spikes."""
        return self.kind == BINS and any(low < high for low, high in zip(self.lows, self.highs, strict=True))


@dataclass(frozen=True)
class CodecSpec:
    """All columns of a training row, in the order generators see them, and where they were fitted."""

    columns: tuple[ColumnSpec, ...]
    num_rows: int
    fitted_on: str

    @property
    def code_columns(self) -> tuple[str, ...]:
        """Names of the int32 shard columns: `code_<name>`, one per column."""
        return tuple(f"code_{column.name}" for column in self.columns)

    @property
    def position_columns(self) -> tuple[str, ...]:
        """Names of the float32 shard columns: `position_<name>`, for the columns that have positions."""
        return tuple(f"position_{column.name}" for column in self.columns if column.has_position)

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "CodecSpec":
        raw = json.loads(text)
        columns = []
        for column in raw["columns"]:
            frozen: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in column.items()}
            columns.append(ColumnSpec(**frozen))
        return cls(columns=tuple(columns), num_rows=raw["num_rows"], fitted_on=raw["fitted_on"])

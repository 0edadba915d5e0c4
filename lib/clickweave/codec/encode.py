"""Rows to codes and positions, vectorised over Arrow batches. Rows come prepared by codec/inputs.py."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clickweave.codec.spec import (
    FIRST_BIN,
    FIRST_VALUE,
    NULL_CODE,
    RARE_CODE,
    VALUES,
    CodecSpec,
    ColumnSpec,
)
from clickweave.errors import ContractError


def shard_schema(spec: CodecSpec) -> pa.Schema:
    """int32 `code_<name>` for each column, float32 `position_<name>` for those that have positions, then at grain
    entity where the event stands in its history.
    """
    codes = [pa.field(name, pa.int32(), nullable=False) for name in spec.code_columns]
    positions = [pa.field(name, pa.float32(), nullable=False) for name in spec.position_columns]
    return pa.schema([*codes, *positions, *[pa.field(n, pa.int64(), nullable=False) for n in spec.history_columns]])


def encode_batch(spec: CodecSpec, rows: pa.RecordBatch) -> pa.RecordBatch:
    """One coded row per row, same order. Wide columns come as codes already (codec/wide.py).

    Raises:
        ContractError: a column that the codec was fitted for is missing, or holds another type.
    """
    codes, positions = [], []
    for column in spec.columns:
        if column.num_digits:
            codes.append(_column(rows, f"code_{column.name}"))
            continue
        values = _column(rows, column.name)
        if column.kind == VALUES:
            codes.append(_value_codes(column, values))
            continue
        bin_codes, inside = _bin_codes(column, values)
        codes.append(bin_codes)
        if column.has_position:
            positions.append(inside)
    places = [_column(rows, name) for name in spec.history_columns]
    schema = shard_schema(spec)
    arrays = [pa.array(x) for x in (*codes, *positions, *places)]
    return pa.RecordBatch.from_arrays(
        [array.cast(field.type) for array, field in zip(arrays, schema, strict=True)], schema=schema
    )


def _column(rows: pa.RecordBatch, name: str) -> pa.Array:
    if name not in rows.schema.names:
        raise ContractError(f"encode: column {name!r} of the codec is missing; has {rows.schema.names}")
    return rows.column(name)


def _value_codes(column: ColumnSpec, values: pa.Array) -> np.ndarray:
    _check_type(column, values.type, pa.types.is_integer if column.type == "long" else _is_text)
    text = values.cast(pa.string())
    found = pc.index_in(text, value_set=pa.array(column.values, pa.string()))
    codes = pc.add(found, FIRST_VALUE).fill_null(RARE_CODE).to_numpy(zero_copy_only=False).astype(np.int32)
    codes[text.is_null().to_numpy(zero_copy_only=False)] = NULL_CODE
    return codes


def _check_type(column: ColumnSpec, kind: pa.DataType, fits: Callable[[pa.DataType], bool]) -> None:
    if not (fits(kind) or pa.types.is_null(kind)):
        raise ContractError(
            f"encode: column {column.name!r} holds {kind}, the codec was fitted for {column.type}; encode this log anew"
        )


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def _bin_codes(column: ColumnSpec, values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Codes (int32) and positions (float32). A value outside every bin goes to the end of the nearest one."""
    _check_type(column, values.type, _is_number)
    null = values.is_null().to_numpy(zero_copy_only=False)
    numbers = values.cast(pa.float64(), safe=False).fill_null(0.0).to_numpy(zero_copy_only=False)
    if not column.lows:
        return np.zeros(len(numbers), np.int32), np.full(len(numbers), 0.5, np.float32)
    lows, highs = np.asarray(column.lows), np.asarray(column.highs)
    place = np.clip(np.searchsorted(lows, numbers, side="right") - 1, 0, len(lows) - 1)
    after = np.minimum(place + 1, len(lows) - 1)
    nearer_after = (numbers > highs[place]) & (lows[after] - numbers < numbers - highs[place])
    place = np.where(nearer_after, after, place)
    numbers = np.clip(numbers, lows[place], highs[place])
    width = highs[place] - lows[place] + column.step
    with np.errstate(divide="ignore", invalid="ignore"):
        inside = np.where(width > 0, (numbers - lows[place] + column.step / 2) / width, 0.5)
    codes = np.where(null, NULL_CODE, FIRST_BIN + place).astype(np.int32)
    return codes, np.where(null, 0.5, inside).astype(np.float32)

"""Codes and positions back to rows: exact on kept values, inside the bin on ordered ones."""

import numpy as np
import pyarrow as pa

from clickweave.codec.spec import FIRST_BIN, FIRST_VALUE, NULL_CODE, RARE_CODE, VALUES, CodecSpec, ColumnSpec

ENTITY_CODE = "entity_code"

_ARROW_TYPES = {
    "string": pa.string(),
    "long": pa.int64(),
    "double": pa.float64(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}


def decoded_schema(spec: CodecSpec) -> pa.Schema:
    """The columns of decoded rows. The entity comes as its int64 code (`entity_code`), never as the real id."""
    return pa.schema([_field(column) for column in spec.columns])


class Decoder:
    """Decodes batches; holds each column's values as one Arrow array."""

    def __init__(self, spec: CodecSpec) -> None:
        self._spec = spec
        self._values = {c.name: pa.array(c.values, pa.string()) for c in spec.columns if c.kind == VALUES}

    def __call__(self, codes_BC: np.ndarray, positions_BP: np.ndarray, rng: np.random.Generator) -> pa.RecordBatch:
        """One row per row of codes.

        Args:
            codes_BC: integers, one column per column of the spec.
            positions_BP: in [0, 1], one column per column with positions.
            rng: decides what a rare code becomes.
        """
        arrays, next_position = [], 0
        for number, column in enumerate(self._spec.columns):
            codes = codes_BC[:, number]
            if column.kind == VALUES:
                arrays.append(self._decode_values(column, codes, rng))
                continue
            inside = np.full(len(codes), 0.5)
            if column.has_position:
                inside = positions_BP[:, next_position].astype(np.float64)
                next_position += 1
            arrays.append(_decode_bins(column, codes, inside))
        return pa.RecordBatch.from_arrays(arrays, schema=decoded_schema(self._spec))

    def _decode_values(self, column: ColumnSpec, codes: np.ndarray, rng: np.random.Generator) -> pa.Array:
        codes = codes.astype(np.int64)
        rare = codes == RARE_CODE
        weights = np.asarray([column.counts[i] for i in column.rare_pool], np.float64)
        if rare.any():
            drawn = (
                rng.choice(column.rare_pool, rare.sum(), p=weights / weights.sum()) + FIRST_VALUE
                if len(weights)
                else NULL_CODE
            )
            codes[rare] = drawn
        null = codes == NULL_CODE
        if column.is_entity:
            return pa.array(codes, pa.int64(), mask=null)
        taken = self._values[column.name].take(pa.array(codes - FIRST_VALUE, mask=null))
        return taken.cast(_ARROW_TYPES[column.type])


def _decode_bins(column: ColumnSpec, codes: np.ndarray, inside: np.ndarray) -> pa.Array:
    """Low + position * (high - low); with a step, the multiple of it that the position falls on."""
    null = codes == NULL_CODE
    if not column.lows:
        return pa.nulls(len(codes), _ARROW_TYPES[column.type])
    place = np.maximum(codes - FIRST_BIN, 0)
    lows, highs = np.asarray(column.lows)[place], np.asarray(column.highs)[place]
    numbers = np.clip(lows + inside * (highs - lows), lows, highs)
    if column.step:
        steps = np.floor(inside * (highs - lows + column.step) / column.step)
        numbers = np.minimum(lows + steps * column.step, highs)
    if column.type == "double":
        return pa.array(numbers, mask=null)
    return pa.array(np.round(numbers).astype(np.int64), mask=null).cast(_ARROW_TYPES[column.type])


def _field(column: ColumnSpec) -> pa.Field:
    if column.is_entity:
        return pa.field(ENTITY_CODE, pa.int64())
    return pa.field(column.name, _ARROW_TYPES[column.type])

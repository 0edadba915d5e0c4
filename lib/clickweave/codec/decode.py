"""Codes and positions back to rows: exact on kept values, inside the bin on ordered ones."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from clickweave.codec.parts import TIMESTAMP, join_parts, joined_field, part_columns, time_of
from clickweave.codec.spec import (
    END_CLOCK,
    ENTITY,
    EVENT,
    EVENT_CLOCK,
    EVENT_DAY,
    FIRST_BIN,
    FIRST_VALUE,
    GAP,
    GAP_CLOCK,
    GAP_DAYS,
    LENGTH,
    NULL_CODE,
    PLACE,
    RARE_CODE,
    SPAN_DAYS,
    START_CLOCK,
    START_DAY,
    VALUES,
    CodecSpec,
    ColumnSpec,
    is_total,
)
from clickweave.errors import ContractError

ENTITY_CODE = "entity_code"
ENTITY_PLACE = "entity_place"

_ARROW_TYPES = {"string": pa.string(), "long": pa.int64(), "double": pa.float64()}
# Left out of decoded rows: event_time holds what they say, or the rows themselves do.
_NEVER_SHOWN = (EVENT_CLOCK, START_DAY, START_CLOCK, LENGTH, GAP_DAYS, GAP_CLOCK, SPAN_DAYS, END_CLOCK)


def decoded_schema(spec: CodecSpec) -> pa.Schema:
    """The columns of decoded rows. The entity comes as its int64 code (`entity_code`), never as the real id; at grain
    entity as its number in the block (`entity_place`), with the place of the event in its history.
    """
    columns = (*spec.at_level(EVENT), *spec.at_level(ENTITY))
    hidden = part_columns(spec)
    fields = [_field(column) for column in columns if not _hidden(column) and column.name not in hidden]
    fields += [field for each in spec.parts if (field := joined_field(each)) is not None]
    if spec.grain == ENTITY:
        fields = [pa.field(ENTITY_PLACE, pa.int64()), pa.field(PLACE, pa.int32()), *fields]
    return pa.schema(fields)


class Decoder:
    """Decodes batches of rows; holds each column's values as one Arrow array.

    Args:
        tables: the codec's; only vectors need them.
    """

    def __init__(self, spec: CodecSpec, tables: Mapping[str, np.ndarray] | None = None) -> None:
        self._columns = _Columns(spec.columns, spec, tables)
        self._schema = decoded_schema(spec)

    def __call__(self, codes_BC: np.ndarray, positions_BP: np.ndarray, rng: np.random.Generator) -> pa.RecordBatch:
        """One row per row of codes.

        Args:
            codes_BC: integers, one column per column of the spec.
            positions_BP: in [0, 1], one column per column with positions.
            rng: decides what a rare code becomes.

        Raises:
            ContractError: a code lies outside its column's codes.
        """
        arrays = self._columns(codes_BC, positions_BP, rng)
        if EVENT_DAY in arrays:
            arrays["event_time"] = time_of(arrays.pop(EVENT_DAY), arrays.pop(EVENT_CLOCK))
        return pa.RecordBatch.from_arrays([arrays[name] for name in self._schema.names], schema=self._schema)


class HistoryDecoder:
    """Decodes generated histories: the columns of level entity, and the events that belong to them.

    Args:
        tables: the codec's; only vectors need them.
    """

    def __init__(self, spec: CodecSpec, tables: Mapping[str, np.ndarray] | None = None) -> None:
        self._entities = _Columns(spec.at_level(ENTITY), spec, tables)
        self._events = _Columns(spec.at_level(EVENT), spec, tables)
        self._schema = decoded_schema(spec)

    def __call__(
        self,
        entity_codes_NC: np.ndarray,
        entity_positions_NP: np.ndarray,
        owner_B: np.ndarray,
        event_codes_BC: np.ndarray,
        event_positions_BP: np.ndarray,
        time_us_B: np.ndarray,
        rng: np.random.Generator,
    ) -> pa.RecordBatch:
        """One row per event.

        Args:
            owner_B: ascending index into the N entities, one per event; events of an entity in order of time.
            time_us_B: microseconds since 1970: what the columns of time say, as the generator has added it up.
            rng: decides what a rare code becomes.

        Raises:
            ContractError: a code lies outside its column's codes.
        """
        about = self._entities(entity_codes_NC, entity_positions_NP, rng)
        arrays = self._events(event_codes_BC, event_positions_BP, rng)
        place_B = _places(owner_B)
        owners = pa.array(owner_B, pa.int64())
        arrays["event_time"] = pa.array(time_us_B, pa.int64()).cast(TIMESTAMP)
        arrays |= {name: values.take(owners) for name, values in about.items()}
        arrays |= {ENTITY_PLACE: owners, PLACE: pa.array(place_B, pa.int32())}
        return pa.RecordBatch.from_arrays([arrays[name] for name in self._schema.names], schema=self._schema)


class _Columns:
    """Decodes columns one by one, by name, then puts together those that are coded in parts."""

    def __init__(self, columns: Sequence[ColumnSpec], spec: CodecSpec, tables: Mapping[str, np.ndarray] | None) -> None:
        self._columns, self._tables = columns, tables or {}
        self._places = {column.name: number for number, column in enumerate(columns)}
        self._parts = [each for each in spec.parts if each.columns[0] in self._places]
        self._values = {c.name: pa.array(c.values, pa.string()) for c in columns if c.kind == VALUES}
        self._weights = {c.name: np.asarray(c.counts, np.float64)[list(c.rare_pool)] for c in columns if c.rare_pool}

    def __call__(self, codes_BC: np.ndarray, positions_BP: np.ndarray, rng: np.random.Generator) -> dict[str, pa.Array]:
        arrays, next_position = {}, 0
        for number, column in enumerate(self._columns):
            codes_B = codes_BC[:, number].astype(np.int64)
            if len(codes_B) and not 0 <= codes_B.min() <= codes_B.max() < column.num_codes:
                raise ContractError(
                    f"decode: column {column.name!r} has codes outside 0 to {column.num_codes - 1}; they are not of "
                    "this codec; train again"
                )
            if column.kind == VALUES:
                arrays[_field(column).name] = self._decode_values(column, codes_B, rng)
                continue
            inside_B = np.full(len(codes_B), 0.5)
            if column.has_position:
                inside_B = positions_BP[:, next_position].astype(np.float64)
                next_position += 1
            arrays[column.name] = _decode_bins(column, codes_B, inside_B)
        for each in self._parts:
            rare_B = codes_BC[:, self._places[each.name]] == RARE_CODE if each.name in self._places else None
            arrays = join_parts(each, arrays, rare_B, self._tables)
        return arrays

    def _decode_values(self, column: ColumnSpec, codes_B: np.ndarray, rng: np.random.Generator) -> pa.Array:
        rare_B = codes_B == RARE_CODE
        if rare_B.any():
            codes_B[rare_B] = self._draw_rare(column, int(rare_B.sum()), rng)
        null_B = codes_B == NULL_CODE
        if column.is_entity:
            return pa.array(codes_B, pa.int64(), mask=null_B)
        taken = self._values[column.name].take(pa.array(codes_B - FIRST_VALUE, mask=null_B))
        return taken.cast(_ARROW_TYPES[column.type])

    def _draw_rare(self, column: ColumnSpec, num: int, rng: np.random.Generator) -> np.ndarray:
        if not column.rare_pool:
            return np.full(num, NULL_CODE)
        weights = self._weights[column.name]
        drawn = rng.choice(len(weights), num, p=weights / weights.sum())
        return np.asarray(column.rare_pool)[drawn] + FIRST_VALUE


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


def _places(owner_B: np.ndarray) -> np.ndarray:
    """0, 1, 2... inside each run of equal owners."""
    starts = np.flatnonzero(np.diff(owner_B, prepend=-1))
    return np.arange(len(owner_B)) - np.repeat(starts, np.diff(np.append(starts, len(owner_B))))


def _hidden(column: ColumnSpec) -> bool:
    return column.name in _NEVER_SHOWN or (column.level == ENTITY and is_total(column.name))


def _field(column: ColumnSpec) -> pa.Field:
    if column.is_entity:
        return pa.field(ENTITY_CODE, pa.int64())
    if column.name in (EVENT_DAY, GAP):
        return pa.field("event_time", TIMESTAMP)
    return pa.field(column.name, _ARROW_TYPES[column.type])

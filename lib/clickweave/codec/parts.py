"""Columns that are coded in parts, put together again; no Spark.

Legend: B rows, D digits of a vector, K centroids of a digit, X numbers of a vector.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clickweave.codec.part_names import clock_part, day_part
from clickweave.codec.pieces import joined_pieces
from clickweave.codec.spec import SINCE, TEXT, TIME, CodecSpec, Parts
from clickweave.contracts.tables import DAY_US

TIMESTAMP = pa.timestamp("us", tz="UTC")
NUMBERS = pa.list_(pa.float64())
_TYPES = {TIME: TIMESTAMP, TEXT: pa.string()}


def centroids_name(name: str) -> str:
    """The table that holds the centroids of a vector [D, K, X], float32."""
    return f"{name}.centroids"


def part_columns(spec: CodecSpec) -> frozenset[str]:
    """Columns that decoded rows do not show, since another says what they say."""
    return frozenset(name for each in spec.parts if each.kind != SINCE for name in each.columns)


def joined_field(parts: Parts) -> pa.Field | None:
    """The column that parts become; None where they add none: a distance of times stays one, a text has its own."""
    return None if parts.kind in (SINCE, TEXT) else pa.field(parts.name, _TYPES.get(parts.kind, NUMBERS))


def join_parts(
    parts: Parts, arrays: dict[str, pa.Array], rare_B: np.ndarray | None, tables: Mapping[str, np.ndarray]
) -> dict[str, pa.Array]:
    """The decoded columns `arrays` with the parts of one column put together, and the column they become.

    Args:
        rare_B: for a text, where its own code is rare.
        tables: the codec's tables.
    """
    rest = {name: array for name, array in arrays.items() if name not in parts.columns}
    found = [arrays[name] for name in parts.columns]
    if parts.kind == SINCE:
        return arrays
    if parts.kind == TIME:
        days, clocks = (arrays[name(parts.name)] for name in (day_part, clock_part))
        return rest | {parts.name: time_of(days, clocks)}
    if parts.kind == TEXT:
        assert rare_B is not None
        made = joined_pieces(found[0], found[1:], rare_B)
        return rest | {parts.name: pc.coalesce(made, arrays[parts.name])}
    return rest | {parts.name: _vectors(found, tables[centroids_name(parts.name)])}


def time_of(days: pa.Array, clocks: pa.Array) -> pa.Array:
    """Timestamps of days since 1970-01-01 and microseconds since midnight, UTC; null where either is."""
    return pc.add(pc.multiply(days, DAY_US), clocks).cast(TIMESTAMP)


def _vectors(digits: list[pa.Array], centroids_DKX: np.ndarray) -> pa.Array:
    """Sums of the centroids that the digits name, as lists of doubles; null where the first digit is."""
    null_B = digits[0].is_null().to_numpy(zero_copy_only=False)
    sums_BX = np.zeros((len(null_B), centroids_DKX.shape[2]))
    for digit, centroids_KX in zip(digits, centroids_DKX, strict=True):
        known_B = digit.is_valid().to_numpy(zero_copy_only=False)
        sums_BX[known_B] += centroids_KX[digit.drop_null().to_numpy()]
    offsets = pa.array(np.arange(len(null_B) + 1, dtype=np.int32) * sums_BX.shape[1])
    return pa.ListArray.from_arrays(offsets, pa.array(sums_BX.ravel()), mask=pa.array(null_B))

"""The codec's arrays: digits and vectors of wide columns, and which items are visited together."""

import numpy as np
from pyspark.sql import DataFrame

from clickweave.codec import vectors
from clickweave.codec.digits import residual_digits
from clickweave.codec.neighbours import covisited_items
from clickweave.codec.spec import ENTITY, PLACE, CodecSpec, ColumnSpec
from clickweave.codec.wide import with_codes
from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import feature_column


def fit_tables(
    inputs: DataFrame, items: DataFrame, spec: CodecSpec, log: SchemaConfig, seed: int
) -> dict[str, np.ndarray]:
    """All arrays by name: for each column with digits `<name>.digits` [V, D] uint8 and `<name>.vectors` [V, 32]
    float16, at grain entity `item_id.neighbours` and `item_id.neighbour_users`.

    Args:
        inputs: real/train as codec/inputs.py prepares it.
        items: the catalogue, one row per item.
    """
    wide = {column.name: column for column in spec.columns if column.num_digits}
    item = next((column for column in spec.columns if column.name == "item_id"), None)
    follows = spec.grain == ENTITY and item is not None
    if item is None or not (wide or follows):
        return {name: array for column in wide.values() for name, array in _codes(column, None, seed).items()}
    coded = inputs.select("entity_id", *{**wide, "item_id": item}, *([PLACE] if follows else []))
    for column in {**wide, "item_id": item}.values():
        coded = with_codes(coded, column)
    found = covisited_items(coded, item) if follows else {}
    if wide:
        known = _known_vectors(coded, items, item, list(wide.values()), log, seed)
        for column in wide.values():
            found |= _codes(column, known[column.name], seed)
    return found


def _known_vectors(
    coded: DataFrame, items: DataFrame, item: ColumnSpec, wide: list[ColumnSpec], log: SchemaConfig, seed: int
) -> dict[str, np.ndarray]:
    """Vectors of the items and of each wide column, by name."""
    if log.entity_column is None:
        found = {item.name: vectors.hashed_vectors(item.values)}
    else:
        found = vectors.als_vectors(coded, item, next((c for c in wide if c.is_entity), None), seed)
    groups = [feature_column(name) for name, spec in log.item_features.items() if spec.kind in ("categorical", "id")]
    if groups:
        coded_items = with_codes(items.select("item_id", *groups), item)
        found[item.name] = vectors.with_attributes(found[item.name], item, coded_items, groups)
    for column in wide:
        if column.name not in found:
            found[column.name] = vectors.mean_vectors(coded, column, found[item.name])
    return found


def _codes(column: ColumnSpec, known_VX: np.ndarray | None, seed: int) -> dict[str, np.ndarray]:
    made_VX = vectors.finished(vectors.hashed_vectors(column.values) if known_VX is None else known_VX, column)
    digits_VD = residual_digits(made_VX, column.num_digits, seed)
    return {f"{column.name}.digits": digits_VD, f"{column.name}.vectors": made_VX.astype(np.float16)}

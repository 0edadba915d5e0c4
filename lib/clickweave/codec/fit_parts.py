"""Vectors, and texts that few users wrote, as parts: fitted, counted and added to the rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StringType, StructField, StructType

from clickweave.codec.event_vectors import fit_vectors
from clickweave.codec.inputs import Planned
from clickweave.codec.part_names import length_part, numbered_part
from clickweave.codec.parts import centroids_name
from clickweave.codec.pieces import VOCABULARY, TextParts, fit_vocabulary
from clickweave.codec.spec import (
    ENTITY,
    PLACE,
    RARE_CODE,
    TEXT,
    VECTOR,
    CodecSpec,
    ColumnSpec,
    Parts,
)
from clickweave.codec.wide import with_codes
from clickweave.config.stages import EncodeConfig

_REST = "rest_of_"  # columns of texts whose code is rare, null elsewhere


class _Coder(Protocol):
    """Makes the parts of one column."""

    def columns(self, values: pa.Array) -> list[pa.Array]: ...


@dataclass(frozen=True)
class FittedParts:
    """The parts of one column.

    Attributes:
        source: the column that they are made from.
        coded: how they are made.
        columns: their specs, without counts yet.
    """

    parts: Parts
    source: str
    coder: _Coder
    columns: tuple[ColumnSpec, ...]


def fit_parts(
    inputs: DataFrame, planned: Sequence[Planned], spec: CodecSpec, config: EncodeConfig, draw: Column
) -> tuple[CodecSpec, DataFrame, dict[str, np.ndarray]]:
    """The spec with the columns of the parts, rows that hold them, and the tables that decoding needs.

    Without vectors and rare texts all stay as they are, at no cost. Else rows pass through Python once more.

    Args:
        spec: of all other columns.
        draw: a number of each row, by which samples are taken.
    """
    about = [plan for plan in planned if plan.kind == VECTOR or (plan.kind == TEXT and _num_rare(spec, plan))]
    rows, found = inputs, list[FittedParts]()
    tables: dict[str, np.ndarray] = {}
    for plan in about:
        own = rows.where(F.col(PLACE) == 0) if plan.column.level == ENTITY else rows
        if plan.kind == VECTOR:
            fitted, table = _fit_vector(own, plan.column, config, draw)
            tables[centroids_name(plan.column.name)] = table
            found.append(fitted)
        elif (text := _fit_text(own, plan.column, config)) is not None:
            rows = _with_rest(rows, next(c for c in spec.columns if c.name == plan.column.name))
            found.append(text)
    if not found:
        return spec, inputs, {}
    rows = with_parts(rows, found)
    counted = _counted(rows, [column for each in found for column in each.columns])
    return _inserted(spec, planned, found, counted), rows, tables


def with_parts(rows: DataFrame, fitted: Sequence[FittedParts]) -> DataFrame:
    """Rows with the columns of the parts and without those they are made from; `source` is left out. Narrow."""
    sources = {each.source for each in fitted}
    kept = [name for name in rows.columns if name not in sources and name != "source"]
    kinds = {"long": LongType(), "string": StringType()}
    added = [StructField(column.name, kinds[column.type]) for each in fitted for column in each.columns]
    schema = StructType([*rows.select(*kept).schema.fields, *added])
    names, coders = schema.fieldNames(), [(each.source, each.coder) for each in fitted]

    def add(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            made = [array for source, coder in coders for array in coder.columns(batch.column(source))]
            yield pa.RecordBatch.from_arrays([*[batch.column(name) for name in kept], *made], names=names)

    return rows.select(*kept, *sorted(sources)).mapInArrow(add, schema)


def _num_rare(spec: CodecSpec, plan: Planned) -> int:
    return next(column.num_rare for column in spec.columns if column.name == plan.column.name)


def _fit_vector(
    rows: DataFrame, column: ColumnSpec, config: EncodeConfig, draw: Column
) -> tuple[FittedParts, np.ndarray]:
    centroids = fit_vectors(rows, column.name, min_users=config.min_users, draw=draw, seed=config.seed)
    columns = tuple(
        replace(column, name=numbered_part(column.name, number), type="long") for number in range(len(centroids.table))
    )
    parts = Parts(column.name, VECTOR, tuple(each.name for each in columns))
    return FittedParts(parts, column.name, centroids, columns), centroids.table


def _fit_text(rows: DataFrame, column: ColumnSpec, config: EncodeConfig) -> FittedParts | None:
    """None where no piece is backed by enough users: rare texts then become frequent ones."""
    texts = rows.select(F.col(column.name).alias("text"), "entity_id").where(F.col("text").isNotNull())
    vocabulary = fit_vocabulary(texts, min_users=config.min_users)
    if not vocabulary:
        return None
    length = replace(column, name=length_part(column.name), type="long")
    pieces = [replace(column, name=numbered_part(column.name, number)) for number in range(config.max_pieces)]
    columns = (length, *pieces)
    parts = Parts(column.name, TEXT, tuple(each.name for each in columns), vocabulary)
    return FittedParts(parts, _REST + column.name, TextParts(vocabulary, config.max_pieces), columns)


def _with_rest(rows: DataFrame, column: ColumnSpec) -> DataFrame:
    """Adds the text where its code is rare; one join by value."""
    code = f"code_{column.name}"
    coded = with_codes(rows, column)
    return coded.withColumn(_REST + column.name, F.when(F.col(code) == RARE_CODE, F.col(column.name))).drop(code)


def _counted(rows: DataFrame, columns: Sequence[ColumnSpec]) -> dict[str, ColumnSpec]:
    """The columns with their values and counts, by name; one aggregate a level, whose groups the driver holds: each
    has few values.
    """
    counts: dict[str, list[tuple[str | None, int]]] = {column.name: [] for column in columns}
    for level in sorted({column.level for column in columns}):
        names = [column.name for column in columns if column.level == level]
        pairs = [F.struct(F.lit(n).alias("name"), F.col(n).cast("string").alias("value")) for n in names]
        own = rows.where(F.col(PLACE) == 0) if level == ENTITY else rows
        stacked = own.select(F.explode(F.array(*pairs)).alias("pair")).groupBy("pair.name", "pair.value").count()
        for row in stacked.collect():
            counts[row["name"]].append((row["value"], row["count"]))
    return {column.name: _with_counts(column, counts[column.name]) for column in columns}


def _with_counts(column: ColumnSpec, counts: Sequence[tuple[str | None, int]]) -> ColumnSpec:
    """The most frequent values first, ties by value."""
    known = sorted(((value, n) for value, n in counts if value is not None), key=lambda pair: (-pair[1], pair[0]))
    kept = known[:VOCABULARY]
    return replace(
        column,
        values=tuple(value for value, _ in kept),
        counts=tuple(n for _, n in kept),
        rare_pool=tuple(range(len(kept))),
        num_null=sum(n for value, n in counts if value is None),
        num_rare=sum(n for _, n in known[VOCABULARY:]),
    )


def _inserted(
    spec: CodecSpec, planned: Sequence[Planned], fitted: Sequence[FittedParts], counted: Mapping[str, ColumnSpec]
) -> CodecSpec:
    """The spec with the columns of the parts: those of a vector in its place, those of a text after it. Pieces that no
    text has are left out, and a text whose rare values have none.
    """
    known = {column.name: (column,) for column in spec.columns}
    parts = list(spec.parts)
    for each in fitted:
        own = [counted[column.name] for column in each.columns]
        if each.parts.kind == TEXT:
            own = [own[0], *[column for column in own[1:] if column.values]]
        if len(own) > 1 or each.parts.kind == VECTOR:
            parts.append(replace(each.parts, columns=tuple(column.name for column in own)))
            known[each.parts.name] = (*known.get(each.parts.name, ()), *own)
    columns = tuple(column for plan in planned for column in known.get(plan.column.name, ()))
    return replace(spec, columns=columns, parts=tuple(parts))

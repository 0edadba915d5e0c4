"""Tables as Spark sees them: raw logs in, Parquet out. A table is a folder of Parquet files that one try wrote."""

import csv
import itertools
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType
from pyspark.sql.utils import AnalysisException

from clickweave.config.log import FileSource
from clickweave.errors import ContractError, PublishError
from clickweave.store import files

CORRUPT = "_corrupt_record"
_FORMATS = {".parquet": "parquet", ".csv": "csv", ".json": "json", ".jsonl": "json", ".orc": "orc"}


def read_raw(spark: SparkSession, source: FileSource, role: str, folders: Sequence[str] | None = None) -> DataFrame:
    """A raw table as one struct column `source` and a text column `raw_text`.

    CSV columns are text, as they stand in the file; JSON types are Spark's. A CSV or JSON record that cannot be
    parsed is a row with its text in `raw_text`, which is null otherwise. Parquet files are checked
    by their footers first.

    Args:
        role: what errors call the table: events, items or users.
        folders: those below the path that are read, with `name=value` in their names as columns; None: all of it.
            Files elsewhere are not even opened, so that a broken one does no harm.

    Raises:
        ContractError: nothing is there, a file is unreadable, or files disagree about a column.
    """
    kind = source_format(source, role)
    paths = [source.path] if folders is None else list(folders)
    base: dict[str, str] = {} if folders is None else {"basePath": source.path}
    try:
        if kind == "table":
            raw = spark.read.table(source.path)
        elif kind == "csv":
            _check_headers(paths, role)
            raw = _read_text(spark, paths, kind, header=True, escape='"', **base)  # RFC 4180: a quote inside is doubled
        elif kind == "json":
            raw = _read_text(spark, paths, kind, **base)
        elif kind == "parquet":
            raw = _read_parquet(spark.read.options(**base), paths, _check_footers(paths, role))
        else:
            raw = spark.read.options(**base).format(kind).load(paths)
    except AnalysisException as error:
        raise ContractError(f"ingest: cannot read {role} at {source.path}: {str(error).splitlines()[0]}") from error
    names = [name for name in raw.columns if name != CORRUPT]
    if not names:
        raise ContractError(f"ingest: {role} at {source.path} has no columns")
    raw_text = F.col(CORRUPT) if CORRUPT in raw.columns else F.lit(None).cast("string")
    quoted = [F.col("`" + name.replace("`", "``") + "`") for name in names]
    return raw.select(F.struct(*quoted).alias("source"), raw_text.alias("raw_text"))


def source_type(table: DataFrame) -> StructType:
    """Columns, order and types of the raw log, from a table that carries it as `source`."""
    kind = table.schema["source"].dataType
    assert isinstance(kind, StructType)
    return kind


def source_format(source: FileSource, role: str) -> str:
    """Format of a raw table: as the recipe says, else by the suffix of the path or of the files below it.

    Raises:
        ContractError: nothing is there, or no suffix is known.
    """
    if source.format == "table":
        return "table"
    found = raw_files(source.path)
    if not found:
        raise ContractError(
            f"ingest: no {role} at {source.path}: no such file or folder, or it is empty; see source.{role}"
        )
    if source.format is not None:
        return source.format
    for path in (source.path, *found):
        for suffix, kind in _FORMATS.items():
            if path.removesuffix(".gz").endswith(suffix):
                return kind
    raise ContractError(f"ingest: cannot tell the format of {source.path}; set source.{role}.format")


def day_folders(source: FileSource, column: str | None) -> dict[str, list[str]] | None:
    """Day -> its folders `column=day` below the source's path; None where the path has no folders of that name.

    A day has several where other columns stand above it: `shop=a/dt=2026-11-01`, `shop=b/dt=2026-11-01`.
    """
    if column is None or source.format == "table" or files.is_glob(source.path):
        return None
    found: dict[str, set[str]] = {}
    has_folders = False
    for parts in files.list_parts(source.path):
        for depth, part in enumerate(parts[:-1], start=1):
            if part.startswith(f"{column}="):
                has_folders = True
                found.setdefault(part.partition("=")[2], set()).add("/".join([source.path.rstrip("/"), *parts[:depth]]))
    return {day: sorted(folders) for day, folders in sorted(found.items())} if has_folders else None


def raw_files(path: str) -> list[str]:
    """The data files behind a path, folder or glob, sorted."""
    return sorted(found for place in files.expand(path) for found in files.list_files(place))


def read_table(spark: SparkSession, path: str, schema: StructType | None = None) -> DataFrame:
    """A table that clickweave wrote."""
    reader = spark.read if schema is None else spark.read.schema(schema)
    return reader.parquet(path)


def file_schema(path: str) -> pa.Schema:
    """Columns of the files of a table that clickweave wrote, by the first file's footer; no Spark job."""
    found, _ = files.filesystem(path)
    return pq.read_schema(files.list_files(path, ".parquet")[0], filesystem=found).remove_metadata()


def write_table(table: DataFrame, path: str, *, partition_by: str | None = None, max_file_rows: int = 0) -> None:
    """Writes a table into a folder that nobody reads yet.

    Raises:
        PublishError: the folder is not empty.
    """
    if files.list_files(path):
        raise PublishError(f"storage: {path} already holds files; every try writes into a fresh folder")
    writer = table.write.mode("append").option("maxRecordsPerFile", max_file_rows)
    (writer.partitionBy(partition_by) if partition_by else writer).parquet(path)


def count_rows(path: str) -> int:
    """Rows of a table by its footers; no Spark job."""
    return sum(rows for _, rows in footer_rows(path))


def footer_rows(path: str) -> list[tuple[str, int]]:
    """(file, rows) of every Parquet file of a table, sorted by file."""
    found, _ = files.filesystem(path)
    return [(file, pq.read_metadata(file, filesystem=found).num_rows) for file in files.list_files(path, ".parquet")]


def _read_text(spark: SparkSession, paths: list[str], kind: str, **options: str | bool) -> DataFrame:
    """CSV or JSON with a column that keeps the text of records that do not parse."""
    options |= {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": CORRUPT}
    inferred = spark.read.options(**options).format(kind).load(paths)
    fields = [field for field in inferred.schema.fields if field.name != CORRUPT]
    schema = StructType(fields).add(CORRUPT, "string")
    return spark.read.schema(schema).options(**options).format(kind).load(paths)


def _read_parquet(reader: DataFrameReader, paths: list[str], widened: set[str]) -> DataFrame:
    """Spark takes the columns of one file for all; whole numbers that are wider in another are read as bigint."""
    raw = reader.parquet(*paths)
    if not widened:
        return raw
    fields = [StructField(f.name, LongType()) if f.name in widened else f for f in raw.schema.fields]
    return reader.schema(StructType(fields)).parquet(*paths)


def _check_headers(paths: list[str], role: str) -> None:
    """Spark reads CSV columns by their place, so every file must have the first file's header."""
    first: tuple[str, list[str]] | None = None
    for file in itertools.chain(*map(raw_files, paths)):
        header = next(csv.reader([files.first_line(file)]), [])
        if first is None and header:
            first = (file, header)
        if first is not None and header and header != first[1]:
            raise ContractError(
                f"ingest: {role} file {file} has columns {header}, but {first[0]} has {first[1]}; give them one order"
            )


def _check_footers(paths: list[str], role: str) -> set[str]:
    """Every file must be Parquet, with the first file's columns and types; returns whole numbers that widen."""
    first: tuple[str, pa.Schema] | None = None
    widened = set()
    for file in itertools.chain(*map(raw_files, paths)):
        found, inner = files.filesystem(file)
        try:
            schema = pq.read_schema(inner, filesystem=found)
        except (OSError, pa.ArrowInvalid) as error:
            raise ContractError(
                f"ingest: {role} file {file} is not readable Parquet: {str(error).splitlines()[0]}"
            ) from error
        if first is None:
            first = (file, schema)
        added = [name for name in schema.names if name not in first[1].names]
        if added:
            raise ContractError(f"ingest: {role} file {file} has column {added[0]!r}, which {first[0]} lacks")
        for field in first[1]:
            place = schema.get_field_index(field.name)
            if place < 0:
                raise ContractError(f"ingest: {role} file {file} has no column {field.name!r}, which {first[0]} has")
            kind = schema.field(place).type
            if pa.types.is_timestamp(kind) and kind.unit == "ns":
                raise ContractError(
                    f"ingest: column {field.name!r} in {file} holds nanoseconds, which Spark cannot read; "
                    "write it in microseconds (pandas: to_parquet(..., coerce_timestamps='us'))"
                )
            if kind == field.type:
                continue
            if pa.types.is_integer(kind) and pa.types.is_integer(field.type):
                widened.add(field.name)
            else:
                raise ContractError(
                    f"ingest: column {field.name!r} is {kind} in {file}, but {field.type} in {first[0]}"
                )
    return widened

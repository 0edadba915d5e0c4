"""A table as one Parquet file in the raw log's own columns, streamed batch by batch; no Spark."""

import os
import uuid
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from clickweave.contracts.tables import FUTURE, HOLDOUT, PROVENANCE_COLUMNS, TRAIN
from clickweave.errors import ConfigError, ContractError, PublishError
from clickweave.store import files
from clickweave.store.publish import current_version
from clickweave.store.workspace import Workspace

TABLES = ("train", "holdout", "augmented", "synthetic", "mixed", "published")
_WITH_PROVENANCE = ("augmented", "mixed", "published")
BATCH_ROWS = 65_536


def export_table(workspace: Workspace, table: str, out: str, *, part: str | None, adds_label: bool) -> int:
    """Writes `out` whole and returns its rows.

    Args:
        part: for holdout, `future` instead of the held-out entities.
        adds_label: whether tables with provenance also get the canonical `label`, where the log has no column for it.

    Raises:
        ConfigError: no such table, or a part of a table that has none.
        ContractError: the stage behind it has not run, or a file is damaged.
        PublishError: `out` cannot be written.
    """
    provenance = table in _WITH_PROVENANCE
    extra = [*(["label"] if adds_label and provenance else []), *(PROVENANCE_COLUMNS if provenance else [])]
    found, _ = files.filesystem(workspace.root)
    folder = _folder(workspace, table, part)
    sources = files.list_files(folder, ".parquet")
    shape = sources or files.list_files(folder.rpartition("/")[0], ".parquet")  # an empty part: its neighbour's columns
    if not shape:
        raise ContractError(f"export: table {table} holds no files; run the pipeline again")
    temporary = f"{out}.{uuid.uuid4().hex}.tmp"
    num_rows = 0
    try:
        os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
        schema = _flatten(pq.read_schema(shape[0], filesystem=found).empty_table(), extra).schema
        with pq.ParquetWriter(temporary, schema) as writer:
            for source in sources:
                for batch in _batches(source, found, ["source", *extra]):
                    writer.write_table(_flatten(pa.Table.from_batches([batch]), extra))
                    num_rows += batch.num_rows
        os.replace(temporary, out)
    except OSError as error:
        raise PublishError(f"export: cannot write {out}: {error}") from error
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)
    return num_rows


def _batches(source: str, found: fs.FileSystem, columns: list[str]) -> Iterator[pa.RecordBatch]:
    try:
        file = pq.ParquetFile(source, filesystem=found, page_checksum_verification=True)
        yield from file.iter_batches(BATCH_ROWS, columns=columns)
    except (OSError, pa.ArrowInvalid) as error:
        raise ContractError(
            f"export: {source} is damaged: {str(error).splitlines()[0]}; run the pipeline again"
        ) from error


def _flatten(table: pa.Table, extra: list[str]) -> pa.Table:
    """The fields of `source`, then the extra columns; one whose name the log has gets `clickweave_` before it."""
    source = table.column("source").combine_chunks()
    fields = list(source.type)
    taken = {field.name for field in fields}
    arrays = [
        source.field(number) if table.num_rows else pa.nulls(0, field.type) for number, field in enumerate(fields)
    ]
    names = [field.name for field in fields] + [f"clickweave_{name}" if name in taken else name for name in extra]
    return pa.table([*arrays, *[table.column(name) for name in extra]], names=names)


def _folder(workspace: Workspace, table: str, part: str | None) -> str:
    if part is not None and (table != HOLDOUT or part != FUTURE):
        raise ConfigError(f"export: --part {part} is unknown for table {table}; only holdout has the part {FUTURE}")
    if table in (TRAIN, HOLDOUT):
        return f"{workspace.output('ingest', 'real')}/part={part or table}"
    if table == "published":
        version = current_version(workspace)
        if version is None:
            raise ContractError(f"{workspace.root}: nothing is published here yet; run `clickweave run` first")
        return workspace.path(f"{version.path}/events")
    if table not in TABLES:
        raise ConfigError(f"export: table {table!r} is unknown; there are {', '.join(TABLES)}")
    stage = {"augmented": "augment", "synthetic": "align", "mixed": "mix"}[table]
    return workspace.output(stage, table)

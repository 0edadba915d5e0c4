"""A table as one Parquet file in the raw log's own columns, streamed batch by batch; no Spark."""

import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from clickweave.contracts.tables import FUTURE, HOLDOUT, ORDER, PROVENANCE_COLUMNS, TRAIN
from clickweave.errors import ConfigError, ContractError, PublishError
from clickweave.store import files
from clickweave.store.publish import current_version, event_folders
from clickweave.store.workspace import Workspace

TABLES = ("train", "holdout", "augmented", "synthetic", "mixed", "published")
_WITH_PROVENANCE = ("augmented", "mixed", "published")
BATCH_ROWS = 65_536
REPEAT = "repeat"  # column: 0 for the events themselves, k for the k-th whole copy of their history before them


@dataclass(frozen=True)
class RepeatPad:
    """Short histories filled by whole copies of themselves, a view for training alone (RepPad, Dang et al. 2024).

    Attributes:
        length: events that a filled history has at most; longer ones stay as they are.
        most: copies that are added to a history at most.
    """

    length: int
    most: int


def export_table(
    workspace: Workspace, table: str, out: str, *, part: str | None, adds_label: bool, pad: RepeatPad | None = None
) -> int:
    """Writes `out` whole and returns its rows.

    Args:
        part: for holdout, `future` instead of the held-out entities.
        adds_label: whether tables with provenance also get the canonical `label`, where the log has no column for it.
        pad: adds copies of short histories and the column REPEAT; memory grows with the number of entities.

    Raises:
        ConfigError: no such table, or a part of a table that has none.
        ContractError: the stage behind it has not run, or a file is damaged.
        PublishError: `out` cannot be written.
    """
    provenance = table in _WITH_PROVENANCE
    extra = [*(["label"] if adds_label and provenance else []), *(PROVENANCE_COLUMNS if provenance else [])]
    key, padded = ([], []) if pad is None else (["entity_id"], [REPEAT])
    found, _ = files.filesystem(workspace.root)
    folders = _folders(workspace, table, part)
    sources = [file for folder in folders for file in files.list_files(folder, ".parquet")]
    shape = sources
    if folders and not sources:  # an empty part: its neighbour's columns
        shape = files.list_files(folders[0].rpartition("/")[0], ".parquet")
    if not shape:
        raise ContractError(f"export: table {table} holds no files; run the pipeline again")
    temporary = f"{out}.{uuid.uuid4().hex}.tmp"
    num_rows = 0
    try:
        os.makedirs(os.path.dirname(os.path.abspath(out)), exist_ok=True)
        empty = pq.read_schema(shape[0], filesystem=found).empty_table()
        extra += [name for name in (ORDER,) if provenance and name in empty.column_names]
        schema = _flatten(_with_repeats(empty, pad, _no_copies()), [*extra, *padded]).schema
        copies = _no_copies() if pad is None else _copies(sources, found, pad)
        with pq.ParquetWriter(temporary, schema) as writer:
            for source in sources:
                for batch in _batches(source, found, [*key, "source", *extra]):
                    rows = _with_repeats(pa.Table.from_batches([batch]), pad, copies)
                    writer.write_table(_flatten(rows, [*extra, *padded]))
                    num_rows += rows.num_rows
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


def _no_copies() -> pa.Table:
    return pa.table({"entity_id": pa.array([], pa.string()), "copies": pa.array([], pa.int64())})


def _copies(sources: Sequence[str], found: fs.FileSystem, pad: RepeatPad) -> pa.Table:
    """Each entity that gets copies, and how many."""
    counted = [pa.table({"entity_id": pa.array([], pa.string()), "num": pa.array([], pa.int64())})]
    for source in sources:
        for batch in _batches(source, found, ["entity_id"]):
            values = batch.column(0).value_counts()
            counted.append(pa.table({"entity_id": values.field("values"), "num": values.field("counts")}))
        counted = [pa.concat_tables(counted).group_by("entity_id").aggregate([("num", "sum")])]
        counted = [counted[0].rename_columns({"num_sum": "num"}).select(["entity_id", "num"])]
    num = counted[0].column("num").to_numpy()
    copies = np.minimum(pad.length // num - 1, pad.most)
    return counted[0].append_column("copies", pa.array(copies)).filter(pa.array(copies > 0))


def _with_repeats(rows: pa.Table, pad: RepeatPad | None, copies: pa.Table) -> pa.Table:
    """The rows, those of entities with copies so many times more, with the column REPEAT where there is a `pad`."""
    if pad is None:
        return rows
    place = pc.index_in(rows.column("entity_id"), value_set=copies.column("entity_id"))
    times = 1 + pc.fill_null(copies.column("copies").take(place), 0).to_numpy() if len(rows) else np.zeros(0, np.int64)
    first = np.repeat(np.cumsum(times) - times, times)
    taken = rows.take(pa.array(np.repeat(np.arange(len(rows)), times)))
    return taken.append_column(REPEAT, pa.array(np.arange(len(first)) - first, pa.int32()))


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


def _folders(workspace: Workspace, table: str, part: str | None) -> list[str]:
    if part is not None and (table != HOLDOUT or part != FUTURE):
        raise ConfigError(f"export: --part {part} is unknown for table {table}; only holdout has the part {FUTURE}")
    if table in (TRAIN, HOLDOUT):
        return [f"{workspace.output('ingest', 'real')}/part={part or table}"]
    if table == "published":
        version = current_version(workspace)
        if version is None:
            raise ContractError(f"{workspace.root}: nothing is published here yet; run `clickweave run` first")
        return event_folders(workspace, version)
    if table not in TABLES:
        raise ConfigError(f"export: table {table!r} is unknown; there are {', '.join(TABLES)}")
    stage = {"augmented": "augment", "synthetic": "align", "mixed": "mix"}[table]
    return [workspace.output(stage, table)]

"""From token shards to batches: a rank's own row groups, in a seeded order, never more than a buffer in memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from clickweave.codec.spec import CodecSpec
from clickweave.errors import ContractError
from clickweave.models.protocol import Batch
from clickweave.store import files
from clickweave.training.plan import Plan, RowGroup
from clickweave.training.seeds import seed_of

BUFFER_ROWS = 131_072  # rows that are shuffled together; 10 columns of them are 15 MB
Read = Callable[[RowGroup], Batch]


class Source(Protocol):
    """One rank's batches, of whatever kind its generator reads."""

    def train(self, epoch: int) -> Iterator[Any]:
        """At least as many batches as there are steps in an epoch; the same ones each time for the same epoch."""

    def validation(self) -> Iterator[Any]:
        """The rank's validation rows, the same ones each time."""


@dataclass(frozen=True)
class Rows:
    """A `Source` of single rows."""

    read: Read
    plan: Plan
    rank: int
    seed: int

    def train(self, epoch: int) -> Iterator[Batch]:
        order = seed_of(self.seed, "order", epoch, self.rank)
        return shuffled_batches(self.read, self.plan.train[self.rank], self.plan.batch_rows, order)

    def validation(self) -> Iterator[Batch]:
        return plain_batches(self.read, self.plan.validation[self.rank], self.plan.batch_rows)


def row_groups(folder: str) -> list[RowGroup]:
    """Every row group below a folder of shards, from the footers alone.

    Raises:
        ContractError: a file is not Parquet.
    """
    found = []
    for path in files.list_files(folder, ".parquet"):
        with _open(path) as parquet:
            rows = [parquet.metadata.row_group(index).num_rows for index in range(parquet.num_row_groups)]
        found += [RowGroup(path, index, count) for index, count in enumerate(rows)]
    return found


def reader(codec: CodecSpec) -> Read:
    """A function that reads one row group of this codec's shards.

    It raises ContractError where the file is unreadable, fails its checksums or does not fit the codec.
    """
    num_codes_C = torch.tensor([column.num_codes for column in codec.columns])

    def read(group: RowGroup) -> Batch:
        with _open(group.file) as parquet:
            try:
                table = parquet.read_row_group(group.index, [*codec.code_columns, *codec.position_columns])
                codes_BC = _matrix(table, codec.code_columns, np.int64)
                positions_BP = _matrix(table, codec.position_columns, np.float32)
            except (pa.ArrowException, OSError, KeyError) as error:
                raise _unreadable(group.file, error) from error
        if table.num_rows != group.rows:
            raise ContractError(
                f"train: row group {group.index} of {group.file} has {table.num_rows} rows, planned were {group.rows}; "
                "encode again"
            )
        bad_C = ((codes_BC < 0) | (codes_BC >= num_codes_C)).any(dim=0)
        if bad_C.any():
            column = codec.code_columns[int(bad_C.int().argmax())]
            raise ContractError(f"train: column {column!r} of {group.file} has codes outside the codec; encode again")
        return Batch(codes_BC, positions_BP.nan_to_num(0.0))

    return read


def read_columns(group: RowGroup, names: Sequence[str]) -> pa.Table:
    """Further columns of one row group.

    Raises:
        ContractError: the file is unreadable, fails its checksums or lacks a column.
    """
    with _open(group.file) as parquet:
        try:
            table = parquet.read_row_group(group.index, list(names))
            return table.select(list(names))
        except (pa.ArrowException, OSError, KeyError) as error:
            raise _unreadable(group.file, error) from error


def shuffled_batches(
    read: Read, groups: Sequence[RowGroup], batch_rows: int, seed: int, buffer_rows: int = BUFFER_ROWS
) -> Iterator[Batch]:
    """Full batches of one epoch: groups in a seeded order, rows shuffled in a buffer that refills when half empty.

    Each row comes at most once; fewer than `batch_rows` rows are left over at the end.
    """
    rng = np.random.default_rng(seed)
    kept: list[Batch] = []
    rows = 0
    for number, place in enumerate(rng.permutation(len(groups)), start=1):
        kept.append(read(groups[place]))
        rows += kept[-1].num_rows
        last = number == len(groups)
        if rows < buffer_rows and not last:
            continue
        buffer = taken(joined(kept), rng.permutation(rows))
        stop = rows if last else max(rows - buffer_rows // 2, 0)
        num_batches = stop // batch_rows
        for start in range(0, num_batches * batch_rows, batch_rows):
            yield _slice(buffer, start, start + batch_rows)
        kept = [_slice(buffer, num_batches * batch_rows, rows)]
        rows = kept[0].num_rows


def plain_batches(read: Read, groups: Sequence[RowGroup], batch_rows: int) -> Iterator[Batch]:
    """All rows in order; the last batch of a row group may be smaller."""
    for group in groups:
        batch = read(group)
        for start in range(0, batch.num_rows, batch_rows):
            yield _slice(batch, start, min(start + batch_rows, batch.num_rows))


def _open(path: str) -> pq.ParquetFile:
    found, inner = files.filesystem(path)
    try:
        return pq.ParquetFile(inner, filesystem=found, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: Exception) -> ContractError:
    return ContractError(f"train: cannot read shard {path}: {' '.join(str(error).split())}; encode again")


def _matrix(table: pa.Table, columns: Sequence[str], kind: type) -> torch.Tensor:
    """The columns side by side [B, len(columns)]; null positions become nan."""
    made = np.empty((table.num_rows, len(columns)), dtype=kind)
    for place, name in enumerate(columns):
        made[:, place] = table.column(name).to_numpy()
    return torch.from_numpy(made)


def joined(parts: Sequence[Batch]) -> Batch:
    """All rows, batch after batch."""
    return Batch(torch.cat([part.codes_BC for part in parts]), torch.cat([part.positions_BP for part in parts]))


def taken(batch: Batch, order: np.ndarray) -> Batch:
    """The rows of these numbers, in their order."""
    places = torch.from_numpy(order)
    return Batch(batch.codes_BC[places], batch.positions_BP[places])


def _slice(batch: Batch, start: int, stop: int) -> Batch:
    return Batch(batch.codes_BC[start:stop], batch.positions_BP[start:stop])

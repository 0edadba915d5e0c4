"""What ranks read: each row once, in a seeded order, never more than the buffer."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clickweave.errors import ContractError
from clickweave.models.protocol import Batch
from clickweave.training.batches import plain_batches, reader, row_groups, shuffled_batches
from clickweave.training.plan import RowGroup


def counting_reader(sizes):
    """Reads row groups whose codes number all rows; remembers how many rows it gave out."""
    starts = np.concatenate([[0], np.cumsum(sizes)])

    def read(group):
        codes = torch.arange(starts[group.index], starts[group.index] + group.rows).unsqueeze(1)
        return Batch(codes, codes.float())

    return read, [RowGroup("f", index, rows) for index, rows in enumerate(sizes)]


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(1, 30), st.integers(0, 99), st.integers(1, 200)
)
def test_epoch_gives_each_row_once_in_full_batches(sizes, batch_rows, seed, buffer_rows):
    read, groups = counting_reader(sizes)
    batches = list(shuffled_batches(read, groups, batch_rows, seed, buffer_rows))
    assert len(batches) == sum(sizes) // batch_rows
    assert all(batch.num_rows == batch_rows for batch in batches)
    rows = [row for batch in batches for row in batch.codes_BC[:, 0].tolist()]
    assert len(set(rows)) == len(rows)
    assert all(torch.equal(batch.codes_BC.float(), batch.positions_BP) for batch in batches)


def test_epochs_differ_and_the_same_seed_repeats():
    read, groups = counting_reader([30, 30, 30])
    first, again, other = (
        torch.cat([batch.codes_BC for batch in shuffled_batches(read, groups, 10, seed, 50)]) for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_shuffling_holds_at_most_the_buffer_and_one_row_group():
    read, groups = counting_reader([10] * 50)
    given_out = taken = most = 0

    def counted(group):
        nonlocal given_out, most
        given_out += group.rows
        most = max(most, given_out - taken)
        return read(group)

    for batch in shuffled_batches(counted, groups, 5, 0, buffer_rows=40):
        taken += batch.num_rows
    assert most <= 40 + 10


def test_plain_batches_give_every_row_in_order():
    read, groups = counting_reader([7, 1, 5])
    rows = torch.cat([batch.codes_BC for batch in plain_batches(read, groups, 3)])
    assert rows[:, 0].tolist() == list(range(13))


def test_reader_reads_what_the_shards_hold(write_shards):
    codec, shards = write_shards(num_rows=100, num_files=3)
    groups = row_groups(f"{shards}/part=train")
    assert [group.rows for group in groups] == [34, 33, 33]
    batch = reader(codec)(groups[0])
    assert batch.codes_BC.shape == (34, 3) and batch.codes_BC.dtype == torch.int64
    assert batch.positions_BP.shape == (34, 1) and batch.positions_BP.dtype == torch.float32
    table = pq.read_table(groups[0].file)
    assert batch.codes_BC[:, 2].tolist() == table["code_price"].to_pylist()


def test_null_position_is_read_as_zero(write_shards):
    codec, shards = write_shards(num_rows=10, num_files=1)
    group = row_groups(f"{shards}/part=train")[0]
    table = pq.read_table(group.file)
    nulls = pa.array([None] * 10, pa.float32())
    pq.write_table(table.set_column(3, "position_price", nulls), group.file)
    assert reader(codec)(group).positions_BP.tolist() == [[0.0]] * 10


def test_codes_outside_the_codec_are_refused(write_shards):
    codec, shards = write_shards(num_rows=10, num_files=1)
    group = row_groups(f"{shards}/part=train")[0]
    table = pq.read_table(group.file)
    pq.write_table(table.set_column(1, "code_label", pa.array([6] * 10, pa.int32())), group.file)
    with pytest.raises(ContractError, match="'code_label'"):
        reader(codec)(group)


def test_file_that_is_not_parquet_is_refused(tmp_path):
    (tmp_path / "x.parquet").write_text("no")
    with pytest.raises(ContractError, match="cannot read shard"):
        row_groups(str(tmp_path))

"""Windows of histories: every event once, histories whole and in order on their lanes, the same for the same epoch."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from clickweave.codec.spec import BINS, ENTITY, VALUES, CodecSpec, ColumnSpec
from clickweave.training.batches import row_groups
from clickweave.training.histories import LEAST_STARTS, HistoryWindows, history_reader
from clickweave.training.plan import make_plan

LENGTHS = tuple(float(n) for n in range(1, 41))
CODEC = CodecSpec(
    (
        ColumnSpec("length", BINS, "long", lows=LENGTHS, highs=LENGTHS, step=1.0, counts=(1,) * 40, level=ENTITY),
        ColumnSpec("repeats", BINS, "long", lows=(0.0,), highs=(0.0,), step=1.0, counts=(40,), level=ENTITY),
        ColumnSpec("item_id", VALUES, "string", values=("a", "b", "c"), counts=(5, 3, 2)),
    ),
    11,
    "test",
    grain=ENTITY,
)


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Four files of whole histories; time_us tells each event apart."""
    folder = tmp_path_factory.mktemp("shards")
    rng, number = np.random.default_rng(0), 0
    for file in range(4):
        lengths = rng.integers(1, 30, 12)
        place = np.concatenate([np.arange(n) for n in lengths])
        columns = {
            "code_length": np.repeat(lengths, lengths).astype("int32"),
            "code_item_id": rng.integers(2, 5, len(place)).astype("int32"),
            "code_repeats": np.ones(len(place), "int32"),
            "place": place,
            "left_repeats": place % 7,
            "time_us": np.arange(number, number + len(place)),
        }
        number += len(place)
        pq.write_table(pa.table(columns), folder / f"{file}.parquet")
    return str(folder), number


@pytest.fixture
def source(shards):
    def make(ranks=1, rank=0, batch_size=48, window=8, buffer_rows=150):
        groups = row_groups(shards[0])
        plan = make_plan(groups, groups, ranks=ranks, batch_size=batch_size)
        return HistoryWindows(history_reader(CODEC), CODEC, plan, rank, 0, window, buffer_rows)

    return make


def events_of(windows):
    return [number for window in windows for number in window.time_us_BL.flatten().tolist()]


@pytest.mark.parametrize("buffer_rows", [1, 150, 10**6])
def test_every_event_comes_at_most_once_and_nearly_all_do(source, shards, buffer_rows):
    seen = events_of(source(buffer_rows=buffer_rows).train(1))
    assert len(seen) == len(set(seen))
    assert shards[1] - 48 < len(seen) <= shards[1]
    steps = source(buffer_rows=buffer_rows).plan.steps
    assert len(list(source(buffer_rows=buffer_rows).train(1))) >= steps


def test_validation_reads_every_event_once(source, shards):
    assert sorted(events_of(source().validation())) == list(range(shards[1]))


def test_lanes_go_on_where_they_were_and_begin_anew_only_when_fresh(source):
    before, cut = None, 0
    for window in source().train(3):
        place, time = window.place_BL, window.time_us_BL
        if not window.fresh:
            place = torch.cat([before[0], place], dim=1)
            time = torch.cat([before[1], time], dim=1)
        follows = place[:, 1:] == place[:, :-1] + 1
        begins = place[:, 1:] == 0
        cut += int((~(follows | begins)).sum())
        assert (time[:, 1:] == time[:, :-1] + 1)[follows].float().mean() > 0.95
        before = place[:, -1:], time[:, -1:]
    assert cut <= 24, "only a buffer's or a lane's end may cut a history"


def test_events_to_come_count_down_to_the_last(source):
    for window in source().train(1):
        length = window.entities.codes_BC[:, 0].view_as(window.place_BL)
        assert torch.equal(window.place_BL + window.left_BL + 1, length)
        assert torch.equal(window.left_BLK[:, :, 0], window.place_BL % 7)


def test_epochs_differ_and_repeat(source):
    one, again, other = (events_of(source().train(epoch)) for epoch in (1, 1, 2))
    assert one == again != other


def test_ranks_share_the_events_out(source):
    both = [events_of(source(ranks=2, rank=rank).train(1)) for rank in (0, 1)]
    assert not set(both[0]) & set(both[1])


def test_each_start_is_told_in_an_epoch_and_every_window_tells_many(source):
    windows = list(source(buffer_rows=10**6, batch_size=480, window=160).train(1))
    starts = sum(int((window.place_BL == 0).sum()) for window in windows)
    others = sum(window.others.num_rows for window in windows)
    assert starts <= others
    assert all(window.others.num_rows >= LEAST_STARTS for window in windows)


def test_histories_of_a_buffer_are_shuffled_and_its_lanes_begin_once(source):
    windows = list(source(buffer_rows=10**6).train(1))
    assert [window.fresh for window in windows] == [True] + [False] * (len(windows) - 1)
    place, time = (
        torch.cat([getattr(window, name) for window in windows], dim=1) for name in ("place_BL", "time_us_BL")
    )
    starts = time.flatten()[place.flatten() == 0]
    assert (starts.diff() < 0).sum() > 8, "in the order of the files there would be at most one step back for each"

"""The journey generator: what it remembers and carries, that its probabilities are ones, and what it draws."""

import numpy as np
import pytest
import torch

from clickweave.codec.decode import _Columns
from clickweave.codec.spec import BINS, ENTITY, FIRST_BIN, FIRST_VALUE, VALUES, CodecSpec, ColumnSpec
from clickweave.contracts.tables import DAY_US, HOUR_US
from clickweave.models.clock import BinNumbers
from clickweave.models.histories import Windows
from clickweave.models.journey import sampler
from clickweave.models.journey.params import Params
from clickweave.models.journey.sampler import sample_histories
from clickweave.models.journey.state import Memory
from clickweave.models.protocol import Batch
from clickweave.models.registry import build

FIRST_US, LAST_US = 100 * DAY_US, 104 * DAY_US
ITEMS, LABELS = ("a", "b", "c", "d", "e", "f"), ("1", "2")
CODEC = CodecSpec(
    (
        ColumnSpec(
            "length",
            BINS,
            "long",
            lows=(1.0, 2.0, 5.0),
            highs=(1.0, 4.0, 9.0),
            step=1.0,
            level=ENTITY,
            counts=(2, 5, 3),
        ),
        ColumnSpec("best_label", VALUES, "long", values=("2", "1"), counts=(8, 2), level=ENTITY),
        ColumnSpec(
            "start_day", BINS, "long", lows=(100.0, 101.0), highs=(100.0, 101.0), step=1.0, level=ENTITY, counts=(5, 5)
        ),
        ColumnSpec(
            "start_clock", BINS, "long", lows=(0.0,), highs=(DAY_US - 1.0,), step=1.0, level=ENTITY, counts=(10,)
        ),
        ColumnSpec("gap", BINS, "long", lows=(0.0, 60e6), highs=(59e6, 3600e6), step=1e6, counts=(30, 10), num_null=5),
        ColumnSpec("gap_days", BINS, "long", lows=(1.0, 2.0), highs=(1.0, 2.0), step=1.0, counts=(3, 2), num_null=40),
        ColumnSpec("gap_clock", BINS, "long", lows=(0.0,), highs=(DAY_US - 1e6,), step=1e6, counts=(5,), num_null=40),
        ColumnSpec("item_id", VALUES, "string", values=ITEMS, counts=(20, 10, 6, 4, 3, 2)),
        ColumnSpec("label", VALUES, "long", values=LABELS, counts=(35, 10)),
    ),
    45,
    "test",
    grain=ENTITY,
    window_us=(FIRST_US, LAST_US),
)
NEIGHBOURS = np.zeros((len(ITEMS) + FIRST_VALUE, 2), np.int32)
NEIGHBOURS[2] = (3, 4)
NEIGHBOURS[3] = (2, 0)
TABLES = {"item_id.neighbours": NEIGHBOURS, "item_id.neighbour_users": (NEIGHBOURS > 0).astype(np.float32) * 3}


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        fresh = build("journey", CODEC, Params(memory=5, dropout=0.0, pair_dropout=0.0), TABLES)
        for parameter in fresh.parameters():
            parameter.data.add_(torch.randn_like(parameter) * 0.05)  # as training leaves them: nothing at zero
    return fresh


def windows_of(lengths, lanes, per_window, seed=0):
    """Random histories of these lengths on one stream, cut into lanes and windows."""
    rows, draws = sum(lengths), rng(seed)
    place = torch.cat([torch.arange(n) for n in lengths])
    left = torch.cat([n - 1 - torch.arange(n) for n in lengths])
    owner = torch.cat([torch.full((n,), number) for number, n in enumerate(lengths)])
    sides = {level: CODEC.at_level(level) for level in ("event", "entity")}
    codes = {
        level: torch.stack([torch.randint(1, column.num_codes, (rows,), generator=draws) for column in columns], dim=1)
        for level, columns in sides.items()
    }
    codes["event"][:, 3:] = codes["event"][:, 3:].clamp_min(FIRST_VALUE)
    codes["entity"] = codes["entity"][:1].expand(len(lengths), -1)[owner].clone()
    codes["entity"][:, 1] = FIRST_VALUE + owner % 2
    places = {level: sum(column.has_position for column in columns) for level, columns in sides.items()}
    batches = {level: Batch(codes[level], torch.rand(rows, places[level], generator=draws)) for level in sides}
    time_us = FIRST_US + place * HOUR_US
    stream = torch.arange(rows).view(lanes, -1)
    for start in range(0, stream.shape[1], per_window):
        picked = stream[:, start : start + per_window]
        flat = picked.flatten()
        events, entities = (Batch(b.codes_BC[flat], b.positions_BP[flat]) for b in batches.values())
        yield Windows(events, entities, entities, place[picked], left[picked], time_us[picked], start == 0)


LENGTHS = [3, 7, 2, 4, 6, 2]  # 24 events: lanes of 12 cut the third history, windows of 4 cut more


def test_windows_of_any_length_give_the_same_states_and_memories(net):
    seen = {}
    for per_window in (12, 4, 1):
        contexts, memories = [], []
        for window in windows_of(LENGTHS, 2, per_window):
            losses = net.training_loss(window, rng())
            assert losses.total.isfinite()
        for window in windows_of(LENGTHS, 2, per_window):
            if window.fresh:
                net.carried = None
            with torch.no_grad():
                net.begin(window)
                memory = net._memories(window)
                aids = {net.item: (memory, None)}
                context = net._contexts(window, window.place_BL == 0, aids)
            contexts.append(context.view(2, -1, net.hidden))
            memories.append(memory.items_BM.view(2, -1, 5))
        seen[per_window] = torch.cat(contexts, 1), torch.cat(memories, 1)
    for per_window in (4, 1):
        assert torch.allclose(seen[per_window][0], seen[12][0], atol=1e-5)
        assert torch.equal(seen[per_window][1], seen[12][1])


def test_memory_holds_the_latest_items_of_the_same_history_alone(net):
    window = next(windows_of(LENGTHS, 1, 24))
    net.begin(window)
    remembered = net._memories(window).items_BM
    items, start = window.events.codes_BC[:, net.item].tolist(), 0
    for length in LENGTHS:
        for place in range(length):
            before = items[start : start + place][::-1][:5]
            assert remembered[start + place].tolist() == before + [0] * (5 - len(before))
        start += length


def test_strongest_label_counts_as_reached_from_the_event_after_it(net):
    window = next(windows_of(LENGTHS, 1, 24))
    net.begin(window)
    reached, start = net._reached(window).flatten().tolist(), 0
    labels, best = window.events.codes_BC[:, net.label], window.entities.codes_BC[:, 1]
    wanted = torch.where(best == FIRST_VALUE, FIRST_VALUE + 1, FIRST_VALUE)  # values stand in another order there
    for length in LENGTHS:
        hits = (labels == wanted)[start : start + length].tolist()
        assert reached[start : start + length] == [any(hits[:place]) for place in range(length)]
        start += length


def test_probabilities_of_the_next_item_sum_to_one(net):
    unit = net.events.units[net.item]
    remembered = torch.tensor([[2, 5, 2, 0, 0], [0, 0, 0, 0, 0], [7, 3, 0, 0, 0], [6, 6, 6, 6, 6]])
    memory = Memory(remembered, torch.where(remembered > 0, FIRST_VALUE, 0))
    hidden = torch.randn(4, net.hidden, generator=rng())
    for row in range(4):
        picked = torch.full((1,), row)
        nats = [unit.nll(hidden[picked], torch.tensor([code]), None, memory.rows(picked), None) for code in range(8)]
        shares = torch.exp(-torch.stack(nats).detach())
        assert shares.sum().item() == pytest.approx(1.0, abs=1e-4)
    drawn, _ = unit.draw(
        hidden[:1], 30_000, rng(3), 1.0, 1.0, Memory(*[t[:1].expand(30_000, -1) for t in vars(memory).values()])
    )
    seen = torch.bincount(drawn, minlength=8) / len(drawn)
    nats = [unit.nll(hidden[:1], torch.tensor([code]), None, memory.rows(torch.tensor([0])), None) for code in range(8)]
    assert torch.allclose(seen, torch.exp(-torch.stack(nats).detach()), atol=0.015)


def test_hidden_pairs_teach_less_of_the_neighbours(net):
    unit = net.events.units[net.item]
    memory = Memory(torch.tensor([[2, 0, 0, 0, 0]]), torch.tensor([[2, 0, 0, 0, 0]]))
    hidden, code = torch.randn(1, net.hidden, generator=rng()), torch.tensor([4])  # a neighbour of 2, not remembered
    unit.drop = 0.0
    open_nats = unit.nll(hidden, code, None, memory, rng()).item()
    unit.drop = 1.0
    assert unit.nll(hidden, code, None, memory, rng()).item() > open_nats + 0.1


def test_histories_have_their_length_and_never_run_backwards(net):
    made = sample_histories(net, 300, rng(1), 1.0, 1.0)
    lengths = net.lengths(made.entities)
    counts = torch.bincount(made.owner_R, minlength=300)
    inside = made.time_us_R <= LAST_US
    assert inside.all() and (counts <= lengths).all() and (counts >= 1).all()
    assert (counts == lengths).float().mean() > 0.95  # what would leave the window is drawn again
    assert (made.owner_R.diff() >= 0).all()
    same = made.owner_R[1:] == made.owner_R[:-1]
    assert (made.time_us_R.diff()[same] >= 0).all()
    firsts = torch.cat([torch.ones(1, dtype=torch.bool), ~same])
    assert torch.equal(made.time_us_R[firsts], net.start_us(made.entities))


def test_events_beyond_the_window_are_drawn_again(net, monkeypatch):
    net.clock.last_us = 101 * DAY_US + 12 * HOUR_US  # half of the histories start on its last day
    events = {}
    for tries in (0, 16):
        monkeypatch.setattr(sampler, "REDRAWS", tries)
        made = sample_histories(net, 400, rng(1), 1.0, 1.0)
        assert (made.time_us_R <= net.clock.last_us).all()
        events[tries] = len(made.owner_R)
    assert events[16] > 1.04 * events[0]


def test_same_seed_gives_the_same_histories(net):
    one, other, third = (sample_histories(net, 50, rng(seed), 1.0, 1.0) for seed in (1, 1, 2))
    assert torch.equal(one.events.codes_BC, other.events.codes_BC) and torch.equal(one.time_us_R, other.time_us_R)
    assert one.events.codes_BC.shape != third.events.codes_BC.shape or not torch.equal(one.time_us_R, third.time_us_R)


def test_a_return_after_long_keeps_day_and_clock(net):
    columns = [column.name for column in CODEC.at_level("event")]
    codes = torch.zeros(2, len(columns), dtype=torch.long)
    codes[:, columns.index("item_id")] = codes[:, columns.index("label")] = FIRST_VALUE
    codes[0, columns.index("gap_days")] = FIRST_BIN + 1
    codes[0, columns.index("gap_clock")] = FIRST_BIN
    codes[1, columns.index("gap")] = FIRST_BIN
    events = Batch(codes, torch.full((2, 2), 0.5))
    before = torch.full((2,), 100 * DAY_US + 23 * HOUR_US)
    times = net.time_us(events, before)
    assert times[0] == 102 * DAY_US + DAY_US // 2
    assert times[1] == before[1] + 30_000_000


def test_logs_without_items_labels_or_time_are_learnt_too():
    bare = CodecSpec(
        (CODEC.columns[0], ColumnSpec("query", VALUES, "string", values=("x", "y"), counts=(3, 2))),
        5,
        "test",
        grain=ENTITY,
    )
    net = build("journey", bare, Params(), {})
    events, entities = Batch(torch.full((4, 1), 2), torch.zeros(4, 0)), Batch(torch.full((4, 1), 2), torch.rand(4, 1))
    places = torch.arange(4).view(1, 4)
    zeros = torch.zeros(1, 4, dtype=torch.long)
    net.training_loss(Windows(events, entities, entities, places, 3 - places, zeros, True), rng()).total.backward()
    made = sample_histories(net, 20, rng(), 1.0, 1.0)
    assert torch.equal(torch.bincount(made.owner_R, minlength=20), net.lengths(made.entities))


def test_numbers_are_those_that_the_codec_decodes():
    columns = CODEC.at_level("event")
    num = 500
    codes = torch.stack([torch.randint(column.num_codes, (num,), generator=rng()) for column in columns], dim=1)
    batch = Batch(codes, torch.rand(num, 2, generator=rng(1)))
    decoded = _Columns(columns)(codes.numpy(), batch.positions_BP.numpy(), np.random.default_rng(0))
    for name in ("gap", "gap_days", "gap_clock"):
        known = decoded[name].fill_null(0).to_numpy(zero_copy_only=False)
        assert BinNumbers(columns, name)(batch).round().tolist() == known.tolist()

"""The journey generator as a network: what it remembers and carries, and that its probabilities are ones."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from clickweave.codec.decode import _Columns
from clickweave.codec.spec import EVENT, FIRST_BIN, FIRST_VALUE
from clickweave.contracts.tables import DAY_US, HOUR_US
from clickweave.models.clock import BinNumbers
from clickweave.models.journey.counted import Counted
from clickweave.models.journey.state import Memory
from clickweave.models.protocol import Batch

LENGTHS = [3, 7, 2, 4, 6, 2]  # 24 events: lanes of 12 cut the third history, windows of 4 cut more


def test_windows_of_any_length_give_the_same_states_and_memories(net, log):
    seen = {}
    for per_window in (12, 4, 1):
        contexts, memories = [], []
        for window in log.windows_of(LENGTHS, 2, per_window):
            losses = net.training_loss(window, log.rng())
            assert losses.total.isfinite()
        for window in log.windows_of(LENGTHS, 2, per_window):
            if window.fresh:
                net.carried = None
            with torch.no_grad():
                net.begin(window)
                memory = net._memories(window)
                came = window.place_BL.flatten(), window.left_BL.flatten(), window.left_BLK.flatten(0, 1)
                aids = net.aids(memory, *came)
                context = net._contexts(window, window.place_BL == 0, aids)
            contexts.append(context.view(2, -1, net.hidden))
            memories.append(memory.items_BM.view(2, -1, 5))
        seen[per_window] = torch.cat(contexts, 1), torch.cat(memories, 1)
    for per_window in (4, 1):
        assert torch.allclose(seen[per_window][0], seen[12][0], atol=1e-5)
        assert torch.equal(seen[per_window][1], seen[12][1])


def test_memory_holds_the_latest_items_of_the_same_history_alone(net, log):
    window = next(log.windows_of(LENGTHS, 1, 24))
    net.begin(window)
    remembered = net._memories(window).items_BM
    items, start = window.events.codes_BC[:, net.item].tolist(), 0
    for length in LENGTHS:
        for place in range(length):
            before = items[start : start + place][::-1][:5]
            assert remembered[start + place].tolist() == before + [0] * (5 - len(before))
        start += length


def test_what_is_left_of_the_totals_tells_on_the_next_event(net, log):
    window = next(log.windows_of(LENGTHS, 1, 24))
    plain = net.training_loss(window, log.rng()).parts["events"]
    for number in range(len(log.codec.totals)):
        more = window.left_BLK.clone()
        more[:, :, number] += 1 + more[:, :, number]
        net.begin(window)
        assert net.training_loss(replace(window, left_BLK=more), log.rng()).parts["events"] != plain


EVEN = torch.tensor([[0.5, 0.5]]).log()  # as many repeats to come as other items


def test_probabilities_of_the_next_item_sum_to_one(net, log):
    unit = net.events.units[net.item]
    remembered = torch.tensor([[2, 5, 2, 0, 0], [0, 0, 0, 0, 0], [7, 3, 0, 0, 0], [6, 6, 6, 6, 6]])
    memory = Memory(remembered, torch.where(remembered > 0, FIRST_VALUE, 0))
    hidden = torch.randn(4, net.hidden, generator=log.rng())
    for row in range(4):
        picked = torch.full((1,), row)
        nats = [
            unit.nll(hidden[picked], torch.tensor([code]), None, memory.rows(picked), EVEN, None, None)
            for code in range(unit.codes.bias_V.numel())
        ]
        shares = torch.exp(-torch.stack(nats).detach())
        assert shares.sum().item() == pytest.approx(1.0, abs=1e-4)
    many = Memory(*[t[:1].expand(30_000, -1) for t in vars(memory).values()])
    drawn, _ = unit.draw(hidden[:1], 30_000, log.rng(3), 1.0, 1.0, many, EVEN.expand(30_000, -1), None)
    seen = torch.bincount(drawn, minlength=unit.codes.bias_V.numel()) / len(drawn)
    nats = [
        unit.nll(hidden[:1], torch.tensor([code]), None, memory.rows(torch.tensor([0])), EVEN, None, None)
        for code in range(unit.codes.bias_V.numel())
    ]
    assert torch.allclose(seen, torch.exp(-torch.stack(nats).detach()), atol=0.015)


def test_an_item_that_had_every_label_that_may_come_is_not_repeated(net, log):
    unit = net.events.units[net.item]
    memory = Memory(torch.tensor([[2, 3, 2, 0, 0]]), torch.tensor([[2, 2, 3, 0, 0]]))  # 2 had both labels, 3 the first
    hidden, only_repeats = torch.randn(1, net.hidden, generator=log.rng()), torch.tensor([[1.0, 1e-30]]).log()
    for labels, expected in ((0b11, {3}), (0b10, {3}), (0b01, set())):
        bits = torch.full((500,), labels)
        many = memory.rows(torch.zeros(500, dtype=torch.long))
        drawn, _ = unit.draw(hidden, 500, log.rng(), 1.0, 1.0, many, only_repeats.expand(500, -1), bits)
        assert not expected or set(drawn.tolist()) == expected
        assert expected or 2 in set(drawn.tolist()) or len(set(drawn.tolist())) > 1  # from the other sources


def test_odds_of_labels_and_returns_begin_at_what_is_left(net, log):
    place, left = torch.tensor([0, 3, 3]), torch.tensor([3, 3, 0])
    left_RK = torch.zeros(3, len(net.totals.names), dtype=torch.long)
    left_RK[:, net.totals.returning] = 1
    shares = net.totals.log_shares(place, left, left_RK)
    returns = shares[net.times.gap].exp()
    assert returns[0, 0] < 1e-4, "a first event does not return"
    assert torch.allclose(returns[1], torch.tensor([0.25, 0.75])) and returns[2, 0] == 1
    assert torch.allclose(returns.sum(1), torch.ones(3), atol=1e-4)


def test_a_counted_column_that_learnt_nothing_is_drawn_in_the_shares_that_are_left(net, log):
    events = log.codec.at_level(EVENT)
    groups = net.totals.groups(events)
    assert set(groups) == {net.times.gap, net.label}
    for index, group_V in groups.items():
        unit = Counted(events[index], {}, net.hidden, 8, group_V)
        unit.query.weight.data.zero_()
        unit.query.bias.data.zero_()
        num_groups = int(group_V.max()) + 1
        shares = torch.softmax(torch.randn(1, num_groups, generator=log.rng()), dim=1)
        told = shares.log().expand(40_000, -1)
        codes, _ = unit.draw(torch.zeros(40_000, net.hidden), 40_000, log.rng(), 1.0, 1.0, told)
        seen = torch.bincount(group_V[codes], minlength=num_groups) / 40_000
        held = torch.tensor([bool((group_V == group).any()) for group in range(num_groups)])
        assert torch.allclose(seen[held], (shares[0] * held)[held] / (shares[0] * held).sum(), atol=0.01)
        logs = torch.log_softmax(unit._logits(torch.zeros(1, net.hidden), told[:1]), dim=1)
        nats = unit.nll(torch.zeros(40_000, net.hidden), codes, None, told)
        assert nats.item() == pytest.approx(-logs[0, codes].mean().item(), rel=1e-4)


def test_hidden_pairs_teach_less_of_the_neighbours(net, log):
    unit = net.events.units[net.item]
    memory = Memory(torch.tensor([[2, 0, 0, 0, 0]]), torch.tensor([[2, 0, 0, 0, 0]]))
    hidden, code = (
        torch.randn(1, net.hidden, generator=log.rng()),
        torch.tensor([4]),
    )  # a neighbour of 2, not remembered
    unit.drop = 0.0
    open_nats = unit.nll(hidden, code, None, memory, EVEN, None, log.rng()).item()
    unit.drop = 1.0
    assert unit.nll(hidden, code, None, memory, EVEN, None, log.rng()).item() > open_nats + 0.1


def test_a_return_after_long_keeps_day_and_clock(net, log):
    columns = [column.name for column in log.codec.at_level("event")]
    codes = torch.zeros(2, len(columns), dtype=torch.long)
    codes[:, columns.index("item_id")] = codes[:, columns.index("label")] = FIRST_VALUE
    codes[0, columns.index("gap_days")] = FIRST_BIN + 1
    codes[0, columns.index("gap_clock")] = FIRST_BIN
    codes[1, columns.index("gap")] = FIRST_BIN
    events = Batch(codes, torch.full((2, 2), 0.5))
    before = torch.full((2,), 100 * DAY_US + 23 * HOUR_US)
    times = net.times.time_us(events, before)
    assert times[0] == 102 * DAY_US + DAY_US // 2
    assert times[1] == before[1] + 30_000_000


def test_numbers_are_those_that_the_codec_decodes(log):
    columns = log.codec.at_level("event")
    num = 500
    codes = torch.stack([torch.randint(column.num_codes, (num,), generator=log.rng()) for column in columns], dim=1)
    batch = Batch(codes, torch.rand(num, 2, generator=log.rng(1)))
    decoded = _Columns(columns, log.codec, None)(codes.numpy(), batch.positions_BP.numpy(), np.random.default_rng(0))
    for name in ("gap", "gap_days", "gap_clock"):
        known = decoded[name].fill_null(0).to_numpy(zero_copy_only=False)
        assert BinNumbers(columns, name)(batch).round().tolist() == known.tolist()

"""Histories that go on: all laws hold over old and new events, whatever the weights."""

from dataclasses import replace

import pytest
import torch
from toy_histories import ENTITIES, EVENTS, FIRST_US, LAST_US, codec, column, random_histories, whole_codes

from clickweave.codec.spec import LENGTH, NULL_CODE, SPAN
from clickweave.contracts.tables import DAY_US
from clickweave.models.clock import BinNumbers
from clickweave.models.histories import Histories, rows_of
from clickweave.models.journey import continuation, reading
from clickweave.models.journey.continuation import _held, chunks_of
from clickweave.models.journey.params import Params
from clickweave.models.journey.reading import read_histories, rows_at_end
from clickweave.models.journey.state import Memory
from clickweave.models.protocol import Batch
from clickweave.models.registry import build

LENGTHS = (1, 2, 9, 1, 30, 4, 59, 3, 70, 5)
MOST = 7


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def network(seed=0, **changes):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fresh = build("journey", codec(**changes), Params(memory=5, dropout=0.0, pair_dropout=0.0), {})
        for parameter in fresh.parameters():
            parameter.data.add_(torch.randn_like(parameter) * 0.05)
    return fresh.eval()


@pytest.fixture(scope="module")
def net():
    return network()


@pytest.fixture(scope="module")
def given():
    return random_histories(LENGTHS)


def counted(histories):
    return torch.bincount(histories.owner_R, minlength=histories.entities.num_rows)


@pytest.mark.parametrize("seed", range(4))
def test_new_events_follow_the_last_one_and_stay_inside_the_window(given, seed):
    made = network(seed).continue_histories(given, MOST, rng(seed))
    new = counted(made)
    assert ((new >= 1) & (new <= MOST)).all()
    assert (made.owner_R.diff() >= 0).all()
    for number in range(len(LENGTHS)):
        old, times = (each.time_us_R[each.owner_R == number] for each in (given, made))
        assert (torch.cat([old[-1:], times]).diff() >= 0).all()
    assert made.time_us_R.max() <= LAST_US


@pytest.mark.parametrize("seed", range(4))
def test_nothing_comes_twice_where_the_log_has_nothing_twice(seed):
    given = random_histories([15, 1, 14, 10, 16], once=True)
    made = network(seed, once=True).continue_histories(given, MOST, rng(seed), temperature=5.0)
    assert counted(made)[4] == 0  # all pairs of item and label are used up
    assert counted(made)[3] > 0
    old, new = (
        [list(zip(*pair, strict=True)) for pair in zip(*(whole_codes(h, n) for n in ("item_id", "label")), strict=True)]
        for h in (given, made)
    )
    for before, after in zip(old, new, strict=True):
        assert len(set(before + after)) == len(before) + len(after)


def test_lengths_and_totals_are_those_of_the_longer_history(given):
    net = network(least_paces_us=())
    made = net.continue_histories(given, MOST, rng(1))
    assert torch.equal(column(made.entities, ENTITIES, "profile_sex"), column(given.entities, ENTITIES, "profile_sex"))
    assert torch.equal(net.times.start_us(made.entities), net.times.start_us(given.entities))
    planned = BinNumbers(ENTITIES, LENGTH)(made.entities).long()
    both = torch.tensor(LENGTHS) + counted(made)
    assert torch.equal(planned, both.clamp_max(60))  # 60 is the longest that the codec knows
    last_us = made.time_us_R[counted(made).cumsum(0) - 1]
    spans = net.times.spans_us(made.entities)
    assert (spans >= _held(net, given)[:, 0]).all()
    assert torch.equal(net.times.start_us(made.entities) + spans, last_us)


def test_what_a_history_holds_is_counted_as_the_codec_counts_it(net, given):
    held = dict(zip(net.totals.names, _held(net, given).unbind(1), strict=True))
    items, labels = whole_codes(given, "item_id"), whole_codes(given, "label")
    assert held["repeats"].tolist() == [len(codes) - len(set(codes)) for codes in items]
    assert held["events_of_label_2"].tolist() == [codes.count(3) for codes in labels]
    for number in range(len(LENGTHS)):
        times = given.time_us_R[given.owner_R == number]
        assert held[SPAN][number] == times[-1] - times[0]


@pytest.mark.parametrize("rows", [10, 40, 8192])
def test_reading_in_parts_gives_the_state_of_each_history_alone(net, given, rows, monkeypatch):
    monkeypatch.setattr(reading, "READ_ROWS", rows)
    with torch.inference_mode():
        states, lasts, memory = read_histories(net, given, rows_at_end(torch.tensor(LENGTHS)))
        for number, length in enumerate(LENGTHS):
            mine = given.owner_R == number
            rows_of_it = mine.nonzero().squeeze(1)
            alone = Histories(
                rows_of(given.entities, torch.tensor([number])),
                rows_of(given.events, rows_of_it),
                torch.zeros(length, dtype=torch.long),
                given.time_us_R[mine],
            )
            state, last, own = read_histories(net, alone, rows_at_end(torch.tensor([length])))
            assert torch.allclose(states[number], state[0], atol=1e-5)
            assert torch.allclose(lasts[number], last[0], atol=1e-5)
            assert torch.equal(memory.items_BM[number], own.items_BM[0])
            latest = column(alone.events, EVENTS, "item_id").flip(0)[:5].tolist()
            assert own.items_BM[0].tolist() == latest + [0] * (5 - len(latest))


def test_the_state_is_the_one_that_training_carries(net):
    """Reading is what the training loss reads, event by event, of the same rows."""
    given = random_histories([6])
    with torch.inference_mode():
        state, last, _ = read_histories(net, given, rows_at_end(torch.tensor([6])))
        hidden = net.start(given.entities)
        items, labels = net.remembered(given.events)
        memory = Memory(torch.zeros(1, 5, dtype=torch.long), torch.zeros(1, 5, dtype=torch.long))
        for place in range(6):
            event = rows_of(given.events, torch.tensor([place]))
            told = net.read_events(event, {net.item: (memory,)}, given.time_us_R[place : place + 1])
            hidden = net.cell(told, hidden)
            memory = memory.after(items[place : place + 1], labels[place : place + 1])
    assert torch.allclose(state, hidden, atol=1e-5) and torch.allclose(last, told, atol=1e-5)


def test_the_law_of_lengths_says_how_much_comes(net):
    pool = torch.tensor([1, 1, 2, 3, 3, 9])
    old = torch.tensor([1] * 4000 + [3] * 1000 + [9] * 10)
    more = continuation._more_events(pool, old, 20, rng())
    of_one = more[:4000]
    assert set(of_one.tolist()) == {1, 2, 8}
    assert (of_one == 2).float().mean().item() == pytest.approx(0.5, abs=0.04)
    assert set(more[4000:5000].tolist()) == {6}
    assert set(more[5000:].tolist()) == {1}
    assert continuation._more_events(pool, old, 4, rng()).max() == 4


def test_long_histories_go_on_apart_from_short_ones(monkeypatch):
    monkeypatch.setattr(continuation, "CELLS", 60)
    lengths = torch.tensor(LENGTHS)
    chunks = chunks_of(lengths)
    assert sorted(torch.cat(chunks).tolist()) == list(range(len(LENGTHS)))
    assert all(len(chunk) == 1 or len(chunk) * lengths[chunk].max() <= 60 for chunk in chunks)
    assert len(chunks) == 4


def test_chunks_do_not_mix_up_histories(net, given, monkeypatch):
    monkeypatch.setattr(continuation, "CELLS", 60)
    made = net.continue_histories(given, MOST, rng(2))
    assert torch.equal(net.times.start_us(made.entities), net.times.start_us(given.entities))
    for number in range(len(LENGTHS)):
        old, times = (each.time_us_R[each.owner_R == number] for each in (given, made))
        assert times[0] >= old[-1]


def test_same_seed_gives_the_same_events(net, given):
    one, other, third = (net.continue_histories(given, MOST, rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(one.events.codes_BC, other.events.codes_BC) and torch.equal(one.time_us_R, other.time_us_R)
    assert one.events.codes_BC.shape != third.events.codes_BC.shape or not torch.equal(one.time_us_R, third.time_us_R)


def test_a_history_at_the_end_of_the_window_goes_on_there(net):
    given = random_histories([3, 5])
    given = Histories(given.entities, given.events, given.owner_R, given.time_us_R * 0 + LAST_US)
    made = net.continue_histories(given, MOST, rng())
    assert (made.time_us_R == LAST_US).all()
    assert (column(made.events, EVENTS, "gap") != NULL_CODE).all()


def test_a_number_comes_back_from_the_column_it_was_put_in():
    given = random_histories([2] * 50)
    for name, numbers in (
        ("start_clock", torch.randint(0, DAY_US // 1_000_000, (50,), generator=rng()) * 1_000_000),
        ("start_day", torch.arange(50) % 10 + FIRST_US // DAY_US),
        ("returns", torch.arange(50) % 7),
    ):
        numbered = BinNumbers(ENTITIES, name)
        assert torch.equal(numbered(numbered.put(given.entities, numbers)).round().long(), numbers)


def test_a_log_without_time_items_or_labels_goes_on_too():
    about, query = (ENTITIES[0],), [each for each in EVENTS if each.name == "item_id"]
    bare = codec(tuple(query), entities=about, window_us=(0, 0), least_paces_us=())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = build("journey", bare, Params(), {})
    full = random_histories([1, 3, 2])
    entities, events = (
        Batch(column(batch, columns, columns[at].name).unsqueeze(1), torch.zeros(batch.num_rows, 0))
        for batch, columns, at in ((full.entities, ENTITIES, 0), (full.events, EVENTS, 3))
    )
    given = Histories(entities, events, full.owner_R, torch.zeros_like(full.time_us_R))
    made = net.continue_histories(given, 4, rng())
    assert (counted(made) >= 1).all()
    assert (made.time_us_R == 0).all()


def test_a_column_without_bins_takes_null():
    empty = (*ENTITIES[:2], replace(ENTITIES[2], lows=(), highs=(), counts=()), *ENTITIES[3:])
    given = random_histories([1, 2]).entities
    without = Batch(given.codes_BC, given.positions_BP[:, 1:])
    assert column(BinNumbers(empty, SPAN).put(without, torch.tensor([0, 5])), empty, SPAN).tolist() == [NULL_CODE] * 2


def test_one_event_more_has_the_codes_that_are_given_and_ends_its_history(net, given, monkeypatch):
    item = [each.name for each in EVENTS].index("item_id")
    codes = {item: torch.arange(len(LENGTHS)) % 3 + 2}
    monkeypatch.setattr(continuation, "CELLS", 100)  # in several chunks
    made = net.next_events(given, codes, rng())
    assert made.owner_R.tolist() == list(range(len(LENGTHS)))
    assert made.events.codes_BC[:, item].tolist() == codes[item].tolist()
    last_us_N = given.time_us_R[counted(given).cumsum(0) - 1]
    assert (made.time_us_R >= last_us_N).all()
    assert made.time_us_R.max() <= LAST_US
    again = net.next_events(given, codes, rng())
    assert torch.equal(made.events.codes_BC, again.events.codes_BC)

"""Slates that are generated keep to what the log's do, whatever the weights; clicks follow the position."""

from itertools import pairwise

import pytest
import torch
from toy_histories import ENTITIES, EVENTS, codec, column, put, random_histories, whole

from clickweave.codec.spec import FIRST_VALUE, NULL_CODE, RARE_CODE, VALUES, CodecSpec, ColumnSpec, Slates
from clickweave.models.clock import BinNumbers
from clickweave.models.histories import Windows
from clickweave.models.journey.params import Params
from clickweave.models.journey.slates import SlateLaws
from clickweave.models.protocol import Batch
from clickweave.models.registry import build

LAWS = Slates(longest_gap_us=60_000_000, most_events=4, items_once=True, positions_once=True, one_query=True)
SLATE_EVENTS = (
    *EVENTS[:3],
    ColumnSpec("same_slate", VALUES, "long", values=("1", "0"), counts=(70, 30)),
    ColumnSpec("query", VALUES, "string", values=tuple("qrstuv"), counts=(6, 5, 4, 3, 2, 1)),
    EVENTS[3],
    whole("position", 7, level="event"),
    EVENTS[4],
)
SHORT = (whole("length", 8), *ENTITIES[1:])
SAME, NEW = FIRST_VALUE, FIRST_VALUE + 1


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def network(seed=0, laws=LAWS, events=SLATE_EVENTS):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        fresh = build(
            "journey", codec(events, entities=SHORT, slates=laws), Params(memory=5, dropout=0.0, pair_dropout=0.0), {}
        )
        for parameter in fresh.parameters():
            parameter.data.add_(torch.randn_like(parameter) * 0.1)
    return fresh.eval()


def slates_of(made, events=SLATE_EVENTS):
    """The slates of generated histories: rows of events, in order."""
    same, owner, found = column(made.events, events, "same_slate").tolist(), made.owner_R.tolist(), []
    for row, code in enumerate(same):
        if code == SAME and row and owner[row] == owner[row - 1]:
            found[-1].append(row)
        elif code != NULL_CODE:
            found.append([row])
        else:
            found.append([])
    return [rows for rows in found if rows]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("longest_us", [0, 1_800_000_000])
def test_slates_keep_to_what_the_logs_do(seed, longest_us):
    made = network(seed, Slates(longest_us, 4, True, True, True)).sample(120, rng(seed), temperature=3.0)
    slates = slates_of(made)
    assert sum(len(rows) > 1 for rows in slates) > (5 if longest_us else -1)
    owner, same = made.owner_R, column(made.events, SLATE_EVENTS, "same_slate")
    firsts = torch.cat([torch.ones(1, dtype=torch.bool), owner.diff() > 0])
    assert (same[firsts] != SAME).all()
    assert max(map(len, slates)) <= 4
    for rows in slates:
        for name in ("item_id", "position"):
            known = [code for code in column(made.events, SLATE_EVENTS, name)[rows].tolist() if code != NULL_CODE]
            assert len(set(known)) == len(known)
        if len(rows) > 1:
            assert RARE_CODE not in column(made.events, SLATE_EVENTS, "item_id")[rows[1:]]
        assert len(set(column(made.events, SLATE_EVENTS, "query")[rows].tolist())) == 1
        assert all(b - a <= longest_us for a, b in pairwise(made.time_us_R[rows].tolist()))


def test_laws_that_the_log_does_not_have_are_not_kept():
    made = network(0, Slates(1 << 62, 100, False, False, False)).sample(120, rng(), temperature=3.0)
    slates = [rows for rows in slates_of(made) if len(rows) > 2]
    for name in ("item_id", "position", "query"):
        codes = column(made.events, SLATE_EVENTS, name)
        distinct = [len(set(codes[rows].tolist())) for rows in slates]
        assert any(num < len(rows) for num, rows in zip(distinct, slates, strict=True))
        assert any(num > 1 for num in distinct)


def test_a_slate_remembers_its_own_events_alone():
    laws = SlateLaws(codec(SLATE_EVENTS, slates=LAWS), SLATE_EVENTS)
    slate = laws.none(2)
    told = [
        ((NEW, 4, 2, 3), (NEW, 4, 2, 3)),
        ((SAME, 4, 3, 4), (NEW, 4, 2, 3)),
        ((SAME, 4, 4, 5), (NULL_CODE, 4, 3, 3)),
    ]
    for pair in told:
        slate = laws.after(slate, events_of(pair))
    assert slate.num_A.tolist() == [3, 0]
    for event, wrong in (
        ((SAME, 4, 5, 6), [False, True]),  # the second history is in no slate
        ((SAME, 4, 2, 6), [True, True]),
        ((SAME, 4, 5, 3), [True, True]),
        ((SAME, 5, 5, 6), [True, True]),
        ((SAME, 4, NULL_CODE, NULL_CODE), [False, True]),
        ((SAME, 4, RARE_CODE, 6), [True, True]),
        ((NEW, 5, 2, 3), [False, False]),
        ((NULL_CODE, 5, 2, 3), [False, False]),
    ):
        assert laws.broken(slate, events_of((event, event)), torch.zeros(2)).tolist() == wrong
    full = laws.after(slate, events_of(((SAME, 4, 5, 6),) * 2))
    assert laws.broken(full, events_of(((SAME, 4, 6, 1),) * 2), torch.zeros(2)).tolist() == [True, False]
    late = events_of(((SAME, 4, 5, 6),) * 2)
    assert laws.broken(slate, late, torch.full((2,), 60_000_001)).tolist() == [True, True]


def test_the_last_event_keeps_the_time_of_its_slate_when_some_of_the_span_is_left():
    net = network(0, Slates(0, 100, False, False, False))
    net.events.units[3].codes.bias_V.data[SAME] += 20  # whatever comes belongs to the slate of the event before
    made = net.sample(120, rng())
    same, ends = column(made.events, SLATE_EVENTS, "same_slate"), made.owner_R.diff(append=torch.tensor([-1])) != 0
    later = made.owner_R.diff(prepend=torch.tensor([-1])) == 0
    pauses = made.time_us_R.diff(prepend=torch.tensor([0]))
    assert (same[ends & later] == SAME).all() and (pauses[ends & later] == 0).all()
    assert (pauses[~ends & later] > 0).any() and (same[~ends & later][pauses[~ends & later] > 0] == NEW).all()


def events_of(rows):
    """Events with these codes of same_slate, query, item and position."""
    codes = torch.zeros(len(rows), len(SLATE_EVENTS), dtype=torch.long)
    codes[:, 3:7] = torch.tensor(rows)
    return Batch(codes, torch.zeros(len(rows), sum(each.has_position for each in SLATE_EVENTS)))


def test_a_history_that_goes_on_begins_with_a_slate_of_its_own():
    given = random_histories([3, 9, 1])
    more = torch.full((given.events.num_rows, 3), FIRST_VALUE)
    codes = given.events.codes_BC
    slated = Batch(
        torch.cat([codes[:, :3], more[:, :2], codes[:, 3:4], more[:, :1], codes[:, 4:]], 1), given.events.positions_BP
    )
    given = type(given)(given.entities, slated, given.owner_R, given.time_us_R)
    made = network().continue_histories(given, 5, rng())
    firsts = torch.cat([torch.ones(1, dtype=torch.bool), made.owner_R.diff() > 0])
    assert (column(made.events, SLATE_EVENTS, "same_slate")[firsts] != SAME).all()


EXAMINED = (0.9, 0.6, 0.4, 0.25, 0.15)  # chance that the user looks at a position, from the first
RELEVANT = (0.9, 0.7, 0.5, 0.3, 0.9, 0.7, 0.5, 0.3)  # chance of a click on each item that was looked at
K = len(EXAMINED)
STEPS = 150


def clicked_slates(num, seed=0):
    """Histories of two slates of K items each; click = looked at x relevant (Craswell et al. 2008)."""
    draws, owner = rng(seed), torch.arange(num).repeat_interleave(2 * K)
    place = torch.arange(num * 2 * K) % (2 * K)
    items = torch.cat([torch.randperm(len(RELEVANT), generator=draws)[:K] for _ in range(2 * num)])
    chance = torch.tensor(EXAMINED)[place % K] * torch.tensor(RELEVANT)[items]
    clicks = (torch.rand(len(items), generator=draws) < chance).long()
    same = torch.where(place % K == 0, NEW, SAME)
    codes = torch.stack([same, items + FIRST_VALUE, 1 + place % K, clicks + FIRST_VALUE], dim=1)
    return owner, place, Batch(codes, torch.zeros(len(items), 0))


@pytest.fixture(scope="module")
def trained():
    events = (
        SLATE_EVENTS[3],
        EVENTS[3],
        whole("position", K - 1, level="event"),
        ColumnSpec("label", VALUES, "long", values=("0", "1"), counts=(7, 3)),
    )
    spec = CodecSpec((ENTITIES[0], *events), 100, "test", grain="entity", slates=Slates(0, K, True, True, True))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = build("journey", spec, Params(dropout=0.0), {})
    num = 1500
    owner, place, rows = clicked_slates(num)
    length = put(
        Batch(torch.zeros(num, 1, dtype=torch.long), torch.zeros(num, 0)),
        ENTITIES[:1],
        "length",
        torch.full((num,), 2 * K),
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3)
    lanes = 40
    for step in range(STEPS):
        rate = 4e-3 * (1 - step / STEPS) + 1e-4
        optimizer.param_groups[0]["lr"] = rate
        picked = (
            torch.randint(num, (lanes,), generator=rng(step)).unsqueeze(1) * 2 * K + torch.arange(2 * K)
        ).flatten()
        places = place[picked].view(lanes, -1)
        entities = Batch(length.codes_BC[owner[picked]], length.positions_BP[owner[picked]])
        zeros = torch.zeros(lanes, 2 * K, dtype=torch.long)
        window = Windows(
            Batch(rows.codes_BC[picked], rows.positions_BP[picked]), entities, entities,
            places, 2 * K - 1 - places, zeros.unsqueeze(2)[:, :, :0], zeros, True,
        )  # fmt: skip
        optimizer.zero_grad()
        net.training_loss(window, rng(step)).total.backward()
        optimizer.step()
    return net.eval(), events, rows


def test_clicks_follow_the_examination_curve(trained):
    net, events, real = trained
    made = net.sample(300, rng())
    position = BinNumbers(events, "position")

    def curve(batch):
        clicks, places = column(batch, events, "label") == FIRST_VALUE + 1, position(batch).long()
        return torch.stack([clicks[places == k].float().mean() for k in range(K)])

    wanted = torch.tensor(EXAMINED) * sum(RELEVANT) / len(RELEVANT)
    assert torch.allclose(curve(real), wanted, atol=0.03)
    assert torch.allclose(curve(made.events), wanted, atol=0.08)
    relevant = torch.tensor(RELEVANT)[column(made.events, events, "item_id") - FIRST_VALUE]
    clicks, top = column(made.events, events, "label") == FIRST_VALUE + 1, position(made.events) == 0
    assert clicks[top & (relevant > 0.8)].float().mean() > clicks[top & (relevant < 0.4)].float().mean() + 0.25


def test_slates_have_the_logs_size_and_no_item_twice(trained):
    net, events, _ = trained
    made = net.sample(200, rng(1))
    sizes = torch.tensor([len(rows) for rows in slates_of(made, events)]).float()
    assert (sizes == K).float().mean() > 0.85
    items = column(made.events, events, "item_id")
    assert all(len(set(items[rows].tolist())) == len(rows) for rows in slates_of(made, events))

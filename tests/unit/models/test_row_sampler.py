"""Rows are drawn by the network's own probabilities, by every way that saves time."""

import math
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from clickweave.codec.spec import BINS, VALUES, ColumnSpec
from clickweave.models import folded, heads, item_codes, packed
from clickweave.models.columns import ColumnNet, freeze
from clickweave.models.folded import Folded
from clickweave.models.packed import CHUNK_ROWS, Packed
from clickweave.models.row_sampler import FOLD_ROWS
from clickweave.models.sizes import Size

MANY = 150  # codes that are drawn by two levels
BLOCK = 2 * CHUNK_ROWS + 100
COLUMNS = (
    ColumnSpec("shop", VALUES, "string", values=("a", "b", "c"), counts=(5, 3, 0), num_null=1),
    ColumnSpec("item_id", VALUES, "long", values=tuple(map(str, range(MANY))), counts=(3,) * (MANY - 1) + (0,)),
    ColumnSpec("label", VALUES, "long", values=("0", "1"), counts=(7, 3)),
)
PRICE = ColumnSpec("price", BINS, "double", lows=(0.0, 1.0, 5.0), highs=(0.0, 2.0, 6.0), counts=(4, 4, 3), num_null=2)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def fresh(columns, context_dim=0, sharp=0.5):
    """A network whose columns depend on each other: no weight is at its first value of zero."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = ColumnNet(columns, {}, Size(hidden=24, depth=3, embedding=8), context_dim=context_dim)
        for parameter in net.parameters():
            parameter.data += torch.randn(parameter.shape) * sharp / math.sqrt(parameter.shape[-1])
    return net.train(False)


@torch.no_grad()
def law(net, temperature, top_p, given):
    """Probability of each row of codes, column by column from the network as it is."""
    order = [*given, *[index for index in range(len(net.units)) if index not in given]]
    found = {}
    for codes in product(*(range(len(unit.codes.bias_V)) for unit in net.units)):
        if all(codes[index] == code for index, code in given.items()):
            found[codes] = 1.0
    cells = torch.tensor(list(found))
    chance, summed = torch.ones(len(cells)), net.started(None).expand(len(cells), -1)
    for index in order:
        unit = net.units[index]
        if index not in given:
            scores = unit.query(net.hidden_of(summed, index)) @ unit.codes.weights_VE().T + unit.codes.bias_V
            scores[:, unit.codes.unseen_V] = -math.inf
            mass = torch.softmax(scores / temperature, 1)
            if top_p < 1:
                ranked, places = mass.sort(1, descending=True)
                ranked[ranked.cumsum(1) - ranked >= top_p] = 0
                mass = torch.zeros_like(mass).scatter(1, places, ranked)
                mass /= mass.sum(1, keepdim=True)
            chance = chance * mass.gather(1, cells[:, index, None]).squeeze(1)
        summed = summed + net.inputs[index](unit.embed(cells[:, index], None))
    return {codes: share for codes, share in zip(map(tuple, cells.tolist()), chance.tolist(), strict=True) if share > 0}


def excess(drawn, expected):
    """How far Pearson's statistic of the drawn rows lies above its mean, in its standard deviations."""
    cells = {codes: number for number, codes in enumerate(expected)}
    seen = torch.bincount(torch.tensor([cells[codes] for codes in map(tuple, drawn.tolist())]), minlength=len(cells))
    wanted = torch.tensor(list(expected.values()), dtype=torch.float64) * len(drawn)
    often = wanted >= 5
    seen = torch.cat([seen[often], seen[~often].sum().view(1)])
    wanted = torch.cat([wanted[often], wanted[~often].sum().clamp_min(1e-9).view(1)])
    freedom = len(seen) - 1
    return float(((seen - wanted).square() / wanted).sum() - freedom) / math.sqrt(2 * max(freedom, 1))


@pytest.mark.parametrize("way", ["few rows", "folded", "frozen"])
@pytest.mark.parametrize(
    ("temperature", "top_p", "given"),
    [(1.0, 1.0, {}), (0.6, 1.0, {}), (1.0, 0.7, {}), (1.0, 1.0, {2: 3}), (1.5, 0.9, {0: 2})],
)
def test_rows_come_as_often_as_the_network_says(way, temperature, top_p, given):
    net = fresh(COLUMNS)
    expected = law(net, temperature, top_p, given)
    if way == "frozen":
        freeze(net)
    rows = FOLD_ROWS - 100 if way == "few rows" else BLOCK
    known = {index: torch.full((rows,), code) for index, code in given.items()}
    source = rng(3)
    blocks = [
        net.sample(rows, source, given=known, temperature=temperature, top_p=top_p).codes_BC
        for _ in range(60_000 // rows)
    ]
    assert sum(expected.values()) == pytest.approx(1.0, abs=1e-5)
    assert excess(torch.cat(blocks), expected) < 4.5  # a share that is off by a tenth in one column gives more than 8


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("context_dim", [0, 5])
def test_a_folded_network_has_the_states_of_the_network(kept, context_dim, toys):
    net = fresh((*COLUMNS, PRICE, *COLUMNS), context_dim)
    rows = 50
    with torch.no_grad():
        ready = Folded(net, keep_tables=kept)
        context = torch.randn(rows, context_dim, generator=rng()) if context_dim else None
        plain, state = (way.started(context).expand(rows, -1).clone() for way in (net, ready))
        for index, unit in enumerate(net.units):
            assert torch.allclose(ready.hidden_of(state, index), net.hidden_of(plain, index), atol=2e-5)
            codes = torch.randint(len(unit.codes.bias_V), (rows,), generator=rng(index))
            positions = None if unit.places is None else torch.rand(rows, generator=rng(index))
            plain, state = (way.read(before, index, codes, positions) for way, before in ((net, plain), (ready, state)))


@pytest.mark.parametrize("packs", [packed.PACKS, False])
def test_a_packed_layer_makes_what_the_layer_makes(packs, monkeypatch):
    monkeypatch.setattr(packed, "PACKS", packs)
    layer = nn.Linear(70, 90)
    with torch.no_grad():
        fixed, rows, to = Packed(layer.weight, layer.bias), torch.randn(33, 70), torch.randn(33, 90)
        assert torch.allclose(fixed(rows), layer(rows), atol=1e-5)
        assert torch.allclose(fixed.silu(rows), F.silu(layer(rows)), atol=1e-5)
        assert torch.allclose(fixed.added(rows, to), to + layer(rows), atol=1e-5)


def test_places_inside_bins_follow_the_network_whether_frozen_or_not():
    net = fresh((*COLUMNS[::2], PRICE))
    given = {0: torch.full((BLOCK,), 2), 2: torch.full((BLOCK,), 2)}
    plain = torch.cat(
        [
            net.sample(300, rng(seed), given={i: codes[:300] for i, codes in given.items()}).positions_BP
            for seed in range(60)
        ]
    )
    freeze(net)
    frozen = torch.cat([net.sample(BLOCK, rng(seed), given=given).positions_BP for seed in range(9)])
    counts = [torch.histc(positions, 32, 0, 1) / len(positions) for positions in (plain, frozen)]
    assert counts[0].max() > 1.5 / 32, "not uniform"
    assert 0.5 * (counts[0] - counts[1]).abs().sum() < 0.035


@pytest.mark.parametrize("frozen", [False, True])
def test_rows_do_not_depend_on_how_many_are_computed_at_once(frozen, toys, monkeypatch):
    codec, _, tables = toys.law(4000, wide=True)
    net = toys.fresh("autoregressive", codec, tables).train(False).net
    if frozen:
        freeze(net)
    whole = net.sample(BLOCK, rng(1))
    for module, name in ((folded, "CHUNK_ROWS"), (heads, "CHUNK"), (item_codes, "PAGES")):
        monkeypatch.setattr(module, name, 704)
    parts = net.sample(BLOCK, rng(1))
    assert torch.equal(whole.codes_BC, parts.codes_BC) and torch.equal(whole.positions_BP, parts.positions_BP)


def test_given_codes_stay_in_their_rows_over_chunks():
    net = fresh((*COLUMNS, PRICE))
    wanted = torch.arange(BLOCK) % 2 + 2
    drawn = net.sample(BLOCK, rng(), given={2: wanted, 3: wanted % 3 + 1})
    assert torch.equal(drawn.codes_BC[:, 2], wanted) and torch.equal(drawn.codes_BC[:, 3], wanted % 3 + 1)


def test_drawn_rows_can_be_trained_on():
    net = fresh(COLUMNS, context_dim=5)
    batch = net.sample(BLOCK, rng(), context_BX=torch.randn(BLOCK, 5, generator=rng(1)))
    net.nll(batch, range(3), rng(), torch.randn(BLOCK, 5)).sum().backward()
    assert all(parameter.grad.any() for parameter in net.trunk.parameters())


@pytest.mark.parametrize("name", ["autoregressive", "gan", "vae"])
def test_a_frozen_generator_draws_the_same_rows_again_and_only_codes_with_rows(name, toys):
    codec, _, tables = toys.law(4000, wide=True)
    generator = toys.fresh(name, codec, tables).train(False)
    freeze(generator)
    for rows in (0, 1, 100, BLOCK):
        first, again = (generator.sample(rows, toys.rng(2)) for _ in range(2))
        assert torch.equal(first.codes_BC, again.codes_BC) and torch.equal(first.positions_BP, again.positions_BP)
        assert first.codes_BC.shape == (rows, 4) and (first.codes_BC >= torch.tensor([2, 2, 1, 2])).all()

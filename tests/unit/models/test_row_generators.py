"""What every row generator does, whatever it is made of."""

import numpy as np
import pytest
import torch

from clickweave.codec.spec import BINS, VALUES, CodecSpec, ColumnSpec
from clickweave.models.protocol import Batch

SHARES = np.array([0.5, 0.3, 0.15, 0.05])  # of the items of the law in conftest.py
CLICKS = np.array([0.9, 0.6, 0.3, 0.1])  # click rate of each
NAMES = ("autoregressive", "gan", "vae")
ROWS = 20_000  # drawn; the standard error of a share is at most 0.0036
ERROR = 0.04  # of a share or a mean, after the short training here

ODD = CodecSpec(
    (
        ColumnSpec("item_id", VALUES, "string", values=("a", "b", "c"), counts=(5, 3, 2), num_rare=1),
        ColumnSpec("price", BINS, "double", lows=(0.0, 1.0, 5.0), highs=(0.0, 2.0, 6.0), counts=(4, 4, 3)),
        ColumnSpec("stock", BINS, "long", lows=(0.0, 1.0), highs=(0.0, 1.0), counts=(9, 1), num_null=1),
        ColumnSpec("age", BINS, "double", lows=(0.0,), highs=(9.0,), counts=(8,), num_null=3),
        ColumnSpec("same", VALUES, "string", values=("x" * 300,), counts=(11,)),
        ColumnSpec("null", VALUES, "string", num_null=11),
        ColumnSpec("once", VALUES, "long", values=("0", "1"), counts=(999_999, 1)),
    ),
    11,
    "odd",
)


def odd_rows(num_rows):
    columns, source = [], torch.Generator().manual_seed(0)
    for column in ODD.columns:
        seen = [0] * (column.num_null > 0) + [1] * (column.num_rare > 0)
        seen += [column.num_codes - len(column.counts) + n for n in range(len(column.counts))]
        columns.append(torch.tensor(seen)[torch.randint(len(seen), (num_rows,), generator=source)])
    return Batch(torch.stack(columns, 1), torch.rand(num_rows, 2, generator=source))


def shares(codes, num_codes):
    return (torch.bincount(codes, minlength=num_codes) / len(codes)).tolist()


@pytest.fixture(scope="module", params=NAMES)
def trained(request, toys):
    codec, rows, _ = toys.law(8000)
    generator = toys.fresh(request.param, codec, any_order=0.5)
    toys.fitted(generator, rows, toys.law(2000, seed=1)[1], epochs=12)
    return generator


@pytest.mark.slow
def test_a_known_law_comes_back_within_the_stated_error(trained, toys):
    drawn = trained.sample(ROWS, toys.rng(7))
    item, label, price = drawn.codes_BC.unbind(1)
    assert shares(item - 2, 4) == pytest.approx(SHARES, abs=ERROR)
    assert (item - 1 == price).float().mean() > 1 - ERROR
    for number, rate in enumerate(CLICKS[:3]):
        assert (label[item == number + 2] - 2).float().mean() == pytest.approx(rate, abs=2 * ERROR)
    assert drawn.positions_BP.mean() == pytest.approx(0.8, abs=ERROR)  # of Beta(4, 1); the uniform has 0.5
    assert drawn.positions_BP.std() == pytest.approx(0.163, abs=ERROR)


@pytest.mark.slow
def test_given_columns_come_back_as_asked_and_the_others_follow_them(trained, toys):
    wanted = torch.arange(4000) % 2 + 2
    drawn = trained.sample(4000, toys.rng(), given={1: wanted})
    assert torch.equal(drawn.codes_BC[:, 1], wanted)
    for click in (0, 1):
        likely = SHARES * (CLICKS if click else 1 - CLICKS)
        items = drawn.codes_BC[wanted == click + 2, 0] - 2
        assert shares(items, 4) == pytest.approx(likely / likely.sum(), abs=2 * ERROR)
    both = trained.sample(400, toys.rng(), given={1: torch.full((400,), 3), 0: torch.full((400,), 4)})
    assert set(both.codes_BC[:, 0].tolist()) == {4} and set(both.codes_BC[:, 1].tolist()) == {3}
    assert (both.codes_BC[:, 2] == 3).float().mean() > 1 - 2 * ERROR


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_a_column_with_digits_keeps_its_tie_to_the_others(name, toys):
    codec, rows, tables = toys.law(4000, wide=True)
    generator = toys.fresh(name, codec, tables)
    toys.fitted(generator, rows, toys.law(800, seed=1, wide=True)[1])
    item, _, _, kind = generator.sample(4000, toys.rng()).codes_BC.unbind(1)
    assert ((kind - 2) % 4 == item - 2).float().mean() > 1 - 2 * ERROR
    assert len(set(kind.tolist())) > 250  # of 300


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_too_many_epochs_on_too_few_rows_show_in_the_history(name, toys):
    codec, rows, _ = toys.law(400)
    noise = torch.randint(2, 302, (400,), generator=toys.rng())
    column = ColumnSpec("noise", VALUES, "long", values=tuple(map(str, range(300))), counts=(1,) * 300)
    codec = CodecSpec((*codec.columns, column), 400, "toy")
    rows = Batch(torch.cat([rows.codes_BC, noise.unsqueeze(1)], 1), rows.positions_BP)
    held = Batch(rows.codes_BC[torch.randperm(400, generator=toys.rng(1))][:100].clone(), rows.positions_BP[:100])
    held.codes_BC[:, 3] = torch.randint(2, 302, (100,), generator=toys.rng(2))
    own = {"likelihood_weight": 1.0} if name == "gan" else {}
    history = toys.fitted(toys.fresh(name, codec, **own), rows, held, epochs=40, learning_rate=0.01)
    figure = "nats" if name == "gan" else "validation_loss"
    measured = [entry[figure] for entry in history]
    assert measured[-1] > min(measured) + 0.1
    trained_on = "train_loss_generator" if name == "gan" else "train_loss"
    assert history[-1][trained_on] < history[0][trained_on] - 0.3


@pytest.mark.parametrize("name", NAMES)
def test_constant_null_and_rare_columns_train_and_give_no_other_codes(name, toys):
    generator = toys.fresh(name, ODD)
    history = toys.fitted(generator, odd_rows(200), odd_rows(50), epochs=1, batch_rows=50)
    assert np.isfinite(history[0]["validation_loss"])
    for temperature in (1.0, 3.0):
        drawn = generator.sample(3000, toys.rng(), temperature)
        codes = drawn.codes_BC
        assert set(codes[:, 0].tolist()) == {1, 2, 3, 4}
        assert set(codes[:, 1].tolist()) == {1, 2, 3}
        assert set(codes[:, 2].tolist()) == {0, 1, 2}
        assert set(codes[:, 3].tolist()) == {0, 1}
        assert set(codes[:, 4].tolist()) == {2} and set(codes[:, 5].tolist()) == {0}
        assert (drawn.positions_BP[codes[:, 1] == 1, 0] == 0).all()  # a spike has no inside


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_a_function_of_number_and_seed(name, toys):
    generator = toys.fresh(name, ODD)
    first = generator.sample(700, toys.rng(5))
    torch.manual_seed(99)
    again, other = generator.sample(700, toys.rng(5)), generator.sample(700, toys.rng(6))
    assert torch.equal(first.codes_BC, again.codes_BC) and torch.equal(first.positions_BP, again.positions_BP)
    assert not torch.equal(first.codes_BC, other.codes_BC)
    assert first.codes_BC.dtype == torch.int64 and first.positions_BP.dtype == torch.float32
    assert first.positions_BP.min() >= 0 and first.positions_BP.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_are_legal(name, toys):
    drawn = toys.fresh(name, ODD).sample(0, toys.rng())
    assert drawn.codes_BC.shape == (0, 7) and drawn.positions_BP.shape == (0, 2)


@pytest.mark.parametrize("name", NAMES)
def test_a_log_of_one_column_without_positions_trains_and_samples(name, toys):
    generator = toys.fresh(name, CodecSpec(ODD.columns[:1], 11, "test"))
    rows = Batch(torch.randint(2, 5, (60, 1), generator=toys.rng()), torch.zeros(60, 0))
    toys.fitted(generator, rows, rows, epochs=1, batch_rows=20)
    assert generator.sample(5, toys.rng()).positions_BP.shape == (5, 0)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_belongs_to_one_network_and_every_step_to_one(name, toys):
    generator = toys.fresh(name, ODD)
    sets = generator.networks()
    listed = [id(parameter) for parameters in sets.values() for parameter in parameters]
    assert sorted(listed) == sorted(id(parameter) for parameter in generator.parameters())
    assert {generator.network_of(step) for step in range(1, 50)} == set(sets)


def test_the_first_column_comes_in_its_shares_almost_exactly(toys):
    codec, _, _ = toys.law(4000)
    generator = toys.fresh("autoregressive", codec)  # as it begins: at the log's own shares
    drawn = generator.sample(1000, toys.rng(3)).codes_BC[:, 0]
    net, unit = generator.net, generator.net.units[0]
    logits_1V = unit.codes.logits(unit.query(net.hidden_of(torch.zeros(1, net.hidden), 0)))
    expected = 1000 * torch.softmax(logits_1V, 1)[0, 2:].detach().numpy()
    assert np.abs(torch.bincount(drawn, minlength=6)[2:].numpy() - expected).max() <= 2  # independent draws: some 16
    assert (drawn[1:] != drawn[:-1]).float().mean() > 0.4, "in random order"


def test_validation_weighs_the_own_order_and_random_ones_by_their_share(toys):
    codec, rows, _ = toys.law(300)
    losses = {}
    for share in (0.0, 0.25, 1.0):
        generator = toys.fresh("autoregressive", codec, any_order=share)
        for parameter in generator.parameters():
            parameter.data.add_(torch.randn(parameter.shape, generator=toys.rng(len(parameter))) * 0.05)
        generator.train(False)
        losses[share] = generator.training_loss(rows, toys.rng(2)).total.item()
    assert losses[0.0] == pytest.approx(generator.net.nll(rows, (0, 1, 2), toys.rng()).sum().item())
    assert abs(losses[1.0] - losses[0.0]) > 1e-3
    assert losses[0.25] == pytest.approx(0.75 * losses[0.0] + 0.25 * losses[1.0])

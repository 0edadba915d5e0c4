"""The VAE as a generator: shapes, masks, seeds."""

import pytest
import torch

from clickweave.codec.spec import BINS, VALUES, CodecSpec, ColumnSpec
from clickweave.models.protocol import Batch
from clickweave.models.registry import build
from clickweave.models.vae.params import Params

CODEC = CodecSpec(
    (
        ColumnSpec("item_id", VALUES, "string", values=("a", "b", "c"), counts=(5, 3, 2), num_rare=1),
        ColumnSpec("price", BINS, "double", lows=(0.0, 1.0, 5.0), highs=(0.0, 2.0, 6.0), counts=(4, 4, 3)),
        ColumnSpec("stock", BINS, "long", lows=(0.0, 1.0), highs=(0.0, 1.0), counts=(9, 1), num_null=1),
        ColumnSpec("age", BINS, "double", lows=(0.0,), highs=(9.0,), counts=(8,), num_null=3),
    ),
    11,
    "test",
)
SMALL = Params(latent_dim=3, hidden=16, depth=2, embedding_dim=4)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def vae():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build("vae", CODEC, SMALL)


def batch_of(num_rows):
    codes = torch.stack([torch.randint(1, c.num_codes, (num_rows,), generator=rng()) for c in CODEC.columns], dim=1)
    return Batch(codes, torch.rand(num_rows, 2, generator=rng(1)))


def test_loss_is_its_parts_and_reaches_every_parameter(vae):
    vae.kl_weight = 0.25
    losses = vae.training_loss(batch_of(32), rng())
    assert losses.total.item() == pytest.approx(
        0.25 * losses.parts["kl"].item() + losses.parts["reconstruction"].item()
    )
    losses.total.backward()
    assert all(parameter.grad is not None for parameter in vae.parameters())


def test_loss_of_a_batch_is_the_mean_over_its_rows(vae):
    batch = batch_of(8)
    twice = Batch(batch.codes_BC.repeat(2, 1), batch.positions_BP.repeat(2, 1))
    vae.posterior.weight.data.zero_()
    vae.posterior.bias.data[vae.latent_dim :] = -50.0  # no variance to speak of, so no noise
    once, both = (vae.training_loss(rows, rng()).total.item() for rows in (batch, twice))
    assert once == pytest.approx(both, abs=1e-2)


def test_positions_of_nulls_and_spikes_do_not_count(vae):
    codes = torch.tensor([[2, 1, 1, 0], [3, 0, 2, 0]])  # price: a spike, a null; age: nulls
    low, high = (vae.training_loss(Batch(codes, torch.full((2, 2), p)), rng()).total.item() for p in (0.1, 0.9))
    assert low == high
    codes[:, 1] = 2
    vae.shape_bias.data[0] = 1.0
    low, high = (vae.training_loss(Batch(codes, torch.full((2, 2), p)), rng()).total.item() for p in (0.1, 0.9))
    assert high < low


def test_samples_have_the_shape_of_the_codec_and_codes_inside_it(vae):
    drawn = vae.sample(1000, rng(), 1.0)
    assert drawn.codes_BC.shape == (1000, 4) and drawn.codes_BC.dtype == torch.int64
    assert drawn.positions_BP.shape == (1000, 2) and drawn.positions_BP.dtype == torch.float32
    assert (drawn.codes_BC >= 0).all()
    assert (drawn.codes_BC < torch.tensor([column.num_codes for column in CODEC.columns])).all()
    assert drawn.positions_BP.min() >= 0.0 and drawn.positions_BP.max() <= 1.0


def test_codes_without_training_rows_are_never_sampled(vae):
    codes = vae.sample(5000, rng(), 3.0).codes_BC
    assert set(codes[:, 0].tolist()) == {1, 2, 3, 4}  # no null
    assert set(codes[:, 1].tolist()) == {1, 2, 3}  # no null
    assert set(codes[:, 2].tolist()) == {0, 1, 2}
    assert set(codes[:, 3].tolist()) == {0, 1}


def test_untrained_samples_follow_the_training_shares(vae):
    vae.heads.weight.data.zero_()
    vae.heads.bias.data.zero_()
    shares = torch.bincount(vae.sample(20_000, rng(), 1.0).codes_BC[:, 0], minlength=5) / 20_000
    assert shares.tolist() == pytest.approx([0, 1 / 11, 5 / 11, 3 / 11, 2 / 11], abs=0.02)


def test_samples_depend_on_the_generator_alone(vae):
    first = vae.sample(700, rng(5), 1.0)
    torch.manual_seed(99)
    again, other = vae.sample(700, rng(5), 1.0), vae.sample(700, rng(6), 1.0)
    assert torch.equal(first.codes_BC, again.codes_BC) and torch.equal(first.positions_BP, again.positions_BP)
    assert not torch.equal(first.codes_BC, other.codes_BC)


def test_low_temperature_draws_the_likeliest_code(vae):
    vae.heads.weight.data.zero_()
    vae.heads.bias.data.zero_()
    assert set(vae.sample(500, rng(), 0.01).codes_BC[:, 0].tolist()) == {2}


def test_no_rows_are_legal(vae):
    drawn = vae.sample(0, rng(), 1.0)
    assert drawn.codes_BC.shape == (0, 4) and drawn.positions_BP.shape == (0, 2)


def test_codec_without_ordered_columns_trains_and_samples():
    codec = CodecSpec(CODEC.columns[:1], 11, "test")
    vae = build("vae", codec, SMALL)
    codes = torch.tensor([[2], [3]])
    vae.training_loss(Batch(codes, torch.zeros(2, 0)), rng()).total.backward()
    assert vae.sample(5, rng(), 1.0).positions_BP.shape == (5, 0)

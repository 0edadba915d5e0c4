"""The GAN's parts: draws with gradients, the penalised critic, training by sampling, and its figures."""

import numpy as np
import pytest
import torch

from clickweave.models.gan.relaxed import relaxed_rows, straight_through
from clickweave.models.gan.tallies import BUCKETS, distances, tally
from clickweave.models.protocol import Batch


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def made(toys):
    codec, rows, tables = toys.law(512, wide=True)
    return toys.fresh("gan", codec, tables, pac=4), rows


def test_straight_through_draws_are_one_hot_follow_the_logits_and_carry_gradients():
    shares = torch.tensor([0.6, 0.3, 0.1, 0.0])
    logits = shares.log().expand(20_000, -1).clone().requires_grad_()
    drawn = straight_through(logits, 0.5, rng())
    assert torch.equal(drawn.detach().sort(dim=1).values.round(decimals=5)[:, :3], torch.zeros(20_000, 3))
    assert drawn.detach().mean(0).tolist() == pytest.approx(shares.tolist(), abs=0.01)
    drawn[:, 0].sum().backward()
    assert torch.isfinite(logits.grad).all() and (logits.grad[:, 0] > 0).any()


def test_relaxed_rows_are_rows_of_the_net_and_reach_its_parameters(made):
    gan = made[0]
    drawn = relaxed_rows(gan.net, 400, torch.randn(400, 32, generator=rng()), {}, 0.5, rng())
    for column, size in zip(drawn, gan.num_codes, strict=True):
        assert int(column.codes_B.min()) >= 0 and int(column.codes_B.max()) < size
    kind, digit = drawn[3].codes_B, drawn[3].picks[0].argmax(1)
    assert torch.equal(1 + (kind - 2) % 4, digit)  # the law's digits
    assert torch.equal(drawn[0].picks[0].argmax(1), drawn[0].codes_B)
    gan.critic.relaxed_rows(gan.net.units, drawn, {}).square().sum().backward()
    reached = {name for name, parameter in gan.net.named_parameters() if parameter.grad is not None}
    assert {"targets_CH", "context.weight", "inputs.0.weight", "units.0.codes.table.weight"} <= reached
    assert {"units.2.places.parts.weight", "units.3.codes.scores.0.weight", "units.3.query.weight"} <= reached


def test_critic_reads_relaxed_rows_and_their_hard_codes_alike(made):
    gan = made[0]
    drawn = relaxed_rows(gan.net, 40, torch.randn(40, 32, generator=rng()), {1: torch.full((40,), 3)}, 0.5, rng())
    codes = torch.stack([torch.full((40,), 3) if c is None else c.codes_B for c in drawn], dim=1)
    places = (drawn[2].parts_BS.argmax(1, keepdim=True) + 0.5) / drawn[2].parts_BS.shape[1]
    hard = gan.critic.rows(gan.net.units, Batch(codes, places), gan.net.place_of)
    soft = gan.critic.relaxed_rows(gan.net.units, drawn, {1: codes[:, 1]})
    assert torch.allclose(hard, soft, atol=1e-5)


def test_packs_hold_rows_side_by_side_and_are_filled_up_by_the_first(made):
    packed = made[0].critic.packed(torch.arange(6.0).unsqueeze(1))
    assert packed.tolist() == [[0, 1, 2, 3], [4, 5, 0, 1]]
    assert made[0].critic.packed(torch.arange(2.0).unsqueeze(1)).tolist() == [[0, 1, 0, 1]]


@pytest.mark.slow
def test_critic_learns_to_score_real_rows_above_drawn_ones_with_slopes_near_one(toys):
    codec, rows, _ = toys.law(512)
    gan = toys.fresh("gan", codec)
    gan.net.units[0].codes.bias_V.data[2:] = torch.tensor([-9.0, -9.0, -9.0, 0.0])  # draws one item alone
    optimizer = torch.optim.Adam(gan.critic.parameters(), lr=2e-3, betas=(0.5, 0.9))
    for step in range(60):
        optimizer.zero_grad()
        loss = gan.network_loss("critic", rows, rng(step))
        loss.total.backward()
        optimizer.step()
    assert loss.parts["gap"] < -0.5
    read_BD = gan.critic.rows(gan.net.units, rows, gan.net.place_of).detach()
    packed_GX = gan.critic.packed(read_BD).requires_grad_()
    slopes_GX = torch.autograd.grad(gan.critic.score_packs(packed_GX, 0).sum(), packed_GX)[0]
    assert 0.5 < slopes_GX.norm(dim=1).mean() < 1.5


def test_the_schedule_is_a_function_of_the_step_alone(toys):
    gan = toys.fresh("gan", toys.law(400)[0], critic_steps=2)
    assert [gan.network_of(step) for step in range(1, 7)] == ["critic", "critic", "generator"] * 2
    assert list(gan.networks()) == ["critic", "generator"]


def test_training_by_sampling_draws_rare_codes_far_more_often_than_the_log_does(toys):
    codec, rows, _ = toys.law(8000)
    gan = toys.fresh("gan", codec)
    picked = gan._by_log_frequency(rows, 0, rng())
    counts = np.bincount(rows.codes_BC[:, 0] - 2)
    expected = np.log1p(counts) / np.log1p(counts).sum()
    shares = (torch.bincount(picked.codes_BC[:, 0] - 2) / picked.num_rows).tolist()
    assert shares == pytest.approx(expected, abs=0.03)
    inside = picked.codes_BC[:, 0] == 2
    real = rows.codes_BC[:, 0] == 2
    clicks = [float((batch.codes_BC[mask, 1] == 3).float().mean()) for batch, mask in ((picked, inside), (rows, real))]
    assert clicks[0] == pytest.approx(clicks[1], abs=0.04)  # rows of one code stay a fair sample


@pytest.mark.slow
def test_what_the_critic_has_learnt_moves_the_draws_without_any_likelihood(toys):
    codec, rows, _ = toys.law(512)
    gan = toys.fresh("gan", codec, likelihood_weight=0.0)
    gan.net.units[2].codes.bias_V.data[1:] = torch.tensor([-3.0, -3.0, -3.0, 0.0])  # a bin of 5 % comes in 87 %
    before = (gan.sample(2000, rng(9)).codes_BC[:, 2] == 4).float().mean()
    for network, steps, rate in (("critic", 40, 2e-3), ("generator", 25, 5e-3)):
        optimizer = torch.optim.Adam(gan.networks()[network], lr=rate, betas=(0.5, 0.9))
        for step in range(steps):
            optimizer.zero_grad()
            gan.network_loss(network, rows, rng(step)).total.backward()
            optimizer.step()
    after = (gan.sample(2000, rng(9)).codes_BC[:, 2] == 4).float().mean()
    assert before > 0.8 and after < 0.5


def test_tallies_of_equal_rows_are_no_distance_apart_and_of_disjoint_ones_are_one():
    codes = torch.randint(3, (500, 3), generator=rng())
    sizes = (8, 8, 8)
    same = torch.stack([tally(codes, sizes), 3 * tally(codes, sizes)])
    assert distances(same, sizes) == pytest.approx((0, 0))
    assert distances(torch.stack([tally(codes, sizes), tally(codes + 4, sizes)]), sizes) == pytest.approx((1, 1))


def test_tallies_see_a_broken_pair_that_columns_do_not_show():
    first = torch.randint(4, (4000,), generator=rng())
    tied, loose = torch.stack([first, first], 1), torch.stack([first, first[torch.randperm(4000, generator=rng(1))]], 1)
    columns, pairs = distances(torch.stack([tally(tied, (4, 4)), tally(loose, (4, 4))]), (4, 4))
    assert columns == 0 and pairs > 0.7


def test_tallies_of_many_codes_fit_their_buckets_and_do_not_depend_on_the_batch():
    codes = torch.randint(2_000_000, (3000, 2), generator=rng())
    sizes = (2_000_000, 2_000_000)
    whole = tally(codes, sizes)
    assert whole.shape == (3 * BUCKETS,)
    assert torch.equal(whole, sum(tally(part, sizes) for part in codes.split(7)))

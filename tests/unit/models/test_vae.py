"""The VAE: its bound, its free bits, and the mixture that it is sampled from."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from clickweave.models.vae.mixture import LEAST_ROWS, Mixture
from clickweave.models.vae.network import kl_to_normal


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def alone(flat, name):
    """The mean over one rank."""


@pytest.fixture
def made(toys):
    codec, rows, _ = toys.law(300)
    return toys.fresh("vae", codec, latent_dim=3, free_bits=0.5, dropout=0.0, any_order=0.0), rows


def test_kl_of_the_prior_to_itself_is_zero_and_of_a_shifted_one_half_its_square():
    zeros = torch.zeros(3, 2)
    assert kl_to_normal(zeros, zeros).tolist() == [[0.0, 0.0]] * 3
    assert kl_to_normal(torch.full((1, 2), 3.0), torch.zeros(1, 2)).sum().item() == pytest.approx(9.0)


def test_kl_closed_form_equals_torch():
    mean, log_var = torch.randn(4, 3, generator=rng()), torch.randn(4, 3, generator=rng(1))
    expected = kl_divergence(Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0))
    assert torch.allclose(kl_to_normal(mean, log_var), expected, atol=1e-5)


def test_validation_measures_the_bound_itself(made):
    vae, rows = made
    vae.train(False)
    losses = vae.training_loss(rows, rng())
    assert losses.total.item() == pytest.approx(losses.parts["kl"].item() + losses.parts["reconstruction"].item())


def test_training_charges_no_less_than_the_free_bits_and_warms_up(made):
    vae, rows = made
    vae.posterior.weight.data.zero_()
    vae.posterior.bias.data.zero_()  # the posterior is the prior: no bits are used
    costs = []
    for done_share in (0.0, 0.125, 0.25, 0.9):
        vae.set_progress(done_share)
        losses = vae.training_loss(rows, rng())
        costs.append((losses.total - losses.parts["reconstruction"]).item())
    assert costs == pytest.approx([0.0, 0.75, 1.5, 1.5], abs=1e-5)  # 3 numbers of 0.5 nats


@pytest.mark.slow
def test_z_is_used_where_bits_are_free_and_forgotten_where_not(toys):
    codec, rows, _ = toys.law(1500)
    used = []
    for free_bits in (0.0, 0.6):
        vae = toys.fresh("vae", codec, latent_dim=4, free_bits=free_bits)
        used.append(toys.fitted(vae, rows, toys.law(400, seed=1)[1], epochs=8)[-1]["kl"])
    assert used[0] < 1.0
    assert used[1] > 2.0  # 4 numbers of 0.6 nats


def test_mixture_is_a_standard_normal_until_fitted():
    drawn = Mixture(5, 2).draw(20_000, rng())
    assert drawn.mean(0).tolist() == pytest.approx([0, 0], abs=0.03)
    assert drawn.std(0).tolist() == pytest.approx([1, 1], abs=0.03)


def test_fitted_mixture_gives_back_shares_and_places_of_clusters():
    centres = torch.tensor([[-3.0, 0.0], [3.0, 1.0]])
    owner = (torch.rand(6000, generator=rng()) < 0.25).long()
    mixture = Mixture(8, 2)
    mixture.fit(centres[owner] + 0.3 * torch.randn(6000, 2, generator=rng(1)), rng(2), alone)
    drawn = mixture.draw(20_000, rng(3))
    right = drawn[:, 0] > 0
    assert right.float().mean() == pytest.approx(0.25, abs=0.02)
    assert drawn[right].mean(0).tolist() == pytest.approx([3.0, 1.0], abs=0.05)
    assert drawn[~right].std(0).tolist() == pytest.approx([0.3, 0.3], abs=0.05)


@pytest.mark.parametrize("rows", [1, 150, 450, 3000])
def test_no_component_stands_for_fewer_rows_than_the_least(rows):
    z = torch.cat([torch.randn(rows - rows // 9, 2, generator=rng()), 40 + torch.randn(rows // 9, 2, generator=rng(1))])
    mixture = Mixture(32, 2)
    mixture.fit(z, rng(2), alone)
    weights = mixture.log_weights_K.exp()
    assert weights.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert int((weights > 0).sum()) == 1 or (weights[weights > 0] * rows).min() >= LEAST_ROWS - 1


def test_ranks_that_see_other_rows_fit_the_same_mixture():
    z = torch.randn(2, 1000, 3, generator=rng()) * torch.tensor([1.0, 2.0, 0.1])
    whole, halves = Mixture(4, 3), Mixture(4, 3)
    whole.fit(z.flatten(0, 1), rng(1), lambda sums, name: sums.div_(2) if name == "vae.mixture" else None)
    told = {}

    class Together(Exception):
        """Raised where the other rank's part is not known yet."""

    def mean_with_other(rank):
        calls = iter(range(10_000))

        def mean(sums, name):
            call = next(calls)
            told[rank, call] = sums.clone()
            if (1 - rank, call) not in told:
                raise Together
            sums.copy_((told[0, call] + told[1, call]) / 2)

        return mean

    done = False
    while not done:  # each try gets one reduction further
        done = True
        for rank in (0, 1):
            try:
                halves.fit(z[rank], rng(1), mean_with_other(rank))
            except Together:
                done = False
    assert torch.allclose(halves.means_KZ, whole.means_KZ, atol=1e-4)
    assert torch.allclose(halves.variances_KZ, whole.variances_KZ, atol=1e-4)


@pytest.mark.slow
def test_given_codes_choose_z_that_fits_them(toys):
    codec, rows, _ = toys.law(2000)
    vae = toys.fresh("vae", codec, latent_dim=2, free_bits=1.0)
    toys.fitted(vae, rows, toys.law(400, seed=1)[1], epochs=8)
    z_of = [vae._z_given(1000, {0: torch.full((1000,), item)}, rng()).mean(0) for item in (2, 4)]
    plain = vae.prior.draw(2000, rng()).std(0)
    assert ((z_of[0] - z_of[1]).abs() / plain).max() > 0.5

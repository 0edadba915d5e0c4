"""Formulas against known values and against torch.distributions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Beta, Normal, kl_divergence
from torch.nn import functional as F

from clickweave.codec.spec import BINS, VALUES, ColumnSpec
from clickweave.errors import ContractError
from clickweave.models.layers import beta_nll, beta_shapes, code_counts, code_has_width, draw_beta, draw_categories
from clickweave.models.vae.network import kl_to_normal
from clickweave.models.wide_softmax import _Blocked


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_kl_of_the_prior_to_itself_is_zero_and_of_a_shifted_one_half_its_square():
    zeros = torch.zeros(3, 2)
    assert kl_to_normal(zeros, zeros).tolist() == [0.0, 0.0, 0.0]
    assert kl_to_normal(torch.full((1, 2), 3.0), torch.zeros(1, 2)).item() == pytest.approx(9.0)


def test_kl_closed_form_equals_torch_and_the_mean_of_log_ratios():
    mean, log_var = torch.randn(4, 3, generator=rng()), torch.randn(4, 3, generator=rng(1))
    posterior, prior = Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0)
    assert torch.allclose(kl_to_normal(mean, log_var), kl_divergence(posterior, prior).sum(1), atol=1e-5)
    z = mean + (0.5 * log_var).exp() * torch.randn(40_000, 4, 3, generator=rng(2))
    numeric = (posterior.log_prob(z) - prior.log_prob(z)).sum(2).mean(0)
    assert torch.allclose(kl_to_normal(mean, log_var), numeric, rtol=0.05)


def test_beta_nll_equals_torch_and_is_zero_for_the_uniform():
    raw, places = torch.randn(5, 2, 2, generator=rng()), torch.rand(5, 2, generator=rng(1)) * 0.9 + 0.05
    shapes = beta_shapes(raw)
    assert torch.allclose(beta_nll(shapes, places), -Beta(shapes[..., 0], shapes[..., 1]).log_prob(places), atol=1e-5)
    edges = torch.tensor([[0.0, 0.3, 1.0]])
    assert torch.allclose(beta_nll(beta_shapes(torch.zeros(1, 3, 2)), edges), torch.zeros(1, 3), atol=1e-6)


def test_beta_shapes_of_any_number_keep_loss_and_gradient_finite():
    raw = torch.tensor([[[-1e9, 1e9]], [[1e9, 1e9]]], requires_grad=True)
    loss = beta_nll(beta_shapes(raw), torch.tensor([[0.0], [1.0]])).sum()
    loss.backward()
    assert math.isfinite(loss.item()) and torch.isfinite(raw.grad).all()


def test_beta_draws_have_the_beta_mean_and_stay_in_range():
    draws = draw_beta(torch.tensor([[[4.0, 1.0], [0.2, 0.2]]]).expand(20_000, -1, -1), rng())
    assert draws.mean(0).tolist() == pytest.approx([0.8, 0.5], abs=0.02)
    assert draws.min() >= 0.0 and draws.max() <= 1.0


@given(st.integers(0, 99), st.lists(st.booleans(), min_size=1, max_size=9).filter(any))
def test_masked_categories_are_never_drawn(seed, allowed):
    logits = torch.randn(200, len(allowed), generator=rng(seed)) * 5
    logits = logits.masked_fill(~torch.tensor(allowed), -math.inf)
    uniforms = torch.rand(200, generator=rng(seed + 1))
    uniforms[0], uniforms[1] = 0.0, 1.0  # float32 products round up to the total
    assert all(allowed[code] for code in draw_categories(logits, uniforms).tolist())


def test_categories_come_as_often_as_their_logits_say():
    shares = torch.tensor([0.5, 0.3, 0.2])
    drawn = draw_categories(shares.log().expand(30_000, -1), torch.rand(30_000, generator=rng()))
    assert (torch.bincount(drawn) / 30_000).tolist() == pytest.approx(shares.tolist(), abs=0.01)


def test_blocked_cross_entropy_has_the_loss_and_gradients_of_the_plain_one():
    codes = torch.randint(7, (150,), generator=rng())
    shapes = ((150, 3), (7, 3), (7,))
    plain, blocked = ([torch.randn(s, generator=rng(1)).requires_grad_() for s in shapes] for _ in range(2))
    expected = F.cross_entropy(torch.addmm(plain[2], plain[0], plain[1].T), codes) * 2
    loss = _Blocked.apply(*blocked, codes) * 2
    expected.backward()
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for ours, theirs in zip(blocked, plain, strict=True):
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-6)


def test_code_counts_place_null_rare_and_values():
    values = ColumnSpec("a", VALUES, "string", values=("x", "y"), counts=(7, 3), num_null=2, num_rare=1)
    assert code_counts(values).tolist() == [2, 1, 7, 3]
    bins = ColumnSpec("b", BINS, "double", lows=(0.0, 1.0), highs=(0.0, 2.0), counts=(7, 3))
    assert code_counts(bins).tolist() == [0, 7, 3]
    assert code_has_width(bins).tolist() == [False, False, True]


def test_column_without_rows_or_with_other_counts_is_refused():
    with pytest.raises(ContractError, match="'a' has no training rows"):
        code_counts(ColumnSpec("a", VALUES, "string"))
    with pytest.raises(ContractError, match="'a' has 2 codes, 1 counts"):
        code_counts(ColumnSpec("a", VALUES, "string", values=("x", "y"), counts=(7,)))

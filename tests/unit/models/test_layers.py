"""Formulas against known values and against torch.distributions."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from clickweave.codec.spec import BINS, VALUES, ColumnSpec
from clickweave.errors import ContractError
from clickweave.models.layers import ONE_SUM, code_counts, code_has_width, column_order, draw_categories
from clickweave.models.wide_softmax import _Blocked


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@given(st.integers(0, 99), st.lists(st.booleans(), min_size=1, max_size=9).filter(any))
def test_masked_categories_are_never_drawn(seed, allowed):
    logits = torch.randn(200, len(allowed), generator=rng(seed)) * 5
    logits = logits.masked_fill(~torch.tensor(allowed), -math.inf)
    uniforms = torch.rand(200, generator=rng(seed + 1))
    uniforms[0], uniforms[1] = 0.0, 1.0  # float32 products round up to the total
    assert all(allowed[code] for code in draw_categories(logits, uniforms).tolist())


@given(st.integers(0, 99), st.integers(1, 3 * ONE_SUM), st.booleans())
def test_the_drawn_category_is_where_the_cumulative_mass_goes_beyond_the_uniform(seed, num_categories, one_row):
    logits = torch.randn(1 if one_row else 50, num_categories, generator=rng(seed)) * 3
    logits[:, torch.rand(num_categories, generator=rng(seed + 1)) < 0.3] = -math.inf
    logits[:, seed % num_categories] = 0.0
    uniforms = torch.rand(50, generator=rng(seed + 2))
    uniforms[0], uniforms[1] = 0.0, 1.0
    drawn = draw_categories(logits, uniforms)
    mass = torch.softmax(logits.double(), 1).expand(50, -1)
    beyond = mass.cumsum(1).gather(1, drawn.unsqueeze(1)).squeeze(1)
    own = mass.gather(1, drawn.unsqueeze(1)).squeeze(1)
    assert (own > 0).all()
    assert (beyond > uniforms - 1e-5).all() and (beyond - own < uniforms + 1e-5).all()


def test_categories_come_as_often_as_their_logits_say():
    shares = torch.tensor([0.5, 0.3, 0.2])
    drawn = draw_categories(shares.log().expand(30_000, -1), torch.rand(30_000, generator=rng()))
    assert (torch.bincount(drawn) / 30_000).tolist() == pytest.approx(shares.tolist(), abs=0.01)


def test_columns_come_in_the_codecs_order_and_in_the_wanted_share_of_calls_in_another():
    source = rng()
    orders = [list(column_order(6, 0.25, source)) for _ in range(2000)]
    assert sum(order != list(range(6)) for order in orders) / 2000 == pytest.approx(0.25, abs=0.03)
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert list(column_order(3, 0.0, source)) == [0, 1, 2]


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

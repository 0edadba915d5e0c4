"""Very many values by digits: a proper distribution over real values, at the log's own frequencies to begin with."""

import numpy as np
import pytest
import torch

from clickweave.codec.spec import FIRST_VALUE, VALUES, ColumnSpec
from clickweave.errors import ContractError
from clickweave.models.item_codes import PAGE, ItemCodes

NUM_VALUES, DIM = 700, 8


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def column(num_digits, num_cold=0):
    counts = (*np.maximum(400 // np.arange(1, NUM_VALUES - num_cold + 1), 1).tolist(), *[0] * num_cold)
    values = tuple(f"i{number}" for number in range(NUM_VALUES))
    return ColumnSpec("item_id", VALUES, "string", values=values, counts=counts, num_null=7, num_digits=num_digits)


def tables(num_digits, first_digits=5):
    """One leaf of more than a page among small ones, by the way digits are drawn."""
    draws = np.random.default_rng(3)
    digits = np.zeros((NUM_VALUES + FIRST_VALUE, num_digits), np.uint8)
    digits[FIRST_VALUE:, 0] = 1 + np.minimum(draws.geometric(0.4, NUM_VALUES), first_digits)
    if num_digits > 1:
        digits[FIRST_VALUE:, 1] = draws.integers(0, 3, NUM_VALUES)
    vectors = draws.normal(size=(NUM_VALUES + FIRST_VALUE, 4)).astype(np.float16)
    vectors[:FIRST_VALUE] = 0
    return {"item_id.digits": digits, "item_id.vectors": vectors}


def fresh(num_digits=2, num_cold=0, trained=False):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        codes = ItemCodes(column(num_digits, num_cold), tables(num_digits), DIM)
        if trained:  # as training leaves them: nothing at its first value
            for parameter in codes.parameters():
                parameter.data.normal_(std=0.5)
    return codes


@pytest.mark.parametrize("num_digits", [1, 2])
@pytest.mark.parametrize("trained", [False, True])
def test_probabilities_of_all_values_sum_to_one(num_digits, trained):
    codes = fresh(num_digits, trained=trained)
    every = torch.arange(NUM_VALUES + FIRST_VALUE)
    with torch.no_grad():
        nats = codes.nll_of_rows(torch.randn(1, DIM, generator=rng()).expand(len(every), -1), every)
    possible = nats.isfinite()
    assert (-nats[possible]).exp().sum().item() == pytest.approx(1.0, abs=2e-3)  # shares are kept in float16
    assert not possible[1] or nats[1] > 20, "no row of the log is rare"


def test_values_begin_at_their_share_of_the_rows():
    codes, counts = fresh(), torch.tensor([7.0, 0.0, *column(2).counts])
    codes.to_vector.weight.data.zero_()
    every = torch.tensor([0, *range(FIRST_VALUE, NUM_VALUES + FIRST_VALUE)])
    with torch.no_grad():
        share = (-codes.nll_of_rows(torch.randn(len(every), DIM, generator=rng()), every)).exp()
    assert torch.allclose(share, counts[every] / counts.sum(), rtol=0.02, atol=1e-6)


def test_draws_follow_the_likelihood():
    codes = fresh(trained=True)
    query = torch.randn(1, DIM, generator=rng())
    with torch.no_grad():
        drawn = codes.draw(query, 40_000, rng(5), 1.0, 1.0)
        every = torch.arange(NUM_VALUES + FIRST_VALUE)
        share = (-codes.nll_of_rows(query.expand(len(every), -1), every)).exp().nan_to_num(0.0)
    seen = torch.bincount(drawn, minlength=len(every)) / len(drawn)
    assert 0.5 * (seen - share).abs().sum().item() < 0.06  # total variation; 40,000 exact draws differ by about 0.04


def test_same_seed_draws_the_same_and_never_what_the_log_has_not():
    codes = fresh(trained=True)
    query = torch.randn(3000, DIM, generator=rng())
    with torch.no_grad():
        drawn, again = (codes.draw(query, 3000, rng(2), 1.0, 1.0) for _ in range(2))
    assert torch.equal(drawn, again)
    assert (drawn != 1).all(), "no row of the log is rare"


def test_cold_values_are_drawn_now_and_then_but_less_than_any_other():
    codes = fresh(num_cold=100)
    with torch.no_grad():
        drawn = codes.draw(torch.zeros(1, DIM), 60_000, rng(), 1.0, 1.0)
    cold = (drawn >= FIRST_VALUE + NUM_VALUES - 100).float().mean().item()
    total = sum(column(2, 100).counts) + 7 + 100 * 0.25
    assert cold == pytest.approx(100 * 0.25 / total, rel=0.3)


def test_gradients_reach_every_parameter():
    codes = fresh(trained=True)
    own = torch.arange(FIRST_VALUE, FIRST_VALUE + 64)
    loss = codes.nll(torch.randn(64, DIM, generator=rng()), own) + codes.embed(own).square().sum()
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in codes.parameters())


def test_a_leaf_of_many_values_costs_one_page():
    codes = fresh(num_digits=1)
    scores, members = codes._page_scores(torch.zeros(5, DIM), torch.zeros(5, dtype=torch.long))
    assert scores.shape == members.shape == (5, PAGE)
    assert np.bincount(tables(1)["item_id.digits"][:, 0]).max() > PAGE


def test_tables_of_another_codec_are_refused():
    short = {name: table[:-1] for name, table in tables(2).items()}
    for wrong in ({}, short):
        with pytest.raises(ContractError, match=r"item_id\.digits"):
            ItemCodes(column(2), wrong, DIM)

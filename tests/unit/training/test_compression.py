"""Compressed weights: what they lose, what they weigh, and that they come back whole."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from clickweave.training.compression import LEVELS, compressed, expanded


def weights(seed=0, rows=40, columns=30):
    rng = torch.Generator().manual_seed(seed)
    return {
        "net.matrix": torch.randn(rows, columns, generator=rng),
        "net.bias": torch.randn(rows, generator=rng),
        "count": torch.arange(5),
    }


def test_without_compression_every_bit_comes_back():
    whole = weights()
    again = expanded(compressed(whole, quantised=False, prune_share=0.0))
    assert whole.keys() == again.keys() and all(torch.equal(whole[name], again[name]) for name in whole)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.9]), st.integers(1, 40), st.integers(1, 30))
def test_rounding_moves_no_number_by_more_than_half_a_level(seed, prune_share, rows, columns):
    whole = weights(seed, rows, columns)
    again = expanded(compressed(whole, quantised=True, prune_share=prune_share))
    matrix, back = whole["net.matrix"], again["net.matrix"]
    limit = matrix.abs().amax(dim=1, keepdim=True) / LEVELS / 2 * 1.001
    assert ((matrix - back).abs()[back != 0] <= limit.expand_as(matrix)[back != 0]).all()
    assert torch.equal(again["net.bias"], whole["net.bias"]) and torch.equal(again["count"], whole["count"])


@pytest.mark.parametrize("share", [0.25, 0.5, 0.9])
def test_pruning_keeps_the_largest_numbers_alone(share):
    whole = weights()["net.matrix"]
    back = expanded(compressed({"m": whole}, quantised=False, prune_share=share))["m"]
    assert (back == 0).float().mean().item() == pytest.approx(share, abs=0.01)
    assert torch.equal(back[back != 0], whole[back != 0])
    assert whole[back == 0].abs().max() <= whole[back != 0].abs().min()


def test_eight_bits_weigh_a_quarter_and_pruned_ones_less():
    whole = {"m": torch.randn(400, 300, generator=torch.Generator().manual_seed(0))}
    plain, rounded, pruned = (
        len(save(compressed(whole, quantised=quantised, prune_share=share)))
        for quantised, share in ((False, 0.0), (True, 0.0), (True, 0.5))
    )
    assert rounded < 0.27 * plain
    assert pruned < 0.7 * rounded  # half the numbers, and a bit for each place

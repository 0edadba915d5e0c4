"""Compressed weights: what they lose, what they weigh, and that they come back whole."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from clickweave.config.stages import SampleConfig
from clickweave.sampling.smaller import for_sampling, validation_loss
from clickweave.training.bundle import WEIGHTS, load_bundle_files, open_bundle
from clickweave.training.comms import NullComm
from clickweave.training.compression import LEVELS, compressed, expanded
from clickweave.training.job import run_rank


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


def test_a_smaller_bundle_tells_what_it_lost_and_still_draws(toy_job, tmp_path):
    run_rank(toy_job(), NullComm())
    content, shards = load_bundle_files(str(tmp_path / "out/bundle")), str(tmp_path / "shards")
    assert for_sampling(content, SampleConfig(), shards) == (content, {})
    losses = [validation_loss(content, shards)]
    for config in (SampleConfig(precision="int8"), SampleConfig(precision="int8", prune_share=0.9)):
        sent, cost = for_sampling(content, config, shards)
        assert len(sent[WEIGHTS]) == cost["weights_bytes_sent"] < 0.35 * cost["weights_bytes"]
        assert cost["validation_loss"] == losses[0]
        losses.append(cost["validation_loss_sent"])
        drawn = open_bundle(sent).generator.sample(50, torch.Generator().manual_seed(0))
        assert drawn.codes_BC.shape == (50, 3)
    assert losses[1] == pytest.approx(losses[0], abs=0.02)
    assert losses[2] > losses[0] + 0.05, "nine of ten weights are gone, and the loss does not show it"

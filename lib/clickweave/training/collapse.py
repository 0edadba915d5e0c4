"""A generator that always says the same is a failed training, whatever its loss."""

from collections.abc import Mapping

import numpy as np
import torch

from clickweave.codec.spec import NULL_CODE, CodecSpec
from clickweave.errors import TrainingError
from clickweave.models.layers import code_counts
from clickweave.training.seeds import seed_of

NUM_ROWS = 4096  # drawn for the check
LEAST_SHARE = 0.2  # of the variety of as many real codes; a short training may well lose half of a rare column
LEAST_VARIETY = 1.5  # columns below, such as constants, are left alone
LEAST_KNOWN = 0.25  # of training rows hold a value, else a column is left alone: late pieces of texts come last in a
# training, and a generator that always says the same shows it in fuller columns


def check_variety(codec: CodecSpec, drawn: Mapping[str, torch.Tensor], seed: int) -> None:
    """Compares the variety of drawn codes, by column, with that of as many codes from the training counts.

    Variety is perplexity, the exponential of the entropy in nats: N equally frequent codes have N. What counts is
    how far it is above 1, the variety of a constant.

    Raises:
        TrainingError: a column lost most of its variety.
    """
    for column in codec.columns:
        codes = drawn[column.name].numpy()
        counts_V = code_counts(column).numpy()
        if counts_V[NULL_CODE] > (1 - LEAST_KNOWN) * counts_V.sum():
            continue
        rng = np.random.default_rng(seed_of(seed, "variety", column.name))
        real = rng.choice(len(counts_V), size=len(codes), p=counts_V / counts_V.sum())
        ours, theirs = perplexity(codes), perplexity(real)
        if theirs >= LEAST_VARIETY and ours - 1 < LEAST_SHARE * (theirs - 1):
            raise TrainingError(
                f"train: mode collapse: column {column.name!r} shows {ours:.1f} of {theirs:.1f} equally frequent "
                "codes; train longer, lower train.learning_rate or take another train.generator"
            )


def perplexity(codes: np.ndarray) -> float:
    """exp(entropy) of the codes' shares; 1 for none."""
    _, counts = np.unique(codes, return_counts=True)
    shares = counts / max(counts.sum(), 1)
    return float(np.exp(-(shares * np.log(shares)).sum()))

"""The autoregressive row generator: a `ColumnNet` alone, trained by likelihood.

Legend: B rows, C columns of the codec.
"""

from collections.abc import Mapping

import numpy as np
import torch

from clickweave.codec.spec import CodecSpec
from clickweave.models.autoregressive.params import Params
from clickweave.models.columns import ColumnNet
from clickweave.models.protocol import Batch, Generator, Losses
from clickweave.models.sizes import SIZES


class Autoregressive(Generator):
    """p(row) = product over columns; in the codec's order, and on a share of steps in a random one."""

    def __init__(self, codec: CodecSpec, params: Params, tables: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        size = SIZES[params.size]
        self.any_order = params.any_order
        self.net = ColumnNet(codec.columns, tables, size, dropout=params.dropout)

    def training_loss(self, batch: Batch, rng: torch.Generator) -> Losses:
        """-log p(row), mean over rows in nats."""
        return Losses(self.net.row_nll(batch, self.any_order, rng), {})

    @torch.no_grad()
    def sample(
        self,
        n: int,
        rng: torch.Generator,
        temperature: float = 1.0,
        top_p: float = 1.0,
        given: Mapping[int, torch.Tensor] | None = None,
    ) -> Batch:
        return self.net.sample(n, rng, given=given, temperature=temperature, top_p=top_p)


def build(codec: CodecSpec, params: Params, tables: Mapping[str, np.ndarray]) -> Autoregressive:
    """A fresh network; weights from torch's global generator."""
    return Autoregressive(codec, params, tables)

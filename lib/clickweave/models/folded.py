"""A `ColumnNet` made ready to draw many rows: the same numbers by fewer operations.

Every block of the trunk reads the state through a layer norm, which does not see the state's mean: all that is added to
the state is centred once, and no mean is taken again. What a layer norm multiplies and adds goes into the linear layer
after it, and the linear layer of the first block goes into all that is added: a state carries what that block reads
beside itself, so that a pass is three products of matrices per two blocks instead of four.

Legend: B rows, C columns, H hidden units, S = 2 H: a state and what the first block makes of it; E numbers per code.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from clickweave.models.columns import ColumnNet

CHUNK_ROWS = 512  # rows of a pass: what they need at once fits the cache of a core
FOLD_ROWS = 256  # fewer rows cost less by the network as it is


@dataclass(frozen=True)
class _Block:
    """x + down silu(lead norm(x) + lead_bias) + bias, with the norm's own numbers in `lead`."""

    lead_HH: torch.Tensor
    lead_bias_H: torch.Tensor
    down_HH: torch.Tensor
    bias_H: torch.Tensor


class Folded:
    """The three calls of a `ColumnNet` by which rows are drawn, of the weights that it has now."""

    def __init__(self, net: "ColumnNet") -> None:
        self.hidden = net.hidden
        self.blocks = [
            _Block(
                block.up.weight * block.norm.weight,
                block.up.bias + block.up.weight @ block.norm.bias,
                _centred(block.down.weight.T).contiguous().T,
                _centred(block.down.bias),
            )
            for block in net.trunk
        ]
        self.targets_CS = self._with_lead(net.targets_CH)
        self.inputs = [self._of_linear(layer) for layer in net.inputs]
        self.context = None if net.context is None else self._of_linear(net.context)

    def started(self, context_BX: torch.Tensor | None) -> torch.Tensor:
        """The state before any column: [B, S], or [1, S] without a context."""
        if self.context is None or context_BX is None:
            return torch.zeros(1, 2 * self.hidden)
        weight_SX, bias_S = self.context
        return F.linear(context_BX, weight_SX, bias_S)

    def read(self, state_BS: torch.Tensor, index: int, embedded_BE: torch.Tensor) -> torch.Tensor:
        """The state with column `index` visible [B, S], in place."""
        weight_SE, bias_S = self.inputs[index]
        return state_BS.addmm_(embedded_BE, weight_SE.T).add_(bias_S)

    def hidden_of(self, state_BS: torch.Tensor, index: int) -> torch.Tensor:
        """What column `index` is predicted from [B, H]."""
        state_BH, lead_BH = (state_BS + self.targets_CS[index]).split(self.hidden, 1)
        for number, block in enumerate(self.blocks):
            if number > 0:
                lead_BH = state_BH @ block.lead_HH.T
            inside_BH = F.silu(torch.addcmul(block.lead_bias_H, lead_BH, self._rate(state_BH)), inplace=True)
            state_BH = torch.addmm(state_BH, inside_BH, block.down_HH.T).add_(block.bias_H)
        return state_BH.mul_(self._rate(state_BH))

    def _rate(self, state_BH: torch.Tensor) -> torch.Tensor:
        """What a layer norm multiplies a centred state by [B, 1]."""
        variance_B1 = torch.linalg.vector_norm(state_BH, dim=1, keepdim=True).square_().div_(self.hidden)
        return variance_B1.add_(NORM_EPS).rsqrt_()

    def _of_linear(self, layer: nn.Linear) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight [S, E] and bias [S] of what a linear layer adds to a state."""
        return self._with_lead(layer.weight.T).T.contiguous(), self._with_lead(layer.bias)

    def _with_lead(self, added: torch.Tensor) -> torch.Tensor:
        """[..., H] -> [..., S]."""
        centred = _centred(added)
        return torch.cat([centred, centred @ self.blocks[0].lead_HH.T], -1)


NORM_EPS = 1e-5  # torch's own of a layer norm


def _centred(added: torch.Tensor) -> torch.Tensor:
    """[..., H] without its mean over H."""
    return added - added.mean(-1, keepdim=True)

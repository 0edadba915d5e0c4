"""A `ColumnNet` made ready to draw many rows: the same numbers by fewer operations.

Every block of the trunk reads the state through a layer norm, which does not see the state's mean: all that is added to
the state is centred once, and no mean is taken again. What a layer norm multiplies and adds goes into the linear layer
after it, and the linear layer of the first block goes into all that is added: a state carries what that block reads
beside itself, so that a pass is three products of matrices per two blocks instead of four.

Legend: B rows, C columns, H hidden units, S = 2 H: a state and what the first block makes of it; E numbers per code.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from clickweave.models.heads import BIN_PARTS, ColumnUnit, DirectCodes, part_of
from clickweave.models.packed import CHUNK_ROWS, Packed

if TYPE_CHECKING:
    from clickweave.models.columns import ColumnNet

NORM_EPS = 1e-5  # torch's own of a layer norm
TABLE_NUMBERS = 1 << 21  # numbers up to which what each code of a column adds to a state is kept: 8 MiB


@dataclass(frozen=True)
class _Table:
    """What a code, and a part of its bin or (the last row) none, adds to a state."""

    codes_VS: torch.Tensor
    parts_PS: torch.Tensor


class Folded:
    """The three calls of a `ColumnNet` by which rows are drawn, of the weights that it has now."""

    def __init__(self, net: "ColumnNet", *, keep_tables: bool = False) -> None:
        """With `keep_tables` the columns with few codes are read without products: worth it for more than one call."""
        self.hidden, self.units = net.hidden, net.units
        leads = [
            (block.up.weight * block.norm.weight, block.up.bias + block.up.weight @ block.norm.bias)
            for block in net.trunk
        ]
        (self.first_HH, self.first_bias_H), *later = leads
        self.leads = [Packed(*lead) for lead in later]
        self.downs = [Packed(_centred(block.down.weight.T).T, _centred(block.down.bias)) for block in net.trunk]
        self.targets_CS = self._with_lead(net.targets_CH)
        self.inputs = [self._of_linear(layer) for layer in net.inputs]
        self.context = None if net.context is None else self._of_linear(net.context)
        self.tables = [self._table(net, index) if keep_tables else None for index in range(len(net.units))]

    def started(self, context_BX: torch.Tensor | None) -> torch.Tensor:
        """The state before any column: [B, S], or [1, S] without a context."""
        if self.context is None or context_BX is None:
            return torch.zeros(1, 2 * self.hidden)
        return torch.as_tensor(self.context(context_BX))

    def read(
        self,
        state_BS: torch.Tensor,
        index: int,
        codes_B: torch.Tensor,
        positions_B: torch.Tensor | None,
        aid: tuple[Any, ...] = (),
    ) -> torch.Tensor:
        """The state with column `index` visible [B, S], in place."""
        unit, table = self.units[index], self.tables[index]
        if table is None:
            return state_BS.add_(self.inputs[index](unit.embed(codes_B, positions_B, *aid)))
        state_BS.add_(table.codes_VS.index_select(0, codes_B))
        if unit.places is None or positions_B is None:
            return state_BS
        part_B = torch.where(unit.places.has_width(codes_B), part_of(positions_B), BIN_PARTS)
        return state_BS.add_(table.parts_PS.index_select(0, part_B))

    def hidden_of(self, state_BS: torch.Tensor, index: int) -> torch.Tensor:
        """What column `index` is predicted from [B, H]; some rows at a time, so that a pass stays in the cache."""
        hidden_BH = torch.empty(len(state_BS), self.hidden)
        for state, hidden in zip(state_BS.split(CHUNK_ROWS), hidden_BH.split(CHUNK_ROWS), strict=True):
            self._pass(state + self.targets_CS[index], hidden)
        return hidden_BH

    def _pass(self, state_BS: torch.Tensor, out_BH: torch.Tensor) -> None:
        """The trunk, into `out_BH`."""
        state_BH, lead_BH = state_BS.split(self.hidden, 1)
        inside_BH = F.silu(torch.addcmul(self.first_bias_H, lead_BH, self._rate(state_BH)), inplace=True)
        state_BH = self.downs[0].added(inside_BH, state_BH)
        for lead, down in zip(self.leads, self.downs[1:], strict=True):
            state_BH = down.added(lead.silu(state_BH * self._rate(state_BH)), state_BH)
        torch.mul(state_BH, self._rate(state_BH), out=out_BH)

    def _rate(self, state_BH: torch.Tensor) -> torch.Tensor:
        """What a layer norm multiplies a centred state by [B, 1]."""
        variance_B1 = torch.linalg.vector_norm(state_BH, dim=1, keepdim=True).square_().div_(self.hidden)
        return variance_B1.add_(NORM_EPS).rsqrt_()

    def _of_linear(self, layer: nn.Linear) -> Packed:
        """What a linear layer adds to a state."""
        return Packed(self._with_lead(layer.weight.T).T, self._with_lead(layer.bias))

    def _table(self, net: "ColumnNet", index: int) -> _Table | None:
        unit, layer = net.units[index], net.inputs[index]
        if not isinstance(unit.codes, DirectCodes) or type(unit) is not ColumnUnit:
            return None
        numbers_VE = unit.codes.weights_VE()
        if len(numbers_VE) * 2 * self.hidden > TABLE_NUMBERS:
            return None
        parts_PE = torch.zeros(0, numbers_VE.shape[1]) if unit.places is None else unit.places.table.weight
        none_1S = torch.zeros(1, 2 * self.hidden)
        return _Table(
            self._with_lead(layer(numbers_VE)), torch.cat([self._with_lead(parts_PE @ layer.weight.T), none_1S])
        )

    def _with_lead(self, added: torch.Tensor) -> torch.Tensor:
        """[..., H] -> [..., S]."""
        centred = _centred(added)
        return torch.cat([centred, centred @ self.first_HH.T], -1)


def _centred(added: torch.Tensor) -> torch.Tensor:
    """[..., H] without its mean over H."""
    return added - added.mean(-1, keepdim=True)

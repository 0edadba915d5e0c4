"""Linear layers for rows without gradients.

Legend: B rows, I inputs, O outputs.
"""

import torch
from torch import nn
from torch.nn import functional as F

CHUNK_ROWS = 1024  # rows that go through a network at a time: what they need at once fits the cache of a core
PACKS = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
PACK_FROM = 4096  # weights; a smaller layer is as fast as it is


class Packed(nn.Module):
    """A linear layer with fixed weights, in float32, with what follows it done in the same pass.

    oneDNN multiplies weights that it has packed once in half the time of the BLAS behind `F.linear` (on AMD, where that
    does not use AVX-512). torch has no public call for it: this is the one of its compiler. Without it the plain way.
    """

    def __init__(self, weight_OI: torch.Tensor, bias_O: torch.Tensor) -> None:
        super().__init__()
        weight_OI = weight_OI.detach().contiguous()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight_OI, CHUNK_ROWS) if PACKS else weight_OI
        self.bias_O = bias_O.detach().clone()

    def forward(self, rows_BI: torch.Tensor) -> torch.Tensor:
        if not self.weight.is_mkldnn:
            return F.linear(rows_BI, self.weight, self.bias_O)
        return self._fused(rows_BI, "none")

    def silu(self, rows_BI: torch.Tensor) -> torch.Tensor:
        """SiLU of what the layer makes of the rows [B, O]."""
        if not self.weight.is_mkldnn:
            return F.silu(F.linear(rows_BI, self.weight, self.bias_O), inplace=True)
        return self._fused(rows_BI, "swish")

    def added(self, rows_BI: torch.Tensor, to_BO: torch.Tensor) -> torch.Tensor:
        """What the layer makes of the rows, added to `to_BO` [B, O]."""
        if not self.weight.is_mkldnn:
            return torch.addmm(to_BO, rows_BI, self.weight.T).add_(self.bias_O)
        made: torch.Tensor = torch.ops.mkldnn._linear_pointwise.binary(rows_BI, to_BO, self.weight, self.bias_O, "add")
        return made

    def _fused(self, rows_BI: torch.Tensor, after: str) -> torch.Tensor:
        made: torch.Tensor = torch.ops.mkldnn._linear_pointwise(rows_BI, self.weight, self.bias_O, after, [], "")
        return made


def pack_linears(module: nn.Module) -> None:
    """Puts packed layers in the place of the large linear ones; the module can draw then, but not be trained."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear) and child.bias is not None and child.weight.numel() >= PACK_FROM:
            setattr(module, name, Packed(child.weight, child.bias))
        else:
            pack_linears(child)

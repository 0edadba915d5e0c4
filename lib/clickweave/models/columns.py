"""A row, column by column: each column given any set of others and a context. Generators build on it.

The inputs of visible columns are summed before one shared residual network reads them, so that drawing a column costs
one pass and any subset of columns can be given (orderless training: Uria, Murray & Larochelle 2014, arXiv 1310.1757).

Legend: B rows, C columns of the codec, H hidden units, X numbers of the context.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from clickweave.codec.spec import ColumnSpec
from clickweave.models.folded import Folded
from clickweave.models.heads import ColumnUnit
from clickweave.models.layers import column_order, modules
from clickweave.models.protocol import Batch
from clickweave.models.row_sampler import RowSampler
from clickweave.models.sizes import Size

KEPT_BYTES = 24 << 20  # below 32 MiB, the most that glibc keeps; blocks that come from the system anew cost a sixth

Aids = Mapping[int, tuple[Any, ...]]  # by column index: what its own unit is told beside the state


class ColumnNet(nn.Module):
    """p(row | context) as a product over columns in any order.

    Args:
        columns: of the codec, in the order that `sample` draws them.
        tables: the codec's item codes.
        context_dim: numbers of the context; 0 for none.
        dropout: share of the summed inputs that a training step leaves out.
        units: by column index, units to use instead of the plain ones; `aids` of a call go to them.
    """

    def __init__(
        self,
        columns: Sequence[ColumnSpec],
        tables: Mapping[str, np.ndarray],
        size: Size,
        *,
        context_dim: int = 0,
        dropout: float = 0.0,
        units: Mapping[int, ColumnUnit] | None = None,
    ) -> None:
        super().__init__()
        hidden, dim = size.hidden, size.embedding
        self.hidden, self.dropout = hidden, dropout
        self.place_of = _places(columns)
        special = units or {}
        self.units = modules(
            special[index] if index in special else ColumnUnit(column, tables, hidden, dim)
            for index, column in enumerate(columns)
        )
        self.inputs = modules(nn.Linear(dim, hidden) for _ in columns)
        self.context = nn.Linear(context_dim, hidden) if context_dim else None
        self.targets_CH = nn.Parameter(torch.randn(len(columns), hidden) * 0.5)
        self.frozen: Folded | None = None
        self.trunk = modules(_Residual(hidden) for _ in range(size.depth))

    def positions(self, batch: Batch, index: int) -> torch.Tensor | None:
        """The positions of column `index` [B], or None where it has none."""
        place = self.place_of[index]
        return None if place is None else batch.positions_BP[:, place]

    def embed(self, batch: Batch, index: int, aid: tuple[Any, ...] = ()) -> torch.Tensor:
        """The numbers of column `index` of the batch [B, E]."""
        return torch.as_tensor(self.units[index].embed(batch.codes_BC[:, index], self.positions(batch, index), *aid))

    def hidden_of(self, summed: torch.Tensor, index: int) -> torch.Tensor:
        """The state from which column `index` is predicted, given the sum over visible columns [B, H]."""
        hidden = summed + self.targets_CH[index]
        for block in self.trunk:
            hidden = block(hidden)
        return F.layer_norm(hidden, (self.hidden,))

    def read(
        self,
        summed_BH: torch.Tensor,
        index: int,
        codes_B: torch.Tensor,
        positions_B: torch.Tensor | None,
        aid: tuple[Any, ...] = (),
    ) -> torch.Tensor:
        """The sum with column `index` visible too [B, H]."""
        read_BH = self.inputs[index](self.units[index].embed(codes_B, positions_B, *aid))
        return torch.as_tensor(summed_BH + read_BH)

    def freeze(self) -> None:
        """Told that the weights do not change any more: what draws make of them is kept. The network cannot be trained
        or saved then.
        """
        self.frozen = Folded(self, keep_tables=True)
        for unit in self.units:
            unit.freeze()

    def nll(
        self,
        batch: Batch,
        order: Sequence[int],
        rng: torch.Generator,
        context_BX: torch.Tensor | None = None,
        aids: Aids | None = None,
    ) -> torch.Tensor:
        """-log p of each column given those before it in `order`: means over rows in nats, by column [C]."""
        told = aids or {}
        summed_BH = self.started(context_BX).expand(batch.num_rows, -1)
        sums = []
        for index in order:
            sums.append(summed_BH + self.targets_CH[index])
            summed_BH = summed_BH + self.inputs[index](self.embed(batch, index, told.get(index, ())))
        hidden_CBH = self._dropped(torch.stack(sums), rng)
        for block in self.trunk:
            hidden_CBH = block(hidden_CBH)
        hidden_CBH = F.layer_norm(hidden_CBH, (self.hidden,))
        nats: list[torch.Tensor] = [torch.zeros(())] * len(order)
        for hidden_BH, index in zip(hidden_CBH.unbind(0), order, strict=True):
            values = batch.codes_BC[:, index], self.positions(batch, index)
            nats[index] = self.units[index].nll(hidden_BH, *values, *told.get(index, ()))
        return torch.stack(nats)

    def row_nll(
        self, batch: Batch, any_order: float, rng: torch.Generator, context_BX: torch.Tensor | None = None
    ) -> torch.Tensor:
        """-log p of whole rows, mean in nats.

        Args:
            any_order: share of training batches with columns in random order. Outside training each batch is read in
                the codec's order and in a random one, weighted so: the best weights know rows to given columns too.
        """
        num_columns = len(self.units)
        if self.training:
            return self.nll(batch, column_order(num_columns, any_order, rng), rng, context_BX).sum()
        own = self.nll(batch, range(num_columns), rng, context_BX).sum()
        if any_order == 0:
            return own
        return torch.lerp(own, self.nll(batch, column_order(num_columns, 1.0, rng), rng, context_BX).sum(), any_order)

    @torch.no_grad()
    def sample(
        self,
        rows: int,
        rng: torch.Generator,
        *,
        context_BX: torch.Tensor | None = None,
        given: Mapping[int, torch.Tensor] | None = None,
        aids: Aids | None = None,
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> Batch:
        """New rows; `given` holds codes of columns that are not drawn (their positions are)."""
        return RowSampler(self, rows, rng, given or {}, aids or {}, temperature, top_p)(context_BX)

    def _dropped(self, numbers: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Dropout with noise from `rng` (Srivastava et al. 2014); none outside training."""
        if not self.training or self.dropout == 0:
            return numbers
        kept = torch.rand(numbers.shape, generator=rng) >= self.dropout
        return numbers * kept / (1 - self.dropout)

    def started(self, context_BX: torch.Tensor | None) -> torch.Tensor:
        """The sum before any column: [B, H], or [1, H] without a context."""
        if self.context is None or context_BX is None:
            return torch.zeros(1, self.hidden)
        started: torch.Tensor = self.context(context_BX)
        return started


@torch.no_grad()
def freeze(generator: nn.Module) -> None:
    """Makes all `ColumnNet`s of a generator, and the process, ready to draw many times."""
    torch.empty(KEPT_BYTES, dtype=torch.uint8)  # freed at once: from then on glibc keeps freed blocks up to this size
    for module in list(generator.modules()):
        if isinstance(module, ColumnNet):
            module.freeze()


class _Residual(nn.Module):
    """x + W2 silu(W1 norm(x)); W2 begins at zero."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.up = nn.Linear(hidden, hidden)
        self.down = nn.Linear(hidden, hidden)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        changed: torch.Tensor = inputs + self.down(F.silu(self.up(self.norm(inputs))))
        return changed


def _places(columns: Sequence[ColumnSpec]) -> list[int | None]:
    """For each column its place among those with positions, or None."""
    found: list[int | None] = []
    used = 0
    for column in columns:
        found.append(used if column.has_position else None)
        used += column.has_position
    return found

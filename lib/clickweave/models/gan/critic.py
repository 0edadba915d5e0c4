"""The critic: a score of several rows together, 1-Lipschitz in numbers of unit length per code.

Legend: B rows, C columns, E numbers per code, V codes, S parts of a bin, D = C * E numbers of a row, G packs of rows.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from clickweave.codec.spec import DIGIT_VALUES
from clickweave.models.gan.relaxed import Relaxed
from clickweave.models.heads import BIN_PARTS, ColumnUnit, part_of
from clickweave.models.item_codes import ItemCodes
from clickweave.models.layers import modules
from clickweave.models.protocol import Batch
from clickweave.models.sizes import Size

SLOPE = 0.2  # of leaky ReLUs


class CriticColumn(nn.Module):
    """Numbers of unit length for each code, for each digit and for each part of a bin, of one column.

    Unit length bounds what the penalty, which is on gradients by these numbers, leaves open.
    """

    def __init__(self, unit: ColumnUnit, dim: int) -> None:
        super().__init__()
        wide = isinstance(unit.codes, ItemCodes)
        if isinstance(unit.codes, ItemCodes):
            sizes = [DIGIT_VALUES] * len(unit.codes.tables)
        else:
            sizes = [unit.codes.table.num_embeddings]
        self.tables = nn.ParameterList(nn.Parameter(torch.randn(size, dim)) for size in sizes)
        self.from_key = nn.Linear(unit.codes.key_dim, dim, bias=False) if wide else None
        self.parts = nn.Parameter(torch.randn(BIN_PARTS, dim)) if unit.places is not None else None

    def of_codes(self, unit: ColumnUnit, codes_B: torch.Tensor, positions_B: torch.Tensor | None) -> torch.Tensor:
        """[B, E]"""
        hard = unit.codes.digits(codes_B) if isinstance(unit.codes, ItemCodes) else codes_B.unsqueeze(1)
        told = [F.normalize(table, dim=1)[digit_B] for table, digit_B in zip(self.tables, hard.unbind(1), strict=True)]
        summed_BE = self._with_key(unit, codes_B, told)
        if self.parts is None or positions_B is None or unit.places is None:
            return summed_BE
        part_BE = F.normalize(self.parts, dim=1)[part_of(positions_B)]
        return summed_BE + part_BE * unit.places.width(codes_B).unsqueeze(1)

    def of_relaxed(self, unit: ColumnUnit, drawn: Relaxed) -> torch.Tensor:
        """[B, E], with gradients to the picks."""
        told = [pick @ F.normalize(table, dim=1) for table, pick in zip(self.tables, drawn.picks, strict=True)]
        summed_BE = self._with_key(unit, drawn.codes_B, told)
        if self.parts is None or drawn.parts_BS is None:
            return summed_BE
        return summed_BE + drawn.parts_BS @ F.normalize(self.parts, dim=1)

    def _with_key(self, unit: ColumnUnit, codes_B: torch.Tensor, told: Sequence[torch.Tensor]) -> torch.Tensor:
        summed_BE = torch.stack(list(told)).sum(0)
        return summed_BE if self.from_key is None else summed_BE + self.from_key(unit.codes.keys(codes_B))


class Critic(nn.Module):
    """Scores packs of rows, told which column was given."""

    def __init__(self, units: Sequence[ColumnUnit], size: Size, pac: int) -> None:
        super().__init__()
        self.pac, dim = pac, size.embedding
        self.columns = modules(CriticColumn(unit, dim) for unit in units)
        self.given = nn.Embedding(len(units) + 1, size.hidden)
        layers: list[nn.Module] = [nn.Linear(pac * len(units) * dim, size.hidden)]
        for _ in range(size.depth):
            layers += [nn.LeakyReLU(SLOPE), nn.Linear(size.hidden, size.hidden)]
        self.body = modules(layers)
        self.score = nn.Linear(size.hidden, 1)

    def rows(self, units: Sequence[ColumnUnit], batch: Batch, place_of: Sequence[int | None]) -> torch.Tensor:
        """Numbers of rows [B, D]."""
        told = []
        for index, (unit, column) in enumerate(zip(units, self.columns, strict=True)):
            place = place_of[index]
            positions_B = None if place is None else batch.positions_BP[:, place]
            told.append(column.of_codes(unit, batch.codes_BC[:, index], positions_B))
        return torch.cat(told, dim=1)

    def relaxed_rows(
        self, units: Sequence[ColumnUnit], drawn: Sequence[Relaxed | None], given: Mapping[int, torch.Tensor]
    ) -> torch.Tensor:
        """Numbers of drawn rows [B, D], with gradients to their picks; `given` holds the codes of the rest."""
        told = []
        for index, (unit, column) in enumerate(zip(units, self.columns, strict=True)):
            relaxed = drawn[index]
            if relaxed is None:
                told.append(column.of_codes(unit, given[index], None))
            else:
                told.append(column.of_relaxed(unit, relaxed))
        return torch.cat(told, dim=1)

    def forward(self, rows_BD: torch.Tensor, given: int) -> torch.Tensor:
        """One score per pack [G]."""
        return self.score_packs(self.packed(rows_BD), given)

    def packed(self, rows_BD: torch.Tensor) -> torch.Tensor:
        """Rows side by side [G, pac * D]; where they do not fill the last pack, the first ones fill it up."""
        num_packs = -(-len(rows_BD) // self.pac)
        return rows_BD[torch.arange(num_packs * self.pac) % len(rows_BD)].view(num_packs, -1)

    def score_packs(self, packed_GX: torch.Tensor, given: int) -> torch.Tensor:
        """[G]; `given` is the index of the given column, or the number of columns."""
        hidden_GH = self.body[0](packed_GX) + self.given.weight[given]
        for layer in self.body[1:]:
            hidden_GH = layer(hidden_GH)
        scores_G: torch.Tensor = self.score(F.leaky_relu(hidden_GH, SLOPE)).squeeze(1)
        return scores_G

"""One column of a row as a network sees it: its codes (few or very many) and the place inside a bin.

Legend: B rows, H hidden units, E numbers per code, V codes of one column, S parts of a bin.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from clickweave.codec.spec import BINS, FIRST_BIN, ColumnSpec
from clickweave.models.item_codes import ItemCodes
from clickweave.models.layers import code_counts, code_has_width, draw_categories, tempered
from clickweave.models.packed import Packed, pack_linears
from clickweave.models.wide_softmax import linear_cross_entropy

BIN_PARTS = 32  # equal parts of a bin; inside a part positions are uniform
STRETCHES = 8  # overlapping stretches of the bins of a column
BIN_OWN = 0.3  # how large a bin's own numbers are at first, against those of its stretch
CHUNK = 1 << 19  # scores that are held at once: 2 MiB
Drawn = tuple[torch.Tensor, torch.Tensor | None]


class DirectCodes(nn.Module):
    """A softmax over all codes of a column; the embedding is the output layer too (Press & Wolf 2017).

    Bins also share numbers with the bins near them: few rows say much of a bin, many of a stretch of bins.
    """

    def __init__(self, column: ColumnSpec, dim: int) -> None:
        super().__init__()
        counts_V = code_counts(column)
        self.register_buffer("unseen_V", counts_V == 0, persistent=False)
        self.key_dim = dim
        self.frozen: Packed | None = None
        self.table = nn.Embedding(len(counts_V), dim)
        self.bias_V = nn.Parameter((counts_V.clamp_min(0.5) / counts_V.sum()).log().float())
        nn.init.normal_(self.table.weight, std=1 / math.sqrt(dim))
        self.stretches = nn.Linear(STRETCHES, dim, bias=False) if column.kind == BINS else None
        if self.stretches is not None:
            self.register_buffer("nearness_VN", _nearness(column), persistent=False)
            nn.init.normal_(self.stretches.weight, std=1 / math.sqrt(dim))
            self.table.weight.data.mul_(BIN_OWN)

    def weights_VE(self) -> torch.Tensor:
        """The numbers of all codes [V, E]."""
        if self.stretches is None:
            return self.table.weight
        return torch.as_tensor(self.table.weight + self.stretches(self.get_buffer("nearness_VN")))

    def embed(self, codes_B: torch.Tensor) -> torch.Tensor:
        return F.embedding(codes_B, self.weights_VE())

    def keys(self, codes: torch.Tensor) -> torch.Tensor:
        """Numbers by which candidates are told apart: codes of any shape, `key_dim` numbers for each."""
        return self.embed(codes)

    def nll(self, query_BE: torch.Tensor, codes_B: torch.Tensor) -> torch.Tensor:
        """Mean over rows of -log p(code), in nats."""
        return linear_cross_entropy(query_BE, self.weights_VE(), self.bias_V, codes_B)

    def nll_of_rows(self, query_BE: torch.Tensor, codes_B: torch.Tensor) -> torch.Tensor:
        """-log p(code) of each row [B], in nats."""
        return F.cross_entropy(torch.addmm(self.bias_V, query_BE, self.weights_VE().T), codes_B, reduction="none")

    def logits(self, query_BE: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
        """Scores of all codes [B, V], over the temperature; -inf where a code has no training rows."""
        if self.frozen is not None:
            return tempered(torch.as_tensor(self.frozen(query_BE)), temperature)
        over = 1 / temperature
        return torch.addmm(self._seen_bias_V(), query_BE, self.weights_VE().T, beta=over, alpha=over)

    def freeze(self) -> None:
        """See `ColumnNet.freeze`."""
        self.frozen = Packed(self.weights_VE(), self._seen_bias_V())

    def _seen_bias_V(self) -> torch.Tensor:
        return self.bias_V.masked_fill(self.get_buffer("unseen_V"), -math.inf)

    def draw(
        self, query_BE: torch.Tensor, rows: int, rng: torch.Generator, temperature: float, top_p: float
    ) -> torch.Tensor:
        """`rows` codes; a query of one row stands for all of them, whose codes then come in their shares almost
        exactly: one uniform number in each of `rows` equal parts, in random order (stratified sampling).
        """
        uniforms_B = torch.rand(rows, generator=rng)
        if len(query_BE) == 1:
            uniforms_B = (torch.randperm(rows, generator=rng) + uniforms_B) / rows
            return draw_categories(self.logits(query_BE, temperature), uniforms_B, top_p)
        chunk = max(1, CHUNK // len(self.bias_V))
        chunks = zip(query_BE.split(chunk), uniforms_B.split(chunk), strict=True)
        return torch.cat([draw_categories(self.logits(query, temperature), part, top_p) for query, part in chunks])


def _nearness(column: ColumnSpec) -> torch.Tensor:
    """How near each code of bins lies to each of STRETCHES places on them: bumps that fall to 0 at the next place, in
    sum 1; zeros for null [V, STRETCHES].
    """
    num_bins = column.num_codes - FIRST_BIN
    at_V = torch.linspace(0, STRETCHES - 1, num_bins) if num_bins > 1 else torch.zeros(num_bins)
    near_VN = (1 - (at_V.unsqueeze(1) - torch.arange(STRETCHES)).abs()).clamp_min(0)
    return torch.cat([torch.zeros(FIRST_BIN, STRETCHES), near_VN])


class BinPlaces(nn.Module):
    """Where inside its bin a number lies: a softmax over equal parts, given the row and the code."""

    def __init__(self, column: ColumnSpec, hidden: int, dim: int) -> None:
        super().__init__()
        has_width_V = code_has_width(column)
        self.register_buffer("has_width_V", has_width_V, persistent=False)
        self.from_row = nn.Linear(hidden, dim)
        self.from_code = nn.Embedding(len(has_width_V), dim)
        self.parts = nn.Linear(dim, BIN_PARTS)
        self.table = nn.Embedding(BIN_PARTS, dim)
        for weight in (self.from_code.weight, self.table.weight):
            nn.init.normal_(weight, std=1 / math.sqrt(dim))
        nn.init.zeros_(self.parts.weight)
        nn.init.zeros_(self.parts.bias)

    def logits(self, hidden_BH: torch.Tensor, codes_B: torch.Tensor) -> torch.Tensor:
        scores_BS: torch.Tensor = self.parts(F.silu(self.from_row(hidden_BH) + self.from_code(codes_B)))
        return scores_BS

    def has_width(self, codes_B: torch.Tensor) -> torch.Tensor:
        """Whether the code is a bin with a width; nulls and spikes have none [B]."""
        return self.get_buffer("has_width_V").index_select(0, codes_B)

    def width(self, codes_B: torch.Tensor) -> torch.Tensor:
        """1.0 where the code is a bin with a width, else 0.0 [B]."""
        return self.has_width(codes_B).float()

    def embed(self, codes_B: torch.Tensor, positions_B: torch.Tensor) -> torch.Tensor:
        embedded: torch.Tensor = self.table(part_of(positions_B)) * self.width(codes_B).unsqueeze(1)
        return embedded

    def nll(self, hidden_BH: torch.Tensor, codes_B: torch.Tensor, positions_B: torch.Tensor) -> torch.Tensor:
        """Mean over rows of -log density of the position, in nats; 0 where the code has no width."""
        nats_B = F.cross_entropy(self.logits(hidden_BH, codes_B), part_of(positions_B), reduction="none")
        return ((nats_B - math.log(BIN_PARTS)) * self.width(codes_B)).mean()

    def draw(self, hidden_BH: torch.Tensor, codes_B: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Positions in [0, 1); 0 where the code has no width."""
        uniforms_2B = torch.rand(2, len(codes_B), generator=rng)
        logits_BS = self.logits(hidden_BH, codes_B)
        parts_B = draw_categories(logits_BS, uniforms_2B[0])
        return (parts_B + uniforms_2B[1]) / BIN_PARTS * self.width(codes_B)


class ColumnUnit(nn.Module):
    """All a network needs of one column: its values as inputs, their likelihood, and draws.

    `told` is what a special unit is told beside the state; plain ones are told nothing.
    """

    def __init__(self, column: ColumnSpec, tables: Mapping[str, np.ndarray], hidden: int, dim: int) -> None:
        super().__init__()
        wide = column.num_digits > 0
        self.codes = ItemCodes(column, tables, dim) if wide else DirectCodes(column, dim)
        self.query = nn.Linear(hidden, dim)
        self.places = BinPlaces(column, hidden, dim) if column.has_position else None

    def freeze(self) -> None:
        """See `ColumnNet.freeze`."""
        pack_linears(self)
        if isinstance(self.codes, DirectCodes):
            self.codes.freeze()

    def embed(self, codes_B: torch.Tensor, positions_B: torch.Tensor | None, *told: Any) -> torch.Tensor:
        """What the rest of the row may know of this column [B, E]."""
        embedded_BE = self.codes.embed(codes_B)
        if self.places is None or positions_B is None:
            return embedded_BE
        return embedded_BE + self.places.embed(codes_B, positions_B)

    def nll(
        self, hidden_BH: torch.Tensor, codes_B: torch.Tensor, positions_B: torch.Tensor | None, *told: Any
    ) -> torch.Tensor:
        """Mean over rows of -log p(code, position | hidden, told), in nats."""
        nats = self.codes_nll(hidden_BH, codes_B, *told)
        if self.places is None or positions_B is None:
            return nats
        return nats + self.places.nll(hidden_BH, codes_B, positions_B)

    def codes_nll(self, hidden_BH: torch.Tensor, codes_B: torch.Tensor, *told: Any) -> torch.Tensor:
        """Mean over rows of -log p(code | hidden, told), in nats."""
        return self.codes.nll(self.query(hidden_BH), codes_B)

    def draw(
        self,
        hidden_BH: torch.Tensor,
        rows: int,
        rng: torch.Generator,
        temperature: float = 1.0,
        top_p: float = 1.0,
        *told: Any,
    ) -> Drawn:
        """Codes [rows] and, where the column has them, positions; a hidden state of one row stands for all."""
        codes_B = self.draw_codes(hidden_BH, rows, rng, temperature, top_p, *told)
        return codes_B, None if self.places is None else self.places.draw(hidden_BH, codes_B, rng)

    def draw_codes(
        self, hidden_BH: torch.Tensor, rows: int, rng: torch.Generator, temperature: float, top_p: float, *told: Any
    ) -> torch.Tensor:
        """Codes [rows]."""
        return self.codes.draw(self.query(hidden_BH), rows, rng, temperature, top_p)


def part_of(positions_B: torch.Tensor) -> torch.Tensor:
    """The part of its bin that each position lies in [B]."""
    return (positions_B * BIN_PARTS).long().clamp(0, BIN_PARTS - 1)

"""Which item comes next: one of the history's own, one co-visited with its last ones, or any (a pointer mixture).

p(item) = g1 p_copy + g2 p_near + g3 p_any, with gates g from the state (pointer networks: Vinyals et al. 2015,
arXiv 1506.03134; mixtures with a vocabulary: See et al. 2017, arXiv 1704.04368; repeat consumption: Ren et al. 2019).

Legend: B rows, H hidden units, E numbers per code, M remembered events (the latest first), N candidates, K neighbours.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from clickweave.codec.spec import FIRST_VALUE, ColumnSpec
from clickweave.models.heads import ColumnUnit
from clickweave.models.journey.state import LABEL_BITS, Memory
from clickweave.models.layers import draw_categories

AGES = 8  # powers of two of events since the item was last seen
RECENT = 4  # remembered events whose neighbours are candidates
COPY, NEAR, ANY = 0, 1, 2


class NextItem(ColumnUnit):
    """A `ColumnUnit` of the item column whose likelihood and draws know the history's last items."""

    def __init__(
        self,
        column: ColumnSpec,
        tables: Mapping[str, np.ndarray],
        hidden: int,
        dim: int,
        *,
        num_labels: int,
        memory: int,
        drop: float,
    ) -> None:
        super().__init__(column, tables, hidden, dim)
        neighbours_VK = tables.get(f"{column.name}.neighbours", np.zeros((column.num_codes, 1), np.int32))
        users_VK = tables.get(f"{column.name}.neighbour_users", np.zeros(neighbours_VK.shape, np.float32))
        self.register_buffer("neighbours_VK", torch.from_numpy(neighbours_VK.astype(np.int32)), persistent=False)
        self.register_buffer("log_users_VK", torch.from_numpy(np.log(np.maximum(users_VK, 1))).half(), persistent=False)
        self.drop = drop
        self.gates = nn.Linear(hidden, 3)
        key_dim = self.codes.key_dim
        self.copy_query, self.near_query = nn.Linear(hidden, key_dim), nn.Linear(hidden, key_dim)
        self.age_query, self.label_query = nn.Linear(hidden, memory), nn.Linear(hidden, num_labels)
        self.used_query = nn.Linear(hidden, 1 << LABEL_BITS)
        self.seen, self.used = nn.Embedding(num_labels * AGES + 1, dim), nn.Embedding(1 << LABEL_BITS, dim)
        for table in (self.seen, self.used):
            nn.init.normal_(table.weight, std=dim**-0.5)
        self.age_bias_M = nn.Parameter(-torch.arange(memory).float().log1p())
        self.source_bias_R = nn.Parameter(-torch.arange(RECENT).float())
        self.users_weight = nn.Parameter(torch.tensor(1.0))

    def embed(self, codes_B: torch.Tensor, positions_B: torch.Tensor | None, *told: Any) -> torch.Tensor:
        """The item, what the history did with it, and when last [B, E]."""
        memory: Memory = told[0]
        same_BM = memory.items_BM == codes_B.unsqueeze(1)
        latest_B = same_BM.int().argmax(1)
        age_B = (latest_B + 1).double().log2().long().clamp_max(AGES - 1)
        label_B = memory.labels_BM.gather(1, latest_B.unsqueeze(1)).squeeze(1)
        seen_B = torch.where(same_BM.any(1), 1 + label_B * AGES + age_B, 0)
        used_B = memory.used_BM.gather(1, latest_B.unsqueeze(1)).squeeze(1) * same_BM.any(1)
        return super().embed(codes_B, positions_B) + self.seen(seen_B) + self.used(used_B)

    def codes_nll(self, hidden_BH: torch.Tensor, codes_B: torch.Tensor, *told: Any) -> torch.Tensor:
        """Mean over rows of -log p(item), in nats; with `rng` a share of true items is hidden among the near ones."""
        memory, repeats_B2, labels_B, rng = told
        memory_BM = memory.items_BM
        closed_BM = _closed(memory, labels_B)
        gates_B3 = self._gates(hidden_BH, memory_BM, closed_BM, repeats_B2)
        copy_BM = self._copy_logits(hidden_BH, memory, closed_BM)
        near_BN, candidates_BN = self._near_logits(hidden_BH, memory_BM)
        hit_BN = candidates_BN == codes_B.unsqueeze(1)
        if rng is not None:
            hidden_B = torch.rand(len(codes_B), generator=rng) < self.drop
            near_BN = near_BN.masked_fill(hit_BN & hidden_B.unsqueeze(1), -1e4)
        logs = (
            _log_share(copy_BM, memory_BM == codes_B.unsqueeze(1)),
            _log_share(near_BN, hit_BN),
            -self.codes.nll_of_rows(self.query(hidden_BH), codes_B),
        )
        return -torch.logsumexp(gates_B3 + torch.stack(logs, dim=1), dim=1).mean()

    def draw_codes(
        self, hidden_BH: torch.Tensor, rows: int, rng: torch.Generator, temperature: float, top_p: float, *told: Any
    ) -> torch.Tensor:
        """One item per row [rows]."""
        memory: Memory = told[0]
        memory_BM = memory.items_BM
        hidden_BH = hidden_BH.expand(rows, -1)
        closed_BM = _closed(memory, told[2])
        source_B = draw_categories(
            self._gates(hidden_BH, memory_BM, closed_BM, told[1]), torch.rand(rows, generator=rng)
        )
        uniforms_B = torch.rand(rows, generator=rng)
        codes_B = torch.empty(rows, dtype=torch.long)
        copied, near, anew = ((source_B == source).nonzero().squeeze(1) for source in (COPY, NEAR, ANY))
        if len(copied):
            logits = self._copy_logits(hidden_BH[copied], memory.rows(copied), closed_BM[copied])
            place = draw_categories(logits / temperature, uniforms_B[copied])
            codes_B[copied] = memory_BM[copied].gather(1, place.unsqueeze(1)).squeeze(1)
        if len(near):
            logits, candidates = self._near_logits(hidden_BH[near], memory_BM[near])
            place = draw_categories(logits / temperature, uniforms_B[near])
            codes_B[near] = candidates.gather(1, place.unsqueeze(1)).squeeze(1)
        if len(anew):
            codes_B[anew] = self.codes.draw(self.query(hidden_BH[anew]), len(anew), rng, temperature, top_p)
        return codes_B

    def _gates(
        self, hidden_BH: torch.Tensor, memory_BM: torch.Tensor, closed_BM: torch.Tensor, repeats_B2: torch.Tensor
    ) -> torch.Tensor:
        """Log gates [B, 3]; -1e4 for a source that has nothing to offer. They begin at the log shares of events that
        repeat an item and that do not (Totals.log_shares).
        """
        known_B = ~closed_BM.all(1)
        near_B = (self._candidates(memory_BM) >= FIRST_VALUE).any(1)
        open_B3 = torch.stack([known_B, near_B, torch.ones_like(known_B)], dim=1)
        scores_B3 = self.gates(hidden_BH) + repeats_B2[:, [0, 1, 1]]
        return torch.log_softmax(scores_B3.masked_fill(~open_B3, -1e4), dim=1)

    def _copy_logits(self, hidden_BH: torch.Tensor, memory: Memory, closed_BM: torch.Tensor) -> torch.Tensor:
        """Scores of the remembered events' items [B, M]; -1e4 where closed."""
        keys_BMX = self.codes.keys(memory.items_BM)
        fit_BM = torch.bmm(keys_BMX, self.copy_query(hidden_BH).unsqueeze(2)).squeeze(2)
        by_label_BM = self.label_query(hidden_BH).gather(1, memory.labels_BM)
        by_used_BM = self.used_query(hidden_BH).gather(1, memory.used_BM)
        scores_BM = fit_BM + by_label_BM + by_used_BM + self.age_query(hidden_BH) + self.age_bias_M
        return torch.as_tensor(scores_BM.masked_fill(closed_BM, -1e4))

    def _candidates(self, memory_BM: torch.Tensor) -> torch.Tensor:
        return self.get_buffer("neighbours_VK")[memory_BM[:, :RECENT]].flatten(1).long()

    def _near_logits(self, hidden_BH: torch.Tensor, memory_BM: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores of the neighbours of the latest items and their codes, both [B, N]."""
        recent_BR = memory_BM[:, :RECENT]
        candidates_BN = self._candidates(memory_BM)
        users_BRK = self.get_buffer("log_users_VK")[recent_BR].float() * self.users_weight
        known_BN = (users_BRK + self.source_bias_R[: recent_BR.shape[1], None]).flatten(1)
        fit_BN = torch.bmm(self.codes.keys(candidates_BN), self.near_query(hidden_BH).unsqueeze(2)).squeeze(2)
        return (fit_BN + known_BN).masked_fill(candidates_BN < FIRST_VALUE, -1e4), candidates_BN


def _closed(memory: Memory, labels_B: torch.Tensor | None) -> torch.Tensor:
    """Which remembered events have no item that may be repeated [B, M].

    Args:
        labels_B: where a log has no item twice with one label, the labels that may still come, as bits of
            `Memory.used_BM`: an item that has had all of them is not repeated.
    """
    closed_BM = memory.items_BM < FIRST_VALUE
    if labels_B is None:
        return closed_BM
    return closed_BM | ((labels_B.unsqueeze(1) & ~memory.used_BM) == 0)


def _log_share(logits_BN: torch.Tensor, hit_BN: torch.Tensor) -> torch.Tensor:
    """Log of the share of softmax(logits) that lies on the hits [B]; about -1e4 where there are none."""
    hits_B = torch.logsumexp(logits_BN.masked_fill(~hit_BN, -1e4), dim=1)
    return hits_B - torch.logsumexp(logits_BN, dim=1)

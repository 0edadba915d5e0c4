"""The network of SASRec (Kang and McAuley 2018): self-attention over the items of a history, each predicting the next.

Legend: B histories, L places, T = B * L, H hidden units, V items with the padding, N negatives.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from clickweave.models.protocol import Losses, Trainable

PAD = 0
INITIAL_SPREAD = 0.02


@dataclass(frozen=True)
class Sequences:
    """The last places of some histories, padded in front.

    Attributes:
        items_BL: int64, codes from 1; PAD before the first event.
        targets_BL: int64, the item that follows each; PAD where there is none to learn.
        weights_BL: float32, of the targets' events.
    """

    items_BL: torch.Tensor
    targets_BL: torch.Tensor
    weights_BL: torch.Tensor

    @property
    def num_rows(self) -> int:
        """Histories."""
        return len(self.items_BL)


class SasRec(Trainable):
    """p(next item | items so far), by the product of the state and the items' embeddings."""

    def __init__(
        self, *, num_codes: int, length: int, hidden: int, blocks: int, dropout: float, negatives: int
    ) -> None:
        super().__init__()
        self.dropout, self.negatives = dropout, negatives
        self.items = nn.Embedding(num_codes, hidden)
        self.places = nn.Parameter(torch.randn(length, hidden) * INITIAL_SPREAD)
        nn.init.normal_(self.items.weight, std=INITIAL_SPREAD)
        self.blocks = nn.ModuleList(_Block(hidden) for _ in range(blocks))
        self.last = nn.LayerNorm(hidden)

    def states(self, items_BL: torch.Tensor, rng: torch.Generator | None) -> torch.Tensor:
        """State after each place [B, L, H]; with `rng` numbers are dropped."""
        share = 0.0 if rng is None else self.dropout
        known_BL = items_BL != PAD
        length = items_BL.shape[1]
        state_BLH = self.items(items_BL) * self.items.embedding_dim**0.5 + self.places[-length:]
        state_BLH = dropped(state_BLH, share, rng)
        earlier_LL = torch.ones(length, length, dtype=torch.bool).tril()
        seen_B1LL = (earlier_LL & known_BL[:, None, :] | torch.eye(length, dtype=torch.bool)).unsqueeze(1)
        for block in self.blocks:
            state_BLH = block(state_BLH, seen_B1LL, share, rng)
        return self.last(state_BLH)

    def training_loss(self, batch: Sequences, rng: torch.Generator) -> Losses:
        """Cross-entropy of the next item against negatives that the batch shares, mean by weight, in nats.

        The paper has one negative and a binary loss; with more of them and a softmax the same network learns full
        ranking much better (Klenitskiy and Vasilev 2023, arXiv 2309.07602). Negatives are uniform; one that is the
        target itself counts nothing.
        """
        state_BLH = self.states(batch.items_BL, rng if self.training else None)
        wanted_BL = batch.targets_BL != PAD
        state_TH, target_T, weight_T = state_BLH[wanted_BL], batch.targets_BL[wanted_BL], batch.weights_BL[wanted_BL]
        negative_N = torch.randint(1, self.items.num_embeddings, (self.negatives,), generator=rng)
        right_T = (state_TH * self.items(target_T)).sum(1)
        wrong_TN = state_TH @ self.items(negative_N).T
        wrong_TN = wrong_TN.masked_fill(target_T[:, None] == negative_N, float("-inf"))
        nats_T = torch.cat([right_T[:, None], wrong_TN], 1).logsumexp(1) - right_T
        return Losses((nats_T * weight_T).sum() / weight_T.sum().clamp_min(1e-9))

    @torch.no_grad()
    def scores(self, items_BL: torch.Tensor) -> torch.Tensor:
        """Logits of each item after the last place [B, V - 1], by code from 1."""
        return self.states(items_BL, None)[:, -1] @ self.items.weight[1:].T


class _Block(nn.Module):
    """Causal self-attention, then a network for each place; both with residuals, normalised before."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.attended, self.joined = nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)
        self.wide, self.narrow = nn.Linear(hidden, hidden), nn.Linear(hidden, hidden)

    def forward(
        self, state_BLH: torch.Tensor, seen_B1LL: torch.Tensor, share: float, rng: torch.Generator | None
    ) -> torch.Tensor:
        query, key, value = self.attended(self.before(state_BLH)).unsqueeze(1).chunk(3, dim=-1)
        found = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen_B1LL).squeeze(1)
        state_BLH = state_BLH + dropped(self.joined(found), share, rng)
        inner = dropped(torch.relu(self.wide(self.between(state_BLH))), share, rng)
        return state_BLH + dropped(self.narrow(inner), share, rng)


def dropped(values: torch.Tensor, share: float, rng: torch.Generator | None) -> torch.Tensor:
    """Dropout (Srivastava et al. 2014) whose noise comes from `rng`, as the training loop wants it."""
    if share == 0:
        return values
    kept = torch.rand(values.shape, generator=rng) >= share
    return values * kept / (1 - share)

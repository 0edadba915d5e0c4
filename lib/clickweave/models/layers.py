"""Building blocks that generators share.

Legend: B rows, V codes of one column, N categories, P columns with a position.
"""

import math

import torch
from torch import nn

from clickweave.codec.spec import FIRST_BIN, FIRST_VALUE, NULL_CODE, RARE_CODE, VALUES, ColumnSpec
from clickweave.errors import ContractError

BETA_RANGE = (0.2, 50.0)  # of both shapes: keeps the density of a value at most about 20 and its gradient finite
EDGE = 1e-3  # positions are kept this far from 0 and 1, where a Beta density may be infinite


def mlp(inputs: int, hidden: int, depth: int) -> nn.Sequential:
    """`depth` times linear, layer norm, SiLU: [B, inputs] -> [B, hidden]."""
    layers: list[nn.Module] = []
    for number in range(depth):
        layers += [nn.Linear(hidden if number else inputs, hidden), nn.LayerNorm(hidden), nn.SiLU()]
    return nn.Sequential(*layers)


def code_counts(column: ColumnSpec) -> torch.Tensor:
    """Training rows per code [V], float64; null and rare included.

    Raises:
        ContractError: the counts do not fit the codes, or no code has rows.
    """
    counts_V = torch.zeros(column.num_codes, dtype=torch.float64)
    first = FIRST_VALUE if column.kind == VALUES else FIRST_BIN
    if len(column.counts) != column.num_codes - first:
        raise ContractError(
            f"codec: column {column.name!r} has {column.num_codes - first} codes, {len(column.counts)} counts"
        )
    counts_V[first:] = torch.tensor(column.counts, dtype=torch.float64)
    counts_V[NULL_CODE] = column.num_null
    if column.kind == VALUES:
        counts_V[RARE_CODE] = column.num_rare
    if counts_V.sum() <= 0:
        raise ContractError(f"codec: column {column.name!r} has no training rows; leave it out of the recipe")
    return counts_V


def code_has_width(column: ColumnSpec) -> torch.Tensor:
    """Which codes carry a position: bins with low < high [V], bool."""
    widths = [low < high for low, high in zip(column.lows, column.highs, strict=True)]
    return torch.tensor([False] * FIRST_BIN + widths)


def draw_categories(logits_BN: torch.Tensor, uniforms_B: torch.Tensor) -> torch.Tensor:
    """One category per row by the inverse of its cumulative distribution; uniforms in [0, 1).

    A category with logit -inf is never drawn: its step of the cumulative sum has no height.
    """
    mass_BN = torch.softmax(logits_BN, dim=1)
    cumulative_BN = mass_BN.cumsum(dim=1)
    target_B1 = (uniforms_B * cumulative_BN[:, -1]).unsqueeze(1)
    drawn_B = torch.searchsorted(cumulative_BN, target_B1, right=True).squeeze(1)
    last_B = mass_BN.shape[1] - 1 - (mass_BN > 0).flip(1).to(torch.int8).argmax(dim=1)
    return torch.minimum(drawn_B, last_B)  # u * total may round up to total


def beta_shapes(raw_BP2: torch.Tensor) -> torch.Tensor:
    """Shapes (a, b) of Beta distributions [B, P, 2] from real numbers; 0 gives Beta(1, 1), the uniform."""
    low, high = BETA_RANGE
    return raw_BP2.clamp(math.log(low), math.log(high)).exp()


def beta_nll(shapes_BP2: torch.Tensor, positions_BP: torch.Tensor) -> torch.Tensor:
    """-log density of each position under Beta(a, b), in nats [B, P]."""
    a_BP, b_BP = shapes_BP2.unbind(-1)
    inside_BP = positions_BP.clamp(EDGE, 1 - EDGE)
    log_norm_BP = torch.lgamma(a_BP) + torch.lgamma(b_BP) - torch.lgamma(a_BP + b_BP)
    return log_norm_BP - (a_BP - 1) * inside_BP.log() - (b_BP - 1) * torch.log1p(-inside_BP)


def draw_beta(shapes_BP2: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Beta draws as a ratio of two gammas, in [0, 1] [B, P]."""
    gammas_BP2 = torch._standard_gamma(shapes_BP2.contiguous(), generator=rng).clamp_min(1e-30)
    return gammas_BP2[..., 0] / gammas_BP2.sum(-1)

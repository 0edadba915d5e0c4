"""Building blocks that generators share.

Legend: B rows, V codes of one column, N categories.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar, cast

import torch
from torch import nn

from clickweave.codec.spec import FIRST_BIN, FIRST_VALUE, NULL_CODE, RARE_CODE, VALUES, ColumnSpec
from clickweave.errors import ContractError

ONE_SUM = 128  # categories up to which one cumulative sum costs less than two levels
STRETCH = 32  # categories of a stretch, the second level

_Module = TypeVar("_Module", bound=nn.Module)


def modules(made: Iterable[_Module]) -> Sequence[_Module]:
    """A `ModuleList` that keeps the type of its modules."""
    return cast(Sequence[_Module], nn.ModuleList(made))


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


def column_order(num_columns: int, random_share: float, rng: torch.Generator) -> Sequence[int]:
    """The codec's order of columns, or in this share of calls a random one."""
    if random_share > 0 and float(torch.rand((), generator=rng)) < random_share:
        return [int(place) for place in torch.randperm(num_columns, generator=rng)]
    return range(num_columns)


def tempered(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Logits over the temperature."""
    return logits if temperature == 1 else logits / temperature


def draw_categories(logits_BN: torch.Tensor, uniforms_B: torch.Tensor, top_p: float = 1.0) -> torch.Tensor:
    """One category per row by the inverse of its cumulative distribution; uniforms in [0, 1).

    Logits of one row stand for all rows. A category with logit -inf is never drawn: its step of the cumulative sum
    has no height. With `top_p` below 1 only the likeliest categories that together hold that share are drawn, the
    likeliest always (Holtzman et al. 2020, arXiv 1904.09751).
    """
    mass_BN = torch.softmax(logits_BN, dim=1)
    if top_p < 1:
        sorted_BN, places_BN = mass_BN.sort(dim=1, descending=True)
        beyond_BN = sorted_BN.cumsum(dim=1) - sorted_BN >= top_p
        mass_BN = mass_BN.scatter(1, places_BN, sorted_BN.masked_fill(beyond_BN, 0.0))
    if len(mass_BN) > 1 and mass_BN.shape[1] > ONE_SUM:
        return _drawn_by_stretch(mass_BN, uniforms_B)
    cumulative_BN = mass_BN.cumsum(dim=1)
    targets_B = uniforms_B * cumulative_BN[:, -1]
    return _reached(cumulative_BN, targets_B)


def _drawn_by_stretch(mass_BN: torch.Tensor, uniforms_B: torch.Tensor) -> torch.Tensor:
    """One category per row [B] by two levels: a stretch of categories, then one of the stretch. Sums of stretches cost
    a tenth of a cumulative sum of all.
    """
    num_categories = mass_BN.shape[1]
    whole = num_categories // STRETCH
    whole_BGS = mass_BN[:, : whole * STRETCH].unflatten(1, (whole, STRETCH))
    stretches_BG = torch.cat([whole_BGS.sum(2), mass_BN[:, whole * STRETCH :].sum(1, keepdim=True)], 1)
    cumulative_BG = stretches_BG.cumsum(dim=1)
    targets_B = uniforms_B * cumulative_BG[:, -1]
    stretch_B = _reached(cumulative_BG, targets_B)
    before_B = cumulative_BG.gather(1, (stretch_B - 1).clamp_min(0).unsqueeze(1)).squeeze(1) * (stretch_B > 0)
    places_BS = (stretch_B * STRETCH).unsqueeze(1) + torch.arange(STRETCH)
    inside_BS = mass_BN.gather(1, places_BS.clamp_max(num_categories - 1)) * (places_BS < num_categories)
    return stretch_B * STRETCH + _reached(inside_BS.cumsum(dim=1), targets_B - before_B)


def _reached(cumulative_BN: torch.Tensor, targets_B: torch.Tensor) -> torch.Tensor:
    """The first category whose cumulative mass is beyond the target [B]; cumulative sums of one row stand for all.

    It has mass, since the sum rises there. A target that rounding puts at the whole mass comes just below it.
    """
    below_B = cumulative_BN[:, -1].nextafter(torch.zeros(()))
    targets_B = torch.minimum(targets_B, below_B)
    if len(cumulative_BN) == 1:
        return torch.searchsorted(cumulative_BN[0], targets_B, right=True)
    return torch.searchsorted(cumulative_BN, targets_B.unsqueeze(1), right=True).squeeze(1)

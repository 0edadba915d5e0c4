"""Rows whose codes are drawn, with gradients as if they were not (straight-through Gumbel-softmax).

Jang, Gu & Poole 2017, arXiv 1611.01144. Of a column with digits the digits carry gradients; the value at the end of
their path is drawn by its scores, without any.

Legend: B rows, E numbers per code, V codes, S parts of a bin.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional as F

from clickweave.models.columns import ColumnNet
from clickweave.models.heads import BinPlaces, ColumnUnit, DirectCodes
from clickweave.models.item_codes import ItemCodes


@dataclass(frozen=True)
class Relaxed:
    """One column of drawn rows.

    Attributes:
        codes_B: what was drawn.
        picks: one-hot rows with gradients, [B, V], or [B, 256] for each digit.
        parts_BS: one-hot parts of bins with gradients; zeros where the code has no width; None without positions.
    """

    codes_B: torch.Tensor
    picks: Sequence[torch.Tensor]
    parts_BS: torch.Tensor | None


def relaxed_rows(
    net: ColumnNet,
    rows: int,
    context_BX: torch.Tensor,
    given: dict[int, torch.Tensor],
    softness: float,
    rng: torch.Generator,
) -> list[Relaxed | None]:
    """One entry per column in the codec's order; None for those given."""
    drawn: list[Relaxed | None] = [None] * len(net.units)
    summed_BH = net.started(context_BX)
    for index in [*sorted(given), *[i for i in range(len(net.units)) if i not in given]]:
        unit = net.units[index]
        hidden_BH = net.hidden_of(summed_BH, index)
        if index in given:
            codes_B = given[index]
            positions_B = None if unit.places is None else unit.places.draw(hidden_BH, codes_B, rng)
            embedded_BE = unit.embed(codes_B, positions_B)
        else:
            drawn[index], embedded_BE = _relaxed(unit, hidden_BH, rows, softness, rng)
        summed_BH = summed_BH + net.inputs[index](embedded_BE)
    return drawn


def straight_through(logits_BN: torch.Tensor, softness: float, rng: torch.Generator) -> torch.Tensor:
    """One-hot draws from softmax(logits), whose gradient is that of a soft draw [B, N]."""
    uniforms_BN = torch.rand(logits_BN.shape, generator=rng).clamp(1e-9, 1 - 1e-6)
    soft_BN = torch.softmax((logits_BN - (-uniforms_BN.log()).log()) / softness, dim=1)
    hard_BN = F.one_hot(soft_BN.detach().argmax(1), soft_BN.shape[1])
    return hard_BN - soft_BN.detach() + soft_BN


def _relaxed(
    unit: ColumnUnit, hidden_BH: torch.Tensor, rows: int, softness: float, rng: torch.Generator
) -> tuple[Relaxed, torch.Tensor]:
    """The drawn column and its embedding [B, E]."""
    query_BE = unit.query(hidden_BH)
    if isinstance(unit.codes, DirectCodes):
        pick_BV = straight_through(unit.codes.logits(query_BE), softness, rng)
        codes_B, picks, embedded_BE = pick_BV.detach().argmax(1), [pick_BV], pick_BV @ unit.codes.table.weight
    else:
        codes_B, picks = _digits(unit.codes, query_BE, rows, softness, rng)
        told = [pick_BV @ table.weight for pick_BV, table in zip(picks, unit.codes.tables, strict=True)]
        fixed_BE = unit.codes.embed(codes_B) - torch.stack([part.detach() for part in told]).sum(0)
        embedded_BE = fixed_BE.detach() + torch.stack(told).sum(0)
    if unit.places is None:
        return Relaxed(codes_B, picks, None), embedded_BE
    parts_BS = _parts(unit.places, hidden_BH, codes_B, softness, rng)
    return Relaxed(codes_B, picks, parts_BS), embedded_BE + parts_BS @ unit.places.table.weight


def _digits(
    codes: ItemCodes, query_BE: torch.Tensor, rows: int, softness: float, rng: torch.Generator
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Values and the one-hot digits of their paths."""
    path_B = torch.zeros(rows, dtype=torch.long)
    picks = []
    for level, table in enumerate(codes.tables):
        picks.append(straight_through(codes.digit_logits(level, query_BE, path_B), softness, rng))
        query_BE = query_BE + picks[-1] @ table.weight
        path_B = codes.next_path(level, path_B, picks[-1].detach().argmax(1))
    with torch.no_grad():
        return codes.draw_value(query_BE, path_B, rng, 1.0, 1.0), picks


def _parts(
    places: BinPlaces, hidden_BH: torch.Tensor, codes_B: torch.Tensor, softness: float, rng: torch.Generator
) -> torch.Tensor:
    logits_BS = places.logits(hidden_BH, codes_B)
    return straight_through(logits_BS, softness, rng) * places.width(codes_B).unsqueeze(1)

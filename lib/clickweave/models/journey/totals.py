"""Totals of histories: drawn ones as numbers, and what each event takes of them.

Legend: N histories, R events, K totals.
"""

import math
from collections.abc import Mapping, Sequence

import torch

from clickweave.codec.spec import (
    FIRST_VALUE,
    GAP,
    NULL_CODE,
    REPEATS,
    RETURNS,
    SPAN,
    CodecSpec,
    ColumnSpec,
    level_of_total,
)
from clickweave.models.clock import BinNumbers
from clickweave.models.journey.state import LABEL_BITS
from clickweave.models.protocol import Batch

LEAST = 1e-5  # share of what should not happen any more: a history may have been cut, a law has exceptions


class Totals:
    """The codec's totals in its order (codec/totals.py).

    Attributes:
        apart: places of totals, in lists of which an event adds to at most one.
    """

    def __init__(self, codec: CodecSpec, about: Sequence[ColumnSpec], events: Sequence[ColumnSpec]) -> None:
        self.names = codec.totals
        self.counts = {name: BinNumbers(about, name) for name in self.names if name != SPAN}
        places = {name: place for place, name in enumerate(self.names)}
        self.returning, self._repeating = places.get(RETURNS), places.get(REPEATS)
        self._labels = [place for name, place in places.items() if level_of_total(name) is not None]
        single = [place for place in (self.returning, self._repeating) if place is not None]
        self.apart = [[place] for place in single] + [self._labels]
        names = [column.name for column in events]
        self._gap = names.index(GAP) if GAP in names else None
        self._label = names.index("label") if "label" in names else None
        self._levels_V = _levels(events[self._label]) if self._label is not None else torch.zeros(0)
        self._groups_V = torch.full((len(self._levels_V),), len(self._labels))
        for group, place in enumerate(self._labels):
            self._groups_V[self._levels_V == level_of_total(self.names[place])] = group

    def groups(self, events: Sequence[ColumnSpec]) -> dict[int, torch.Tensor]:
        """By index of a column that totals count: the group of each of its codes, as `log_shares` has them."""
        found = {}
        if self.returning is not None and self._gap is not None:
            found[self._gap] = (torch.arange(events[self._gap].num_codes) != NULL_CODE).long()
        if self._labels and self._label is not None:
            found[self._label] = self._groups_V
        return found

    def log_shares(
        self, place_R: torch.Tensor, left_R: torch.Tensor, left_RK: torch.Tensor
    ) -> dict[int | None, torch.Tensor]:
        """By index of a column that totals count: log of left / events left for each of its totals, then for what none
        counts [R, G]; under None those of repeated and other items, zeros where these are not counted.
        """
        found: dict[int | None, torch.Tensor] = {None: torch.zeros(len(left_R), 2)}
        later_R1 = (place_R > 0).unsqueeze(1)  # a first event neither returns nor repeats
        if self.returning is not None:
            found[self._gap] = _log_shares(left_RK[:, [self.returning]] * later_R1, left_R)
        if self._repeating is not None:
            found[None] = _log_shares(left_RK[:, [self._repeating]] * later_R1, left_R)
        if self._labels:
            found[self._label] = _log_shares(left_RK[:, self._labels], left_R)
        return found

    def open_labels(self, shares: Mapping[int | None, torch.Tensor]) -> torch.Tensor | None:
        """The labels that may still come, as a sum of bits as `Memory.used_BM` has them [R]; None where labels share
        bits, or none is counted.
        """
        if not self._labels or len(self._levels_V) > FIRST_VALUE + LABEL_BITS:
            return None
        open_RG = shares[self._label] > math.log(LEAST) + 1e-3
        bits_R = torch.zeros(len(open_RG), dtype=torch.long)
        for code, group in enumerate(self._groups_V.tolist()[FIRST_VALUE:]):
            bits_R = bits_R | (open_RG[:, group].long() << code)
        return bits_R

    def drawn(self, entities: Batch, lengths_N: torch.Tensor, spans_us_N: torch.Tensor) -> torch.Tensor:
        """The totals of drawn histories [N, K]: microseconds of the span, events of the others."""
        found = [torch.zeros(len(lengths_N), 0, dtype=torch.long)]
        for name in self.names:
            total_N = spans_us_N
            if name != SPAN:
                chances_N = lengths_N - (1 if name in (RETURNS, REPEATS) else 0)  # not the first event
                total_N = torch.minimum(self.counts[name](entities).long(), chances_N)
            found.append(total_N.unsqueeze(1))
        return torch.cat(found, dim=1)

    def returns(self, entities: Batch) -> torch.Tensor:
        """How often each history comes back after long [N]; zeros for logs without time."""
        if RETURNS not in self.counts:
            return torch.zeros(entities.num_rows, dtype=torch.long)
        return self.counts[RETURNS](entities).long()

    def spent(
        self, events: Batch, place_R: torch.Tensor, elapsed_us_R: torch.Tensor, repeats_R: torch.Tensor
    ) -> torch.Tensor:
        """What each event takes of the totals [R, K].

        Args:
            place_R: number of the event in its history.
            elapsed_us_R: microseconds since the event before; 0 at the first.
            repeats_R: whether the history had its item before.
        """
        taken = [torch.zeros(len(place_R), 0, dtype=torch.long)]
        for name in self.names:
            level = level_of_total(name)
            if name == SPAN:
                amount_R = elapsed_us_R
            elif name == RETURNS:
                assert self._gap is not None
                amount_R = (events.codes_BC[:, self._gap] == NULL_CODE) & (place_R > 0)
            elif level is None:
                amount_R = repeats_R
            else:
                assert self._label is not None
                amount_R = self._levels_V[events.codes_BC[:, self._label]] == level
            taken.append(amount_R.long().unsqueeze(1))
        return torch.cat(taken, dim=1)


def _log_shares(left_RG: torch.Tensor, left_R: torch.Tensor) -> torch.Tensor:
    """Log of each total's share of this event and those to come, then of the rest; never below log(LEAST)."""
    shares_RG = left_RG / (left_R + 1).unsqueeze(1)
    rest_R1 = 1 - shares_RG.sum(1, keepdim=True)
    return torch.cat([shares_RG, rest_R1], dim=1).clamp(LEAST, 1).log()


def _levels(label: ColumnSpec) -> torch.Tensor:
    """The funnel level of each code of the label; 0 of null."""
    return torch.tensor([0] * FIRST_VALUE + [int(value) for value in label.values])

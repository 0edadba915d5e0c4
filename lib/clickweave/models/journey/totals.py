"""Totals of histories: drawn ones as numbers, and what each event takes of them.

Legend: N histories, R events, K totals.
"""

from collections.abc import Sequence

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
from clickweave.models.protocol import Batch


class Totals:
    """The codec's totals in its order (codec/totals.py)."""

    def __init__(self, codec: CodecSpec, about: Sequence[ColumnSpec], events: Sequence[ColumnSpec]) -> None:
        self.names = codec.totals
        self.counts = {name: BinNumbers(about, name) for name in self.names if name != SPAN}
        names = [column.name for column in events]
        self._gap = names.index(GAP) if GAP in names else None
        self._label = names.index("label") if "label" in names else None
        self._levels_V = _levels(events[self._label]) if self._label is not None else torch.zeros(0)

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


def _levels(label: ColumnSpec) -> torch.Tensor:
    """The funnel level of each code of the label; 0 of null."""
    return torch.tensor([0] * FIRST_VALUE + [int(value) for value in label.values])

"""Slates: lists of events that belong together, and what the log's slates keep to.

Legend: A histories, S events of the longest slate so far, Q columns of the query.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from clickweave.codec.spec import FIRST_VALUE, NULL_CODE, RARE_CODE, SAME_SLATE, CodecSpec, ColumnSpec
from clickweave.models.clock import BinNumbers
from clickweave.models.protocol import Batch

NOWHERE = -1.0  # no position


@dataclass(frozen=True)
class Slate:
    """The slate that each history is in.

    Attributes:
        num_A: events of it so far; 0 where the next event cannot belong to one.
        items_AS, positions_AS: item codes and positions of its events, the latest last.
        query_AQ: codes of its query.
    """

    num_A: torch.Tensor
    items_AS: torch.Tensor
    positions_AS: torch.Tensor
    query_AQ: torch.Tensor

    def rows(self, picked_A: torch.Tensor) -> "Slate":
        return Slate(*[value[picked_A] for value in vars(self).values()])


class SlateLaws:
    """What a generator keeps to in slates (codec/slates.py)."""

    def __init__(self, codec: CodecSpec, events: Sequence[ColumnSpec]) -> None:
        assert codec.slates is not None
        self.laws, names = codec.slates, [column.name for column in events]
        self.column = names.index(SAME_SLATE)
        values = events[self.column].values
        self._new, self._same = (FIRST_VALUE + values.index(v) if v in values else None for v in ("0", "1"))
        self._item = names.index("item_id") if "item_id" in names else None
        self._position = BinNumbers(events, "position") if "position" in names else None
        self._position_column = names.index("position") if "position" in names else 0
        parts = [name for each in codec.parts if each.name == "query" for name in each.columns]
        self.query = [names.index(name) for name in ("query", *parts) if name in names]

    def none(self, num: int) -> Slate:
        """Before the first slate."""
        whole = torch.zeros(num, 0, dtype=torch.long)
        query = torch.zeros(num, len(self.query), dtype=torch.long)
        return Slate(torch.zeros(num, dtype=torch.long), whole, whole.double(), query)

    def off_query(self, slate: Slate, events: Batch) -> torch.Tensor:
        """Whether an event of a slate has another query than the slate [A]."""
        if not self.query or not self.laws.one_query:
            return torch.zeros(events.num_rows, dtype=torch.bool)
        other_A = (events.codes_BC[:, self.query] != slate.query_AQ).any(1)
        return self._inside(events) & (slate.num_A > 0) & other_A

    def broken(self, slate: Slate, events: Batch, elapsed_us_A: torch.Tensor) -> torch.Tensor:
        """Whether an event cannot belong to its slate [A]; never where it begins one.

        Args:
            elapsed_us_A: microseconds since the event before.
        """
        wrong_A = (slate.num_A == 0) | (slate.num_A >= self.laws.most_events) | self.off_query(slate, events)
        wrong_A |= elapsed_us_A > self.laws.longest_gap_us
        held_AS = torch.arange(slate.items_AS.shape[1]) >= slate.items_AS.shape[1] - slate.num_A.unsqueeze(1)
        if self._item is not None and self.laws.items_once:
            items_A = events.codes_BC[:, self._item]
            again_AS = (slate.items_AS == items_A.unsqueeze(1)) & (items_A != NULL_CODE).unsqueeze(1)
            wrong_A |= (again_AS & held_AS).any(1) | (items_A == RARE_CODE)  # which item that will be is not known
        if self.laws.positions_once:
            places_A = self._positions(events)
            again_AS = (slate.positions_AS == places_A.unsqueeze(1)) & (places_A != NOWHERE).unsqueeze(1)
            wrong_A |= (again_AS & held_AS).any(1)
        return self._inside(events) & wrong_A

    def stays(self, slate: Slate, events: Batch, elapsed_us_A: torch.Tensor) -> torch.Tensor:
        """Whether an event says that it belongs to the slate, though it comes later than any of the log would [A]."""
        return self._inside(events) & (slate.num_A > 0) & (elapsed_us_A > self.laws.longest_gap_us)

    def begin_anew(self, events: Batch, mask_A: torch.Tensor) -> None:
        """These events begin a slate of their own."""
        events.codes_BC[mask_A, self.column] = NULL_CODE if self._new is None else self._new

    def after(self, slate: Slate, events: Batch) -> Slate:
        """Where the histories stand when these events have come."""
        num_A = torch.where(self._inside(events), slate.num_A, 0) + 1
        num_A = torch.where(events.codes_BC[:, self.column] == NULL_CODE, 0, num_A)
        longest = int(num_A.max()) if len(num_A) else 0
        none_A = torch.zeros_like(num_A)
        items_A = none_A if self._item is None else events.codes_BC[:, self._item]
        items_AS = torch.cat([slate.items_AS, items_A.unsqueeze(1)], dim=1)
        positions_AS = torch.cat([slate.positions_AS, self._positions(events).unsqueeze(1)], dim=1)
        first = items_AS.shape[1] - longest
        return Slate(num_A, items_AS[:, first:], positions_AS[:, first:], events.codes_BC[:, self.query])

    def _inside(self, events: Batch) -> torch.Tensor:
        if self._same is None:
            return torch.zeros(events.num_rows, dtype=torch.bool)
        return events.codes_BC[:, self.column] == self._same

    def _positions(self, events: Batch) -> torch.Tensor:
        """Whole positions, as they are decoded [A]."""
        if self._position is None:
            return torch.full((events.num_rows,), NOWHERE, dtype=torch.float64)
        known_A = events.codes_BC[:, self._position_column] != NULL_CODE
        return torch.where(known_A, self._position(events).round(), NOWHERE)

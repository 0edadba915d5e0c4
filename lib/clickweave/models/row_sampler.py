"""Drawing rows from a `ColumnNet`, column by column; what rows have in common is computed once.

Rows whose codes so far are the same share one state, as long as that saves passes: the first column costs one pass,
the next as many as the first has drawn codes.

Legend: B rows, C columns, P columns with a position, X numbers of the context, S numbers of a state, G states.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from clickweave.models.folded import Folded
from clickweave.models.protocol import Batch

if TYPE_CHECKING:
    from clickweave.models.columns import Aids, ColumnNet

FOLD_ROWS = 512  # fewer rows cost less by the network as it is


@dataclass(frozen=True)
class _States:
    """The state of each row: its own, or `state_GS[group_B]`."""

    state_GS: torch.Tensor
    group_B: torch.Tensor | None

    def by_row(self, numbers: torch.Tensor) -> torch.Tensor:
        """Numbers of each state as those of each row."""
        return numbers if self.group_B is None else numbers.index_select(0, self.group_B)


class RowSampler:
    """What `ColumnNet.sample` runs; of one call."""

    def __init__(
        self,
        net: "ColumnNet",
        rows: int,
        rng: torch.Generator,
        given: Mapping[int, torch.Tensor],
        aids: "Aids",
        temperature: float,
        top_p: float,
    ) -> None:
        self.net, self.rows, self.rng, self.given, self.aids = net, rows, rng, given, aids
        self.temperature, self.top_p = temperature, top_p
        self.passes = net.frozen or (Folded(net) if rows >= FOLD_ROWS else net)
        self.order = [*sorted(given), *[index for index in range(len(net.units)) if index not in given]]
        self.codes_BC = torch.zeros(rows, len(net.units), dtype=torch.long)
        self.positions_BP = torch.zeros(rows, sum(place is not None for place in net.place_of))

    def __call__(self, context_BX: torch.Tensor | None) -> Batch:
        """All rows; see `ColumnNet.sample`."""
        if self.rows == 0:
            return Batch(self.codes_BC, self.positions_BP)
        state_GS = self.passes.started(context_BX)
        states = _States(state_GS, torch.zeros(self.rows, dtype=torch.long) if len(state_GS) == 1 else None)
        for number, index in enumerate(self.order):
            if number > 0:
                states = self._read(self.order[number - 1], states)
            self._column(index, states)
        return Batch(self.codes_BC, self.positions_BP)

    def _column(self, index: int, states: _States) -> None:
        """One column of all rows, drawn or as given; its position is drawn either way."""
        unit, known = self.net.units[index], self.given.get(index)
        if known is None:
            wanted = self.rows, self.rng, self.temperature, self.top_p
            codes_B, positions_B = unit.draw(self._hidden(index, states), *wanted, *self.aids.get(index, ()))
        else:
            codes_B, positions_B = known, None
            if unit.places is not None:
                positions_B = unit.places.draw(self._hidden(index, states), codes_B, self.rng)
        self.codes_BC[:, index] = codes_B
        place = self.net.place_of[index]
        if place is not None and positions_B is not None:
            self.positions_BP[:, place] = positions_B

    def _hidden(self, index: int, states: _States) -> torch.Tensor:
        """What the column is predicted from [B, H], or [1, H] where that is the same for all rows."""
        hidden_GH = self.passes.hidden_of(states.state_GS, index)
        return hidden_GH if len(hidden_GH) == 1 else states.by_row(hidden_GH)

    def _read(self, index: int, states: _States) -> _States:
        """The states with column `index` visible; shared ones as long as there are two rows or more to each."""
        codes_B, place, aid = self.codes_BC[:, index], self.net.place_of[index], self.aids.get(index, ())
        if states.group_B is not None and place is None and not aid:
            num_codes = int(codes_B.max()) + 1
            pair_G, group_B = torch.unique(states.group_B * num_codes + codes_B, return_inverse=True)
            if 2 * len(pair_G) <= self.rows:
                before_GS = states.state_GS.index_select(0, pair_G // num_codes)
                return _States(self.passes.read(before_GS, index, pair_G % num_codes, None), group_B)
        positions_B = None if place is None else self.positions_BP[:, place]
        return _States(self.passes.read(states.by_row(states.state_GS), index, codes_B, positions_B, aid), None)

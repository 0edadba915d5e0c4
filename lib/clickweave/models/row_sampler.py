"""Drawing rows from a `ColumnNet`: column by column, what rows have in common once, the rest in chunks of rows.

Rows whose codes so far are the same share one state, as long as that saves passes: the first column costs one pass,
the next as many as the first has drawn codes. From then on a chunk of rows at a time goes through all other columns, so
that what a pass touches stays in the cache of a core. The chunk is a constant, and part of what a seed means.

Legend: B rows, C columns, P columns with a position, S numbers of a state, G states that rows share.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from clickweave.models.folded import Folded
from clickweave.models.packed import CHUNK_ROWS
from clickweave.models.protocol import Batch

if TYPE_CHECKING:
    from clickweave.models.columns import Aids, ColumnNet

FOLD_ROWS = 512  # fewer rows cost less by the network as it is


@dataclass(frozen=True)
class _Shared:
    """Rows after their first columns: `state_GS[group_B]` is what each has before it reads the last of them."""

    done: int
    state_GS: torch.Tensor
    group_B: torch.Tensor


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
        state = self.passes.started(context_BX)
        shared = _Shared(0, state, torch.arange(self.rows)) if len(state) > 1 else self._share(state)
        chunk = self.rows if self.aids else CHUNK_ROWS  # an aid is of all rows
        for start in range(0, self.rows, chunk):
            self._finish(shared, slice(start, start + chunk))
        return Batch(self.codes_BC, self.positions_BP)

    def _share(self, state_GS: torch.Tensor) -> _Shared:
        """The first column of all rows, and those after it while two rows or more share a state on average."""
        group_B = torch.zeros(self.rows, dtype=torch.long)
        for done, index in enumerate(self.order, start=1):
            self._column(index, state_GS, group_B, slice(0, self.rows))
            unit = self.net.units[index]
            if unit.places is not None or index in self.aids:
                break
            num_codes = int(self.codes_BC[:, index].max()) + 1
            pairs_G, next_B = torch.unique(group_B * num_codes + self.codes_BC[:, index], return_inverse=True)
            if 2 * len(pairs_G) > self.rows or done == len(self.order):
                break
            before_GS = state_GS.index_select(0, pairs_G // num_codes)
            state_GS, group_B = self.passes.read(before_GS, index, pairs_G % num_codes, None), next_B
        return _Shared(done, state_GS, group_B)

    def _finish(self, shared: _Shared, part: slice) -> None:
        """The other columns of some rows."""
        state_BS = shared.state_GS.index_select(0, shared.group_B[part])
        own_B = torch.arange(len(state_BS))
        for number in range(shared.done, len(self.order)):
            if number > 0:
                before = self.order[number - 1]
                state_BS = self.passes.read(state_BS, before, *self._values(before, part), self.aids.get(before, ()))
            self._column(self.order[number], state_BS, own_B, part)

    def _column(self, index: int, state_GS: torch.Tensor, group_B: torch.Tensor, part: slice) -> None:
        """One column of some rows, drawn or as given; its position is drawn either way."""
        unit, known = self.net.units[index], self.given.get(index)
        if known is None:
            hidden, rows = self._hidden(index, state_GS, group_B), len(group_B)
            codes_B, positions_B = unit.draw(
                hidden, rows, self.rng, self.temperature, self.top_p, *self.aids.get(index, ())
            )
        else:
            codes_B, positions_B = known[part], None
            if unit.places is not None:
                positions_B = unit.places.draw(self._hidden(index, state_GS, group_B), codes_B, self.rng)
        self.codes_BC[part, index] = codes_B
        place = self.net.place_of[index]
        if place is not None and positions_B is not None:
            self.positions_BP[part, place] = positions_B

    def _hidden(self, index: int, state_GS: torch.Tensor, group_B: torch.Tensor) -> torch.Tensor:
        """What the column is predicted from [B, H], or [1, H] where that is the same for all rows."""
        hidden_GH = self.passes.hidden_of(state_GS, index)
        return hidden_GH.index_select(0, group_B) if 1 < len(hidden_GH) < len(group_B) else hidden_GH

    def _values(self, index: int, part: slice) -> tuple[torch.Tensor, torch.Tensor | None]:
        place = self.net.place_of[index]
        return self.codes_BC[part, index], None if place is None else self.positions_BP[part, place]

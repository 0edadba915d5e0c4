"""Reading histories that there are, of any lengths side by side: the state and memory after the last event of each.

Legend: N histories, T events of the longest, L of them read at a time, R events, H hidden units, M remembered events.
"""

from typing import TYPE_CHECKING

import torch

from clickweave.models.histories import Histories, Windows, rows_of
from clickweave.models.journey.state import Memory

if TYPE_CHECKING:
    from clickweave.models.journey.network import Journey

READ_ROWS = 8_192  # events that are read at a time, all histories together


def places_of(owner_R: torch.Tensor) -> torch.Tensor:
    """Number of each event in its history [R]; owners ascend."""
    counts_N = torch.bincount(owner_R)
    return torch.arange(len(owner_R)) - (counts_N.cumsum(0) - counts_N)[owner_R]


def rows_at_end(lengths_N: torch.Tensor) -> torch.Tensor:
    """Rows of the events of each history [N, T], the last in the last column; -1 before the first."""
    back_NT = torch.arange(int(lengths_N.max())).flip(0).expand(len(lengths_N), -1)
    rows_NT = lengths_N.cumsum(0).unsqueeze(1) - 1 - back_NT
    return torch.where(back_NT < lengths_N.unsqueeze(1), rows_NT, -1)


def read_histories(
    net: "Journey", given: Histories, rows_NT: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, Memory]:
    """State, last event as read and memory after the last event of each history; columns and times are as told."""
    place_R = places_of(given.owner_R)
    columns = max(1, READ_ROWS // len(rows_NT))
    for start in range(0, rows_NT.shape[1], columns):
        rows_NL = rows_NT[:, start : start + columns]
        place_NL = torch.where(rows_NL >= 0, place_R[rows_NL], -1)  # before the first event there is nothing to know
        entities = rows_of(given.entities, given.owner_R[rows_NL.flatten()])
        net.read_window(
            Windows(
                events=rows_of(given.events, rows_NL.flatten()),
                entities=entities,
                others=entities,
                place_BL=place_NL,
                left_BL=torch.zeros_like(place_NL),
                left_BLK=torch.zeros(*place_NL.shape, len(net.totals.names), dtype=torch.long),
                time_us_BL=given.time_us_R[rows_NL],
                fresh=start == 0,
            )
        )
    assert net.carried is not None
    state_NH, last_NH, memory = net.carried.state_BH, net.carried.read_BH, net.carried.memory
    net.carried = None
    known_NM = torch.arange(net.memory) < (rows_NT >= 0).sum(1, keepdim=True)
    return state_NH, last_NH, Memory(memory.items_BM * known_NM, memory.labels_BM * known_NM)

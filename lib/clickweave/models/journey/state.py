"""What a journey keeps of the events so far.

Legend: B rows or lanes, H hidden units, M remembered events.
"""

from dataclasses import dataclass

import torch

from clickweave.codec.spec import FIRST_VALUE

LABEL_BITS = 4  # labels that are told apart among those that an item has had; further ones share a bit


@dataclass(frozen=True)
class Memory:
    """The latest events of a history, the latest first; 0 for none.

    Attributes:
        items_BM: item codes.
        labels_BM: label codes of the same events.
    """

    items_BM: torch.Tensor
    labels_BM: torch.Tensor

    @property
    def used_BM(self) -> torch.Tensor:
        """For each event the labels that its item has in the memory, as a sum of powers of two."""
        same_BMM = self.items_BM.unsqueeze(2) == self.items_BM.unsqueeze(1)
        bits_BM1 = (1 << (self.labels_BM - FIRST_VALUE).clamp(0) % LABEL_BITS).unsqueeze(1)
        used_BM = torch.zeros_like(self.items_BM)
        for bit in range(LABEL_BITS):
            has_BMM = same_BMM & (bits_BM1 == 1 << bit)
            used_BM = used_BM + (has_BMM.any(2).long() << bit)
        return used_BM

    def rows(self, picked_B: torch.Tensor) -> "Memory":
        return Memory(self.items_BM[picked_B], self.labels_BM[picked_B])

    def after(self, items_B: torch.Tensor, labels_B: torch.Tensor) -> "Memory":
        """The memory when one more event has come."""
        new = (items_B, self.items_BM), (labels_B, self.labels_BM)
        return Memory(*[torch.cat([first.unsqueeze(1), then[:, :-1]], dim=1) for first, then in new])


@dataclass(frozen=True)
class Carried:
    """What one training window hands to the next, by lane: the state, the last event as read, the latest items."""

    state_BH: torch.Tensor
    read_BH: torch.Tensor
    memory: Memory

    @classmethod
    def zeros(cls, lanes: int, hidden: int, memory: int) -> "Carried":
        none_BM = torch.zeros(lanes, memory, dtype=torch.long)
        return cls(torch.zeros(lanes, hidden), torch.zeros(lanes, hidden), Memory(none_BM, none_BM))

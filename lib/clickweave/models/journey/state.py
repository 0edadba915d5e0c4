"""What a journey keeps of the events so far.

Legend: B rows or lanes, H hidden units, M remembered events.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Memory:
    """The latest events of a history, the latest first; 0 for none.

    Attributes:
        items_BM: item codes.
        labels_BM: label codes of the same events.
    """

    items_BM: torch.Tensor
    labels_BM: torch.Tensor

    def rows(self, picked_B: torch.Tensor) -> "Memory":
        return Memory(self.items_BM[picked_B], self.labels_BM[picked_B])

    def after(self, items_B: torch.Tensor, labels_B: torch.Tensor) -> "Memory":
        """The memory when one more event has come."""
        new = (items_B, self.items_BM), (labels_B, self.labels_BM)
        return Memory(*[torch.cat([first.unsqueeze(1), then[:, :-1]], dim=1) for first, then in new])


@dataclass(frozen=True)
class Carried:
    """What one training window hands to the next, by lane: the state, the latest items, and whether the history has
    come to its strongest label.
    """

    state_BH: torch.Tensor
    memory: Memory
    reached_B: torch.Tensor

    @classmethod
    def zeros(cls, lanes: int, hidden: int, memory: int) -> "Carried":
        none_BM = torch.zeros(lanes, memory, dtype=torch.long)
        return cls(torch.zeros(lanes, hidden), Memory(none_BM, none_BM), torch.zeros(lanes, dtype=torch.bool))

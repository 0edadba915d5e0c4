"""What ranks say to each other. The loop knows this protocol alone; Horovod stands behind it in launch."""

from typing import Any, Protocol

import torch


class Comm(Protocol):
    """A group of ranks. Every method is collective: all ranks call it, in the same order, with the same name."""

    rank: int
    size: int

    def allreduce_mean_(self, flat: torch.Tensor, name: str) -> None:
        """Replaces `flat` on every rank by the mean over ranks; the same bits everywhere."""

    def broadcast_(self, flat: torch.Tensor, name: str) -> None:
        """Replaces `flat` on every rank by rank 0's."""

    def allgather_obj(self, value: Any, name: str) -> list[Any]:
        """Every rank's value, by rank. Small values only."""

    def broadcast_obj(self, value: Any, name: str) -> Any:
        """Rank 0's value. Small values only."""

    def barrier(self) -> None:
        """Returns when all ranks are here."""


class NullComm:
    """One rank alone, without Horovod."""

    rank = 0
    size = 1

    def allreduce_mean_(self, flat: torch.Tensor, name: str) -> None:
        pass

    def broadcast_(self, flat: torch.Tensor, name: str) -> None:
        pass

    def allgather_obj(self, value: Any, name: str) -> list[Any]:
        return [value]

    def broadcast_obj(self, value: Any, name: str) -> Any:
        return value

    def barrier(self) -> None:
        pass

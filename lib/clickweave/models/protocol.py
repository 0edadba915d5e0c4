"""What every row generator is: a torch module that scores batches of codes and draws new ones.

Legend: B rows, C columns of the codec, P columns with a position, in the codec's order.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch


@dataclass(frozen=True)
class Batch:
    """Rows as the codec sees them.

    Attributes:
        codes_BC: int64, 0 <= code < num_codes of its column.
        positions_BP: float32 in [0, 1], place inside the bin; 0 where the code has no width.
    """

    codes_BC: torch.Tensor
    positions_BP: torch.Tensor

    @property
    def num_rows(self) -> int:
        return int(self.codes_BC.shape[0])


@dataclass(frozen=True)
class Losses:
    """`total` is the mean per row in nats, with its graph; `parts` are detached means per row, by name."""

    total: torch.Tensor
    parts: dict[str, torch.Tensor] = field(default_factory=dict)


class Generator(Protocol):
    """Trained through `training_loss`, used through `sample`; everything learnt is in `state_dict`."""

    def training_loss(self, batch: Batch, rng: torch.Generator) -> Losses:
        """Loss of a batch; all noise comes from `rng`."""

    def sample(self, n: int, rng: torch.Generator, temperature: float) -> Batch:
        """`n` new rows on the CPU; the same rng state gives the same rows. Never a code without training rows.

        Below 1 `temperature` sharpens the draws of codes, above 1 it flattens them.
        """

    def parameters(self) -> Any: ...

    def state_dict(self) -> dict[str, torch.Tensor]: ...

    def load_state_dict(self, state_dict: dict[str, torch.Tensor]) -> Any: ...

    def train(self, mode: bool = True) -> Any: ...

"""What every generator is: a torch module that scores batches of codes and draws new ones.

Legend: B rows, C columns of the codec, P columns with a position, in the codec's order.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn


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
    """`total` is the mean per row, with its graph; `parts` are detached means per row, by name."""

    total: torch.Tensor
    parts: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Optimizing:
    """How AdamW treats one network; `rate_factor` multiplies train.learning_rate."""

    betas: tuple[float, float] = (0.9, 0.999)
    rate_factor: float = 1.0


MeanOverRanks = Callable[[torch.Tensor, str], None]  # replaces a tensor by its mean over ranks; a name per call


class Trainable(nn.Module):
    """What the loop knows of a generator. Everything learnt is in `state_dict`; no buffer changes before `finish`."""

    def training_loss(self, batch: Any, rng: torch.Generator) -> Losses:
        """Loss of a batch; all noise comes from `rng`."""
        raise NotImplementedError

    def networks(self) -> dict[str, list[nn.Parameter]]:
        """All parameters, in sets that are updated apart; ranks name their messages by the set."""
        return {"all": list(self.parameters())}

    def network_of(self, step: int) -> str:
        """Which network the step of this number updates; steps count from 1 and go on over epochs and resumes."""
        return "all"

    def optimizing(self, network: str) -> Optimizing:
        """How this network is optimised."""
        return Optimizing()

    def set_progress(self, done_share: float) -> None:
        """Told before each step which share of all planned steps is done, in [0, 1)."""

    def network_loss(self, network: str, batch: Any, rng: torch.Generator) -> Losses:
        """Loss of a step that updates `network` alone."""
        return self.training_loss(batch, rng)

    def measure(self, batch: Any, rng: torch.Generator) -> dict[str, torch.Tensor]:
        """Sums over validation rows by name; the loop adds them up over batches and ranks."""
        losses = self.training_loss(batch, rng)
        means = {"validation_loss": losses.total, **losses.parts}
        sums = {name: mean * batch.num_rows for name, mean in means.items()}
        return {**sums, "rows": torch.tensor(batch.num_rows)}

    def figures(self, sums: Mapping[str, torch.Tensor]) -> dict[str, Any]:
        """What the history tells of an epoch, from the sums over all validation rows; `validation_loss` decides."""
        return {name: (total / sums["rows"]).tolist() for name, total in sums.items() if name != "rows"}

    def drawn_codes(self, n: int, rng: torch.Generator) -> list[torch.Tensor]:
        """Codes of about `n` drawn rows, by column in the codec's order."""
        raise NotImplementedError

    def finish(self, batches: Iterable[Any], rng: torch.Generator, mean_over_ranks: MeanOverRanks) -> None:
        """Told once, with the best weights in place and the rank's training rows, before the bundle is made."""


class Generator(Trainable):
    """A generator of rows."""

    def sample(
        self,
        n: int,
        rng: torch.Generator,
        temperature: float = 1.0,
        top_p: float = 1.0,
        given: Mapping[int, torch.Tensor] | None = None,
    ) -> Batch:
        """`n` new rows on the CPU; the same rng state gives the same rows. Never a code without training rows.

        Args:
            temperature: below 1 sharpens the draws of codes, above 1 flattens them.
            top_p: share of the likeliest codes that is drawn from.
            given: by index of a column its codes [n], to which the other columns are drawn.
        """
        raise NotImplementedError

    def drawn_codes(self, n: int, rng: torch.Generator) -> list[torch.Tensor]:
        return list(self.sample(n, rng).codes_BC.unbind(1))

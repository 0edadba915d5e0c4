"""Each network of a generator, its gradients and its optimizer state as a few flat float32 vectors.

Legend: W all numbers of a network's parameters, in their order; A those of all networks, one after another.
"""

from collections.abc import Sequence

import torch

from clickweave.models.protocol import Trainable

AVERAGE_POWER = 9  # the average weighs the weights after step t by about t^9: mostly the last tenth of the steps so far


class FlatModel:
    """Makes parameters and gradients views of two vectors, so that ranks exchange one buffer per step.

    Attributes:
        weights_W: every parameter; writing here changes the network.
        average_W: of the weights after each step, the late ones above all (Karras et al. 2024, arXiv 2312.02696,
            power-function averaging).
        message: [W + 1] gradients, then the loss of the step: what ranks average.
        rate_factor: of the learning rate.
    """

    def __init__(
        self,
        parameters: Sequence[torch.nn.Parameter],
        *,
        weight_decay: float,
        betas: tuple[float, float] = (0.9, 0.999),
        rate_factor: float = 1.0,
    ) -> None:
        self._parameters, self.rate_factor = parameters, rate_factor
        self.weights_W = torch.nn.Parameter(torch.cat([parameter.detach().reshape(-1) for parameter in parameters]))
        self.average_W = self.weights_W.detach().clone()
        size = self.weights_W.numel()
        self.message = torch.zeros(size + 1)
        start = 0
        for parameter in parameters:
            stop = start + parameter.numel()
            parameter.data = self.weights_W.data[start:stop].view_as(parameter)
            parameter.grad = self.message[start:stop].view_as(parameter)
            start = stop
        self.weights_W.grad = self.message[:size]
        self.optimizer = torch.optim.AdamW([self.weights_W], betas=betas, weight_decay=weight_decay, fused=True)
        self.optimizer.state[self.weights_W] = {
            "step": torch.tensor(0.0),
            "exp_avg": torch.zeros(size),
            "exp_avg_sq": torch.zeros(size),
        }

    @property
    def gradients_W(self) -> torch.Tensor:
        return self.message[:-1]

    def watch(self, learns: bool) -> None:
        """Whether gradients are wanted."""
        for parameter in self._parameters:
            parameter.requires_grad_(learns)

    def update(self, learning_rate: float) -> None:
        """One step of AdamW."""
        self.optimizer.param_groups[0]["lr"] = learning_rate * self.rate_factor
        self.optimizer.step()
        step = float(self.optimizer.state[self.weights_W]["step"])
        self.average_W.lerp_(self.weights_W.detach(), 1 - (1 - 1 / step) ** (AVERAGE_POWER + 1))

    def state(self) -> dict[str, torch.Tensor]:
        """Weights and optimizer state by name; the live tensors, not copies."""
        own = self.optimizer.state[self.weights_W]
        named = {"step": own["step"].view(1), "exp_avg": own["exp_avg"], "exp_avg_sq": own["exp_avg_sq"]}
        return {"weights": self.weights_W.data, "average": self.average_W, **named}


class FlatNetworks(dict[str, FlatModel]):
    """The networks of a generator by name, in the generator's order."""

    def __init__(self, generator: Trainable, *, weight_decay: float) -> None:
        for name, parameters in generator.networks().items():
            how = generator.optimizing(name)
            self[name] = FlatModel(parameters, weight_decay=weight_decay, betas=how.betas, rate_factor=how.rate_factor)

    def weights_A(self) -> torch.Tensor:
        """A copy of all weights."""
        return torch.cat([flat.weights_W.detach() for flat in self.values()])

    def averages_A(self) -> torch.Tensor:
        """A copy of the averages of all weights."""
        return torch.cat([flat.average_W for flat in self.values()])

    def set_weights(self, weights_A: torch.Tensor) -> None:
        """Writes what `weights_A` gave."""
        parts = weights_A.split([flat.weights_W.numel() for flat in self.values()])
        for flat, part_W in zip(self.values(), parts, strict=True):
            flat.weights_W.data.copy_(part_W)

    def state(self) -> dict[str, torch.Tensor]:
        """The live tensors of all networks, by <network>.<name>."""
        return {f"{name}.{key}": tensor for name, flat in self.items() for key, tensor in flat.state().items()}

"""All weights of a generator, its gradients and its optimizer state as a few flat float32 vectors.

Legend: W all numbers of all parameters, in the order of `parameters()`.
"""

import hashlib

import torch

from clickweave.models.protocol import Generator


class FlatModel:
    """Makes a generator's parameters and gradients views of two vectors, so that ranks exchange one buffer per step.

    Attributes:
        weights_W: every parameter of the generator; writing here changes the generator.
        message: [W + 1] gradients, then the loss of the step: what ranks average.
    """

    def __init__(self, generator: Generator, *, learning_rate: float, weight_decay: float) -> None:
        parameters = list(generator.parameters())
        self.weights_W = torch.nn.Parameter(torch.cat([parameter.detach().reshape(-1) for parameter in parameters]))
        size = self.weights_W.numel()
        self.message = torch.zeros(size + 1)
        start = 0
        for parameter in parameters:
            stop = start + parameter.numel()
            parameter.data = self.weights_W.data[start:stop].view_as(parameter)
            parameter.grad = self.message[start:stop].view_as(parameter)
            start = stop
        self.weights_W.grad = self.message[:size]
        self.optimizer = torch.optim.AdamW([self.weights_W], lr=learning_rate, weight_decay=weight_decay, fused=True)
        self.optimizer.state[self.weights_W] = {
            "step": torch.tensor(0.0),
            "exp_avg": torch.zeros(size),
            "exp_avg_sq": torch.zeros(size),
        }

    @property
    def gradients_W(self) -> torch.Tensor:
        return self.message[:-1]

    def state(self) -> dict[str, torch.Tensor]:
        """Weights and optimizer state by name; the live tensors, not copies."""
        own = self.optimizer.state[self.weights_W]
        named = {"step": own["step"].view(1), "exp_avg": own["exp_avg"], "exp_avg_sq": own["exp_avg_sq"]}
        return {"weights": self.weights_W.data, **named}

    def weights_sha256(self) -> str:
        return hashlib.sha256(self.weights_W.detach().numpy().tobytes()).hexdigest()

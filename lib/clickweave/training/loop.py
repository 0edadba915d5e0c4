"""The training loop: the same on one rank and on many. Every decision comes from numbers that all ranks share."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from clickweave.config.stages import TrainConfig
from clickweave.errors import ContractError, TrainingError
from clickweave.models.protocol import Trainable
from clickweave.training.batches import Source
from clickweave.training.comms import Comm
from clickweave.training.flat import FlatNetworks
from clickweave.training.seeds import rng_of

WARM_UP_STEPS = 100  # or a tenth of all steps, where that is less
LAST_RATE_SHARE = 0.02  # of train.learning_rate, at the last planned step

History = list[dict[str, Any]]
AfterEpoch = Callable[[History, torch.Tensor, float], None]


@dataclass(frozen=True)
class Run:
    """What the loop works with on one rank. `steps` per epoch; `name` prefixes the collectives of this generator."""

    generator: Trainable
    flats: FlatNetworks
    source: Source
    steps: int
    config: TrainConfig
    comm: Comm
    seed: int
    name: str


def train(run: Run, history: History, best_A: torch.Tensor, after_epoch: AfterEpoch) -> None:
    """Goes on after `history` until the last epoch, or until `patience` epochs brought nothing better.

    `history` grows by one entry per epoch and `best_A` becomes the averaged weights of the best one; `after_epoch` gets
    both and the epoch's seconds.

    Raises:
        TrainingError: the loss or a gradient is not finite; on all ranks at the same step.
    """
    for epoch in range(len(history) + 1, run.config.epochs + 1):
        if len(history) - best_epoch(history) >= run.config.patience:
            return
        started = time.monotonic()
        losses = _train_epoch(run, epoch)
        weights_A, averages_A = run.flats.weights_A(), run.flats.averages_A()
        run.flats.set_weights(averages_A)
        history.append({"epoch": epoch, "of": run.config.epochs, **losses, **_validate(run)})
        run.flats.set_weights(weights_A)
        if best_epoch(history) == epoch:
            best_A.copy_(averages_A)
        after_epoch(history, best_A, time.monotonic() - started)


def best_epoch(history: History) -> int:
    """The first epoch with the lowest validation loss; 0 before any."""
    return min((entry["validation_loss"], entry["epoch"]) for entry in history)[1] if history else 0


def learning_rate_at(step: int, steps: int, highest: float) -> float:
    """Linear warm-up, then half a cosine (Loshchilov & Hutter 2017, eq. 5); steps count from 1 over all epochs."""
    warm = min(1.0, step / min(WARM_UP_STEPS, math.ceil(steps / 10)))
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    return highest * warm * (LAST_RATE_SHARE + (1 - LAST_RATE_SHARE) * cosine)


def _train_epoch(run: Run, epoch: int) -> dict[str, Any]:
    """Exactly `steps` steps; the mean losses over steps and ranks, of all steps and of each network's, and where there
    are several ranks `rank_losses`, each one's own mean.
    """
    rng = rng_of(run.seed, "noise", epoch, run.comm.rank)
    run.generator.train(True)
    losses: dict[str, list[float]] = {name: [] for name in run.flats}
    step, own = 0, 0.0
    for step, batch in enumerate(islice(run.source.train(epoch), run.steps), start=1):
        number = (epoch - 1) * run.steps + step
        network = run.generator.network_of(number)
        mean_loss, own_loss = _step(run, number, network, batch, rng, f"epoch {epoch}, step {step}")
        losses[network].append(mean_loss)
        own += own_loss
    if step != run.steps:
        raise ContractError(f"train: rank {run.comm.rank} found {step} of {run.steps} planned batches; encode again")
    means: dict[str, Any] = {"train_loss": sum(map(sum, losses.values())) / run.steps}
    if run.comm.size > 1:
        means["rank_losses"] = run.comm.allgather_obj(own / run.steps, f"{run.name}.rank_losses")
    if len(losses) > 1:
        means |= {f"train_loss_{name}": sum(each) / len(each) for name, each in losses.items() if each}
    return means


def _step(run: Run, number: int, network: str, batch: Any, rng: torch.Generator, where: str) -> tuple[float, float]:
    """One update of one network from the mean gradient over ranks; returns the mean loss, and this rank's own."""
    planned = run.steps * run.config.epochs
    run.generator.set_progress((number - 1) / planned)
    if len(run.flats) > 1:
        for name, other in run.flats.items():
            other.watch(name == network)
    flat = run.flats[network]
    flat.message.zero_()
    loss = run.generator.network_loss(network, batch, rng).total
    loss.backward()
    flat.message[-1] = loss.detach()
    run.comm.allreduce_mean_(flat.message, f"{run.name}.{network}.flat")
    norm = flat.gradients_W.norm()
    mean_loss = float(flat.message[-1])
    if not torch.isfinite(norm + mean_loss):
        raise TrainingError(f"train: the loss or its gradient is not finite at {where}; lower train.learning_rate")
    if norm > run.config.clip_norm:
        flat.gradients_W.mul_(run.config.clip_norm / norm)
    flat.update(learning_rate_at(number, planned, run.config.learning_rate))
    return mean_loss, float(loss.detach())


@torch.no_grad()
def _validate(run: Run) -> dict[str, Any]:
    """Figures of the validation rows of all ranks: their sums are reduced together.

    The noise is the same in every epoch, so that epochs compare.
    """
    rng = rng_of(run.seed, "validation", run.comm.rank)
    run.generator.train(False)
    sums: dict[str, torch.Tensor] = {}
    for batch in run.source.validation():
        for name, part in run.generator.measure(batch, rng).items():
            sums[name] = sums.get(name, torch.zeros(())) + part.double()
    shapes = {name: list(part.shape) for name, part in sums.items()}
    shapes = run.comm.broadcast_obj(shapes, f"{run.name}.measures")  # a rank may hold no validation rows
    own = [sums.get(name, torch.zeros(shape)).double().reshape(-1) for name, shape in shapes.items()]
    flat = torch.cat(own)
    run.comm.allreduce_mean_(flat, f"{run.name}.validation")
    parts = flat.split([part.numel() for part in own])
    whole = {name: part.view(shapes[name]) for name, part in zip(shapes, parts, strict=True)}
    measured = run.generator.figures(whole)
    if not math.isfinite(measured["validation_loss"]):
        raise TrainingError("train: the validation loss is not finite; lower train.learning_rate")
    return measured

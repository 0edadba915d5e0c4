"""The training loop: the same on one rank and on many. Every decision comes from numbers that all ranks share."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from clickweave.config.stages import TrainConfig
from clickweave.errors import ContractError, TrainingError
from clickweave.models.protocol import Batch, Generator
from clickweave.training.batches import Read, plain_batches, shuffled_batches
from clickweave.training.comms import Comm
from clickweave.training.flat import FlatModel
from clickweave.training.plan import Plan
from clickweave.training.seeds import rng_of, seed_of

History = list[dict[str, Any]]
AfterEpoch = Callable[[History, torch.Tensor, float], None]


@dataclass(frozen=True)
class Run:
    """What the loop works with on one rank. `name` prefixes the collectives of this generator's network."""

    generator: Generator
    flat: FlatModel
    read: Read
    plan: Plan
    config: TrainConfig
    comm: Comm
    seed: int
    name: str


def train(run: Run, history: History, best_W: torch.Tensor, after_epoch: AfterEpoch) -> None:
    """Goes on after `history` until the last epoch, or until `patience` epochs brought nothing better.

    `history` grows by one entry per epoch and `best_W` becomes the weights of the best one; `after_epoch` gets both
    and the epoch's seconds.

    Raises:
        TrainingError: the loss or a gradient is not finite; on all ranks at the same step.
    """
    for epoch in range(len(history) + 1, run.config.epochs + 1):
        if len(history) - best_epoch(history) >= run.config.patience:
            return
        started = time.monotonic()
        train_loss = _train_epoch(run, epoch)
        history.append({"epoch": epoch, "of": run.config.epochs, "train_loss": train_loss, **_validate(run)})
        if best_epoch(history) == epoch:
            best_W.copy_(run.flat.weights_W.data)
        after_epoch(history, best_W, time.monotonic() - started)


def best_epoch(history: History) -> int:
    """The first epoch with the lowest validation loss; 0 before any."""
    return min((entry["validation_loss"], entry["epoch"]) for entry in history)[1] if history else 0


def _train_epoch(run: Run, epoch: int) -> float:
    """Exactly `plan.steps` steps; the mean loss over steps and ranks."""
    rank, plan = run.comm.rank, run.plan
    rng = rng_of(run.seed, "noise", epoch, rank)
    order = seed_of(run.seed, "order", epoch, rank)
    batches = shuffled_batches(run.read, plan.train[rank], plan.batch_rows, order)
    run.generator.train(True)
    total, step = 0.0, 0
    for step, batch in enumerate(islice(batches, plan.steps), start=1):
        total += _step(run, batch, rng, f"epoch {epoch}, step {step}")
    if step != plan.steps:
        raise ContractError(f"train: rank {rank} found rows for {step} of {plan.steps} planned steps; encode again")
    return total / plan.steps


def _step(run: Run, batch: Batch, rng: torch.Generator, where: str) -> float:
    """One update from the mean gradient over ranks; returns the mean loss."""
    flat = run.flat
    flat.message.zero_()
    loss = run.generator.training_loss(batch, rng).total
    loss.backward()
    flat.message[-1] = loss.detach()
    run.comm.allreduce_mean_(flat.message, f"{run.name}.flat")
    norm = flat.gradients_W.norm()
    mean_loss = float(flat.message[-1])
    if not torch.isfinite(norm + mean_loss):
        raise TrainingError(f"train: the loss or its gradient is not finite at {where}; lower train.learning_rate")
    if norm > run.config.clip_norm:
        flat.gradients_W.mul_(run.config.clip_norm / norm)
    flat.optimizer.step()
    return mean_loss


@torch.no_grad()
def _validate(run: Run) -> dict[str, float]:
    """Means per row over the validation rows of all ranks: sums and the row count are reduced together.

    The noise is the same in every epoch, so that epochs compare.
    """
    rank, plan = run.comm.rank, run.plan
    rng = rng_of(run.seed, "validation", rank)
    run.generator.train(False)
    parts = ("validation_loss", "kl", "reconstruction")
    sums = torch.zeros(len(parts) + 1, dtype=torch.float64)
    for batch in plain_batches(run.read, plan.validation[rank], plan.batch_rows):
        losses = run.generator.training_loss(batch, rng)
        means = torch.stack([losses.total, losses.parts["kl"], losses.parts["reconstruction"]]).double()
        sums[:-1] += means * batch.num_rows
        sums[-1] += batch.num_rows
    run.comm.allreduce_mean_(sums, f"{run.name}.validation")
    measured = dict(zip(parts, (sums[:-1] / sums[-1]).tolist(), strict=True))
    if not torch.isfinite(sums).all():
        raise TrainingError("train: the validation loss is not finite; lower train.learning_rate")
    return measured

"""SASRec (Kang and McAuley 2018): the sequence judge. A small network reads a history and scores the next item.

It is trained by the project's own loop with one rank: the loop's flat weights, schedule, clipping, averaging and
choice of the best epoch are as for generators. What does not fit is left out: there are no shards, plan, bundle or
checkpoint, since what is read is a bounded sample of histories on the driver and what is learnt lives as long as one
arm of the evaluation. Patience is as long as the training, so that every arm takes the same number of optimiser steps.

Legend: B histories of a batch, L places, U users, E events, V items, N candidates.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from pydantic import Field
from pyspark.sql import DataFrame

from clickweave.config.base import Section
from clickweave.config.stages import TrainConfig
from clickweave.evaluation.recommenders.interactions import consumed, sample_histories
from clickweave.evaluation.recommenders.protocol import Histories, ItemIndex, Task, at_candidates
from clickweave.evaluation.recommenders.sasrec_net import PAD, SasRec, Sequences
from clickweave.training.comms import NullComm
from clickweave.training.flat import FlatNetworks
from clickweave.training.loop import Run, train
from clickweave.training.seeds import seed_of

EPOCHS = 10  # looks at the validation users
VALIDATION_SHARE, MOST_VALIDATION = 0.1, 500  # of the users


class Params(Section):
    """Of the network and its training."""

    hidden: int = Field(64, ge=1)
    blocks: int = Field(2, ge=1)
    length: int = Field(50, ge=1, description="events that are read, the last ones")
    dropout: float = Field(0.2, ge=0, lt=1)
    negatives: int = Field(256, ge=1, description="items that each step's targets are told from")
    steps: int = Field(600, ge=EPOCHS, description="of the optimiser; a multiple of 10, else the next one below")
    batch_users: int = Field(64, ge=1, description="histories of a step")
    learning_rate: float = Field(3e-3, gt=0)
    max_users: int = Field(20_000, ge=2, description="histories that are learnt, drawn by hash")
    max_items: int = Field(50_000, ge=1, description="items that are known, the most frequent ones of the sample")


@dataclass(frozen=True)
class Sequential:
    """`net` knows the items of `index`, the item at place i by code i + 1; None where there was nothing to learn."""

    index: ItemIndex
    net: SasRec | None
    length: int
    level: int | None

    def score(self, histories: Histories, candidates: np.ndarray) -> np.ndarray:
        """Logits of the next item. One that it does not know gets the user's lowest score; a user of whose history it
        knows nothing gets 0 for all.
        """
        history = histories.consumed(self.level)
        items_UL = torch.from_numpy(last_places(history, self.index, self.length))
        if self.net is None:
            return np.zeros((histories.num_users, len(candidates)), np.float32)
        self.net.train(False)
        known_UV = self.net.scores(items_UL).numpy() * (items_UL != PAD).any(1, keepdim=True).numpy()
        return at_candidates(known_UV, self.index.places(candidates), known_UV.min(axis=1))


@dataclass(frozen=True)
class _Users:
    """A `Source`: all training users in a seeded order, again and again, and the validation users."""

    items_UL: np.ndarray
    weights_UL: np.ndarray
    training_U: np.ndarray
    validation_U: np.ndarray
    params: Params
    seed: int

    def train(self, epoch: int) -> Iterator[Sequences]:
        rng = np.random.default_rng([self.seed, epoch])
        size, steps = self.params.batch_users, self.params.steps // EPOCHS
        rounds = -(-size * steps // len(self.training_U))
        order = np.concatenate([rng.permutation(self.training_U) for _ in range(rounds)])
        return (self._batch(order[step * size : (step + 1) * size]) for step in range(steps))

    def validation(self) -> Iterator[Sequences]:
        size = self.params.batch_users
        starts = range(0, len(self.validation_U), size)
        return (self._batch(self.validation_U[start : start + size]) for start in starts)

    def _batch(self, users_B: np.ndarray) -> Sequences:
        items_BL = torch.from_numpy(self.items_UL[users_B])
        targets_BL = torch.where(items_BL[:, :-1] != PAD, items_BL[:, 1:], PAD)
        return Sequences(items_BL[:, :-1], targets_BL, torch.from_numpy(self.weights_UL[users_B])[:, 1:])


def fit(events: DataFrame, items: DataFrame | None, users: DataFrame | None, task: Task, params: Params) -> Sequential:
    """A network trained on the last events of a seeded sample of users with at least two, in exactly `steps` steps.

    One shuffle of the events for the sample; the driver holds max_users x length events and max_items embeddings. The
    same for any partitioning.

    Raises:
        TrainingError: the loss is not finite.
    """
    rows = consumed(events, task)
    sample, _ = sample_histories(rows, task, max_users=params.max_users, max_events=params.length + 1, least_events=2)
    index = ItemIndex(_most_frequent(sample.item_ids, params.max_items))
    source = _source(sample, index, params, task.seed)
    if len(source.training_U) == 0:
        return Sequential(index, None, params.length, task.level)
    net = _fresh(len(index) + 1, params, task.seed)
    config = TrainConfig(
        epochs=EPOCHS, patience=EPOCHS, learning_rate=params.learning_rate, batch_size=params.batch_users
    )
    flats = FlatNetworks(net, weight_decay=config.weight_decay)
    best_A = flats.weights_A()
    run = Run(net, flats, source, params.steps // EPOCHS, config, NullComm(), task.seed, "sasrec")
    train(run, [], best_A, lambda *done: None)
    flats.set_weights(best_A)
    return Sequential(index, net, params.length, task.level)


def last_places(history: Histories, index: ItemIndex, length: int) -> np.ndarray:
    """Codes of the last `length` known items of each user [U, L], int64; PAD in front of shorter histories."""
    return _padded(history, index.places(history.item_ids) >= 0, index.places(history.item_ids) + 1, length)


def _padded(history: Histories, known_E: np.ndarray, values_E: np.ndarray, length: int) -> np.ndarray:
    """The values [U, L] of each user's last events that are known; 0 in front."""
    ends_U = np.append(0, np.cumsum(known_E))[history.starts[1:]]
    owner_K, values_K = history.owners[known_E], values_E[known_E]
    place_K = length - (ends_U[owner_K] - np.arange(len(owner_K)))
    late = place_K >= 0
    padded_UL = np.zeros((history.num_users, length), values_E.dtype)
    padded_UL[owner_K[late], place_K[late]] = values_K[late]
    return padded_UL


def _source(sample: Histories, index: ItemIndex, params: Params, seed: int) -> _Users:
    places_E = index.places(sample.item_ids)
    items_UL = _padded(sample, places_E >= 0, places_E + 1, params.length + 1)
    weights_UL = _padded(sample, places_E >= 0, sample.weights.astype(np.float32), params.length + 1)
    taught_U = np.flatnonzero((items_UL != PAD).sum(axis=1) >= 2)
    drawn_U = np.random.default_rng([seed, 0]).permutation(taught_U)
    held = min(MOST_VALIDATION, max(1, round(VALIDATION_SHARE * len(drawn_U))))
    training_U = drawn_U[held:] if len(drawn_U) > 1 else drawn_U
    return _Users(items_UL, weights_UL, training_U, drawn_U[:held], params, seed)


def _most_frequent(item_ids: np.ndarray, most: int) -> np.ndarray:
    """Ids in ascending order; ties go to the lower id."""
    ids, counts = np.unique(item_ids.astype(str), return_counts=True)
    chosen = np.sort(np.argsort(-counts, kind="stable")[:most])
    return ids[chosen].astype(object)


def _fresh(num_codes: int, params: Params, seed: int) -> SasRec:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "sasrec"))
        return SasRec(
            num_codes=num_codes,
            length=params.length,
            hidden=params.hidden,
            blocks=params.blocks,
            dropout=params.dropout,
            negatives=params.negatives,
        )

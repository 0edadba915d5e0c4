"""A small law with known marginals and conditionals, and a short training on it, for tests of row generators."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from clickweave.codec.spec import BINS, VALUES, CodecSpec, ColumnSpec
from clickweave.config.stages import TrainConfig
from clickweave.models import registry
from clickweave.models.protocol import Batch
from clickweave.training.comms import NullComm
from clickweave.training.flat import FlatNetworks
from clickweave.training.loop import Run, train

SHARES = np.array([0.5, 0.3, 0.15, 0.05])  # of the items
CLICKS = np.array([0.9, 0.6, 0.3, 0.1])  # click rate of each item
WIDE = 300  # values of the column with digits, where there is one


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def law(num_rows, seed=0, wide=False):
    """item ~ SHARES; click ~ CLICKS[item]; the price's bin is the item's, its place in the bin Beta(4, 1).

    With `wide` a fourth column whose first digit is the item, uniform over its 75 values, and its codes' tables.
    """
    draws = np.random.default_rng(seed)
    item = draws.choice(4, size=num_rows, p=SHARES)
    click = (draws.random(num_rows) < CLICKS[item]).astype(int)
    columns = [item + 2, click + 2, item + 1]
    place = draws.beta(4.0, 1.0, size=num_rows)
    tables = {}
    if wide:
        kind = draws.integers(WIDE // 4, size=num_rows) * 4 + item
        columns.append(kind + 2)
        digits = np.r_[[[0], [0]], 1 + np.arange(WIDE)[:, None] % 4].astype(np.uint8)
        vectors = np.random.default_rng(1).normal(size=(WIDE + 2, 32))
        vectors[:2] = 0
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        tables = {"sku.digits": digits, "sku.vectors": vectors.astype(np.float16)}
    batch = Batch(torch.from_numpy(np.stack(columns, 1)), torch.from_numpy(place[:, None]).float())
    return codec_of(batch, wide), batch, tables


def codec_of(batch, wide=False):
    counts = [np.bincount(batch.codes_BC[:, n], minlength=size) for n, size in enumerate((6, 4, 5))]
    columns = [
        ColumnSpec("item_id", VALUES, "string", values=tuple("abcd"), counts=tuple(counts[0][2:].tolist())),
        ColumnSpec("label", VALUES, "long", values=("0", "1"), counts=tuple(counts[1][2:].tolist())),
        ColumnSpec(
            "price", BINS, "double", lows=(0.0, 1.0, 2.0, 3.0), highs=(1.0, 2.0, 3.0, 4.0), counts=tuple(counts[2][1:])
        ),
    ]
    if wide:
        seen = tuple(np.bincount(batch.codes_BC[:, 3], minlength=WIDE + 2)[2:].tolist())
        names = tuple(f"s{n}" for n in range(WIDE))
        columns.append(ColumnSpec("sku", VALUES, "string", values=names, counts=seen, num_digits=1))
    return CodecSpec(tuple(columns), batch.num_rows, "toy")


class InMemory:
    """A `Source` of the rows of two batches."""

    def __init__(self, train_rows, validation_rows, batch_rows):
        self.rows, self.held, self.batch_rows = train_rows, validation_rows, batch_rows

    def train(self, epoch):
        order = torch.randperm(self.rows.num_rows, generator=rng(epoch))
        for places in order.split(self.batch_rows):
            yield Batch(self.rows.codes_BC[places], self.rows.positions_BP[places])

    def validation(self):
        for places in torch.arange(self.held.num_rows).split(self.batch_rows):
            yield Batch(self.held.codes_BC[places], self.held.positions_BP[places])


def fresh(name, codec, tables=None, seed=0, **own):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return registry.build(name, codec, registry.params(name)(**own), tables or {})


def fitted(generator, rows, held, *, epochs=6, batch_rows=100, learning_rate=0.004, patience=99):
    """Trains with the real loop on one rank; returns the history."""
    config = TrainConfig(epochs=epochs, batch_size=batch_rows, learning_rate=learning_rate, patience=patience)
    flats, source = FlatNetworks(generator, weight_decay=0.0), InMemory(rows, held, batch_rows)
    best_A, history = flats.weights_A(), []
    steps = rows.num_rows // batch_rows
    train(Run(generator, flats, source, steps, config, NullComm(), 0, "toy"), history, best_A, lambda *_: None)
    flats.set_weights(best_A)
    generator.train(False)
    generator.finish(source.train(0), rng(), lambda flat, name: None)
    return history


@pytest.fixture(scope="session")
def toys():
    """The functions above, for tests."""
    return SimpleNamespace(rng=rng, law=law, fresh=fresh, fitted=fitted)

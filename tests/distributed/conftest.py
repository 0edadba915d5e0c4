"""Token shards of a small law, and jobs over them, for real Horovod ranks."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clickweave.codec.spec import BINS, VALUES, CodecSpec, ColumnSpec
from clickweave.config.stages import TrainConfig
from clickweave.models.vae.params import Params
from clickweave.training.job import make_job

LEVELS = 4
NAMES = tuple(str(level) for level in range(LEVELS))
NUM_ROWS = 4000


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """The codec and a folder of shards: label = item 9 times of 10, the price's bin is the item's."""
    folder = tmp_path_factory.mktemp("shards")
    for part, count, seed in (("part=train", NUM_ROWS, 0), ("part=validation", NUM_ROWS // 4, 1)):
        rng = np.random.default_rng(seed)
        item = rng.integers(LEVELS, size=count)
        label = np.where(rng.random(count) < 0.9, item, rng.integers(LEVELS, size=count))
        columns = {
            "code_item_id": (item + 2).astype("int32"),
            "code_label": (label + 2).astype("int32"),
            "code_price": (item + 1).astype("int32"),
            "position_price": rng.beta(4.0, 1.0, size=count).astype("float32"),
        }
        (folder / part).mkdir()
        for number, rows in enumerate(np.array_split(np.arange(count), 8)):
            table = pa.table({name: values[rows] for name, values in columns.items()})
            pq.write_table(table, folder / part / f"{number}.parquet", write_page_checksum=True)
    counts = (NUM_ROWS // LEVELS,) * LEVELS
    columns = (
        ColumnSpec("item_id", VALUES, "string", values=NAMES, counts=counts),
        ColumnSpec("label", VALUES, "long", values=NAMES, counts=counts),
        ColumnSpec("price", BINS, "double", lows=(0.0, 1.0, 2.0, 3.0), highs=(1.0, 2.0, 3.0, 4.0), counts=counts),
    )
    return CodecSpec(columns, NUM_ROWS, "toy"), folder


@pytest.fixture
def make(shards, tmp_path):
    """A function that makes a job and its config: make(launcher, ranks, folder=..., **train)."""

    def make(launcher, ranks, out=None, folder=None, **train):
        codec, known = shards
        model = Params(latent_dim=4)
        fixed = {
            "generator": "vae",
            "epochs": 6,
            "patience": 6,
            "batch_size": 100,
            "learning_rate": 0.02,
            "model": model,
        }
        config = TrainConfig(**{**fixed, "launcher": launcher, "ranks": ranks, **train})
        out_dir = str(tmp_path / (out or f"{launcher}-{ranks}"))
        return make_job(codec, config, shards=str(folder or known), ranks=ranks, out_dir=out_dir), config

    return make

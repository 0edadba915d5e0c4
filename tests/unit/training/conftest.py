"""A small law with a known dependency, as token shards on disk."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clickweave.codec.spec import BINS, VALUES, CodecSpec, ColumnSpec
from clickweave.config.stages import TrainConfig
from clickweave.models.vae.params import Params
from clickweave.training.job import make_job

LEVELS = 4
BIN_EDGES = (0.0, 1.0, 2.0, 3.0, 4.0)
SMALL = Params(latent_dim=4)


def draw_rows(num_rows, seed):
    """item ~ uniform over 4; label = item 9 times of 10; the price's bin is the item's, skewed to its upper end."""
    rng = np.random.default_rng(seed)
    item = rng.integers(LEVELS, size=num_rows)
    label = np.where(rng.random(num_rows) < 0.9, item, rng.integers(LEVELS, size=num_rows))
    return item, label, rng.beta(4.0, 1.0, size=num_rows)


def make_codec(num_rows):
    item, label, _ = draw_rows(num_rows, 0)
    names = tuple(str(level) for level in range(LEVELS))
    items, labels = (tuple(np.bincount(values, minlength=LEVELS).tolist()) for values in (item, label))
    bins = ColumnSpec("price", BINS, "double", lows=BIN_EDGES[:-1], highs=BIN_EDGES[1:], counts=items)
    item_column = ColumnSpec("item_id", VALUES, "string", values=names, counts=items)
    label_column = ColumnSpec("label", VALUES, "long", values=names, counts=labels)
    return CodecSpec((item_column, label_column, bins), num_rows, "toy")


@pytest.fixture
def write_shards(tmp_path):
    """Writes train and validation shards in several row groups; returns the codec and the folder."""

    def write(num_rows=2000, num_files=5):
        for part, count, seed in (("part=train", num_rows, 0), ("part=validation", max(num_rows // 5, 1), 1)):
            item, label, position = draw_rows(count, seed)
            columns = {
                "code_item_id": (item + 2).astype("int32"),
                "code_label": (label + 2).astype("int32"),
                "code_price": (item + 1).astype("int32"),
                "position_price": position.astype("float32"),
            }
            (tmp_path / "shards" / part).mkdir(parents=True, exist_ok=True)
            for number, rows in enumerate(np.array_split(np.arange(count), num_files)):
                table = pa.table({name: values[rows] for name, values in columns.items()})
                path = tmp_path / "shards" / part / f"{number}.parquet"
                pq.write_table(table, path, write_page_checksum=True, compression="NONE", use_dictionary=False)
        return make_codec(num_rows), str(tmp_path / "shards")

    return write


@pytest.fixture
def toy_job(write_shards, tmp_path):
    """A function that makes a job over the toy shards."""
    codec, shards = write_shards()

    def make(out="out", ranks=1, **train):
        config = TrainConfig(
            **{"generator": "vae", "epochs": 3, "batch_size": 100, "learning_rate": 0.01, "model": SMALL, **train}
        )
        return make_job(codec, config, shards=shards, ranks=ranks, out_dir=str(tmp_path / out))

    return make

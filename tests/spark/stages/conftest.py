"""Single stages in a workspace of their own."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy

from clickweave.codec.decode import Decoder, HistoryDecoder
from clickweave.codec.spec import ENTITY, EVENT, CodecSpec
from clickweave.contracts.manifest import Manifest
from clickweave.stages.context import StageRun
from clickweave.store import files
from clickweave.store.workspace import Workspace


@pytest.fixture(scope="session")
def stages_in(spark):
    """folder -> (stage module, recipe -> its result and run, committed to a workspace in that folder)."""

    def make(folder):
        place = Workspace(str(folder / "w"))

        def run(module, recipe):
            name = module.__name__.rpartition(".")[2]
            step = StageRun(name, f"{name} key", recipe, place, place.new_attempt(name), lambda: spark, lambda _: None)
            result = module.run(step)
            about = {
                "key": step.key,
                "run_id": step.key,
                "seed": 0,
                "config_hash": "",
                "code_version": "",
                "inputs": {},
                "fitted": getattr(result, "fitted", {}),
                "metrics": getattr(result, "metrics", {}),
            }
            place.commit(Manifest(stage=name, outputs=step.outputs, rows=result.rows, **about))
            return result, step

        return run

    return make


@pytest.fixture
def stage_on(stages_in, tmp_path):
    """stage module, recipe -> its result and run, in a workspace of the test's own."""
    return stages_in(tmp_path)


@pytest.fixture(scope="session")
def sample_again():
    """A stage in place of sample, whose generator gives the training rows back."""
    return SimpleNamespace(__name__="clickweave.stages.sample", run=_same_rows)


def _same_rows(step):
    """The training shards, decoded as if they had been generated."""
    codec = CodecSpec.from_json(files.read_bytes(step.workspace.output("encode", "codec")).decode())
    shards = pq.read_table(step.workspace.output("encode", "shards")).to_pandas()
    tables = safetensors.numpy.load(files.read_bytes(step.workspace.output("encode", "tables")))
    rng = np.random.default_rng(0)

    def parts(rows, columns):
        codes = rows[[f"code_{column.name}" for column in columns]].to_numpy()
        return codes, rows[[f"position_{c.name}" for c in columns if c.has_position]].to_numpy()

    if codec.grain == ENTITY:
        first = shards["place"] == 0
        owner = np.cumsum(first) - 1
        about, events = parts(shards[first], codec.at_level(ENTITY)), parts(shards, codec.at_level(EVENT))
        rows = HistoryDecoder(codec, tables)(*about, owner.to_numpy(), *events, shards["time_us"].to_numpy(), rng)
        rows = rows.append_column("block", pa.array(np.zeros(len(shards), np.int64)))
    else:
        rows = Decoder(codec, tables)(*parts(shards, codec.columns), rng)
        rows = rows.append_column("block", pa.array(np.arange(len(shards)) // 64))
        rows = rows.append_column("place", pa.array(np.arange(len(shards)) % 64))
    step.write("raw", step.spark.createDataFrame(pa.Table.from_batches([rows])))
    return SimpleNamespace(rows={"sampled": len(shards)})

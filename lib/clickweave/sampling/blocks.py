"""Generation inside Spark tasks: blocks of rows, each with a seed of its own, so that partitions do not matter."""

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import torch
from pyspark import Broadcast
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from clickweave.codec.decode import Decoder, decoded_schema
from clickweave.codec.spec import CodecSpec
from clickweave.config.stages import SampleConfig
from clickweave.training.bundle import Bundle, open_bundle

_OPENED: dict[str, tuple[Bundle, Decoder]] = {}


def sample_rows(
    spark: SparkSession, bundle: dict[str, bytes], spec: CodecSpec, num_rows: int, config: SampleConfig
) -> DataFrame:
    """`num_rows` generated rows in decoded columns, after `block` and `place` (row in the block), both int64.

    The bundle is broadcast once per executor and opened once per Python worker.
    """
    shared = spark.sparkContext.broadcast(bundle)
    num_blocks = -(-num_rows // config.block_rows)
    slots = max(1, min(num_blocks, 4 * spark.sparkContext.defaultParallelism))
    blocks = spark.range(0, num_blocks, 1, slots).withColumnRenamed("id", "block")
    places = [pa.field("block", pa.int64()), pa.field("place", pa.int64())]
    schema = pa.schema([*places, *decoded_schema(spec)])
    generate = _Generate(shared, num_rows, config.block_rows, config.temperature, config.seed)
    return blocks.mapInArrow(generate, from_arrow_schema(schema))


class _Generate:
    """What a task runs; picklable, holds no session and no model."""

    def __init__(self, shared: Broadcast, num_rows: int, block_rows: int, temperature: float, seed: int) -> None:
        self._shared, self._num_rows, self._block_rows = shared, num_rows, block_rows
        self._temperature, self._seed = temperature, seed

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        torch.set_num_threads(1)
        bundle, decoder = _opened(self._shared.value)
        for batch in batches:
            for block in batch.column("block").to_pylist():
                yield self._block(bundle, decoder, block)

    def _block(self, bundle: Bundle, decoder: Decoder, block: int) -> pa.RecordBatch:
        num = min(self._block_rows, self._num_rows - block * self._block_rows)
        seed = block_seed(self._seed, block)
        drawn = bundle.generator.sample(num, torch.Generator().manual_seed(seed), self._temperature)
        rows = decoder(drawn.codes_BC.numpy(), drawn.positions_BP.numpy(), np.random.default_rng(seed))
        places = [pa.array(np.full(num, block)), pa.array(np.arange(num))]
        return pa.RecordBatch.from_arrays([*places, *rows.columns], names=["block", "place", *rows.schema.names])


def block_seed(seed: int, block: int) -> int:
    """A 63-bit seed for one block, by SHA-256: blocks are independent of each other and of partitions."""
    return int.from_bytes(hashlib.sha256(f"sample {seed} {block}".encode()).digest()[:8], "big") >> 1


def _opened(bundle: dict[str, bytes]) -> tuple[Bundle, Decoder]:
    key = hashlib.sha256(bundle["MANIFEST.json"]).hexdigest()
    if key not in _OPENED:
        _OPENED.clear()
        opened = open_bundle(bundle)
        _OPENED[key] = (opened, Decoder(opened.codec))
    return _OPENED[key]

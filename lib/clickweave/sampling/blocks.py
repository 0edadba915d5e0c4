"""Generation inside Spark tasks: blocks of rows, each with a seed of its own, so that partitions do not matter."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pyspark import Broadcast
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from clickweave.codec.decode import Decoder, HistoryDecoder, decoded_schema
from clickweave.codec.spec import ENTITY, ROW, CodecSpec
from clickweave.config.stages import SampleConfig
from clickweave.models.columns import freeze
from clickweave.models.histories import EVENTS_OF_A_HISTORY, Histories
from clickweave.models.journey.network import Journey
from clickweave.models.protocol import Batch, Generator
from clickweave.training.bundle import Bundle, open_bundle

Decode = Callable[[Any, np.random.Generator], pa.RecordBatch]  # what a generator drew, as rows

_OPENED: dict[str, tuple[Bundle, Decode]] = {}


def sample_blocks(
    spark: SparkSession, bundle: dict[str, bytes], spec: CodecSpec, wanted: int, config: SampleConfig
) -> DataFrame:
    """`wanted` generated rows, at grain entity histories, in decoded columns after `block` (int64).

    `place` is the row's number in its block, or the event's in its history, which `entity_place` numbers in the
    block. The bundle is broadcast once per executor and opened once per Python worker.
    """
    size, num_blocks = block_size(spec, config), num_blocks_of(spec, wanted, config)
    shared = spark.sparkContext.broadcast(bundle)
    slots = max(1, min(num_blocks, 4 * spark.sparkContext.defaultParallelism))
    blocks = spark.range(0, num_blocks, 1, slots).withColumnRenamed("id", "block")
    places = [pa.field("place", pa.int64())] if spec.grain == ROW else []
    schema = pa.schema([pa.field("block", pa.int64()), *decoded_schema(spec), *places])
    return blocks.mapInArrow(_Generate(shared, wanted, size, config), from_arrow_schema(schema))


def block_size(spec: CodecSpec, config: SampleConfig) -> int:
    """Rows, at grain entity histories, of one block."""
    return config.block_rows if spec.grain == ROW else max(1, config.block_rows // EVENTS_OF_A_HISTORY)


def num_blocks_of(spec: CodecSpec, wanted: int, config: SampleConfig) -> int:
    """Blocks that `wanted` rows or histories need."""
    return -(-wanted // block_size(spec, config))


class _Generate:
    """What a task runs; picklable, holds no session and no model."""

    def __init__(self, shared: Broadcast, wanted: int, size: int, config: SampleConfig) -> None:
        self._shared, self._wanted, self._size, self._config = shared, wanted, size, config

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        torch.set_num_threads(1)
        bundle, decode = opened(self._shared.value)
        for batch in batches:
            for block in batch.column("block").to_pylist():
                yield self._block(bundle.generator, decode, block)

    def _block(self, generator: Generator | Journey, decode: Decode, block: int) -> pa.RecordBatch:
        num = min(self._size, self._wanted - block * self._size)
        seed = block_seed(self._config.seed, block)
        rng = torch.Generator().manual_seed(seed)
        with torch.inference_mode():
            drawn = generator.sample(num, rng, self._config.temperature, self._config.top_p)
        rows = decode(drawn, np.random.default_rng(seed))
        blocks = pa.array(np.full(rows.num_rows, block))
        return pa.RecordBatch.from_arrays([blocks, *rows.columns], names=["block", *rows.schema.names])


def block_seed(seed: int, block: int) -> int:
    """A 63-bit seed for one block, by SHA-256: blocks are independent of each other and of partitions."""
    return int.from_bytes(hashlib.sha256(f"sample {seed} {block}".encode()).digest()[:8], "big") >> 1


def _decode(codec: CodecSpec, tables: Mapping[str, np.ndarray]) -> Decode:
    """How draws of this codec's generators become decoded rows with `place`, and at grain entity `entity_place`."""
    if codec.grain == ENTITY:
        decode_histories = HistoryDecoder(codec, tables)

        def of_histories(drawn: Histories, rng: np.random.Generator) -> pa.RecordBatch:
            return decode_histories(
                drawn.entities.codes_BC.numpy(),
                drawn.entities.positions_BP.numpy(),
                drawn.owner_R.numpy(),
                drawn.events.codes_BC.numpy(),
                drawn.events.positions_BP.numpy(),
                drawn.time_us_R.numpy(),
                rng,
            )

        return of_histories
    decode_rows = Decoder(codec, tables)

    def of_rows(drawn: Batch, rng: np.random.Generator) -> pa.RecordBatch:
        rows = decode_rows(drawn.codes_BC.numpy(), drawn.positions_BP.numpy(), rng)
        return rows.append_column("place", pa.array(np.arange(rows.num_rows)))

    return of_rows


def opened(bundle: dict[str, bytes]) -> tuple[Bundle, Decode]:
    """The bundle and how its draws become rows; opened once per Python worker."""
    key = hashlib.sha256(bundle["MANIFEST.json"]).hexdigest()
    if key not in _OPENED:
        _OPENED.clear()
        found = open_bundle(bundle)
        if found.codec.grain == ROW:  # of histories ever fewer go on together: few rows cost less as it is
            freeze(found.generator)
        _OPENED[key] = (found, _decode(found.codec, found.tables))
    return _OPENED[key]

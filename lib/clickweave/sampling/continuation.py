"""Real histories that go on, inside Spark tasks: each block of them has a seed of its own."""

from collections.abc import Iterator
from typing import cast

import numpy as np
import pyarrow as pa
import torch
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from clickweave.codec.decode import decoded_schema
from clickweave.codec.spec import ENTITY, EVENT, PLACE, TIME_US, CodecSpec
from clickweave.config.stages import SampleConfig
from clickweave.frames.align.continued import CONTINUES
from clickweave.frames.draws import unit_draw
from clickweave.models.histories import Histories
from clickweave.models.journey.network import Journey
from clickweave.models.protocol import Batch
from clickweave.sampling.blocks import Decode, block_seed, num_blocks_of, opened
from clickweave.training.histories import at_level


def continued_blocks(
    coded: DataFrame,
    bundle: dict[str, bytes],
    spec: CodecSpec,
    wanted: int,
    first_block: int,
    config: SampleConfig,
    *,
    of: int,
) -> DataFrame:
    """Further events of about `wanted` of these `of` histories, in the columns of `sample_blocks` and `continues`.

    `place` goes on where the history ended. Which histories, and in which block, is a hash of their entity_id. One
    shuffle by block; a task holds one block of whole histories.

    Args:
        coded: token shards of whole histories, with entity_id and `continues`.
        first_block: number of the first block, beyond those of new histories.
    """
    chosen = unit_draw("entity_id", salt="continue", seed=config.seed) < min(1.0, wanted / of)
    num_blocks = num_blocks_of(spec, wanted, config)
    drawn = unit_draw("entity_id", salt="continue block", seed=config.seed) * num_blocks
    block = (F.floor(drawn) + F.lit(first_block)).alias("block")
    told = ("entity_id", CONTINUES, PLACE, TIME_US, *spec.code_columns, *spec.position_columns)
    blocks = coded.where(chosen).select(block, *told).repartition("block")
    rows = blocks.sortWithinPartitions("block", "entity_id", PLACE)
    schema = pa.schema([pa.field("block", pa.int64()), *decoded_schema(spec), pa.field(CONTINUES, pa.string())])
    shared = coded.sparkSession.sparkContext.broadcast(bundle)
    return rows.mapInArrow(_Continue(shared, config), from_arrow_schema(schema))


class _Continue:
    """What a task runs; picklable, holds no session and no model."""

    def __init__(self, shared: Broadcast, config: SampleConfig) -> None:
        self._shared, self._config = shared, config

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        torch.set_num_threads(1)
        bundle, decode = opened(self._shared.value)
        generator = cast("Journey", bundle.generator)
        for block in whole_blocks(batches):
            yield self._block(generator, bundle.codec, decode, block)

    def _block(self, generator: Journey, codec: CodecSpec, decode: Decode, block: pa.Table) -> pa.RecordBatch:
        number = block.column("block")[0].as_py()
        seed = block_seed(self._config.seed, number)
        rng = torch.Generator().manual_seed(seed)
        given = histories_of(block, codec)
        how = self._config.temperature, self._config.top_p
        with torch.inference_mode():
            drawn = generator.continue_histories(given, self._config.continue_events, rng, *how)
        rows = decode(drawn, np.random.default_rng(seed))
        lengths_N = torch.bincount(given.owner_R)
        places = rows.column(PLACE).to_numpy() + lengths_N[drawn.owner_R].numpy()
        first = pa.array((lengths_N.cumsum(0) - lengths_N)[drawn.owner_R].numpy())
        found = {name: rows.column(name) for name in rows.schema.names}
        found |= {"block": pa.array(np.full(rows.num_rows, number)), PLACE: pa.array(places, pa.int32())}
        found[CONTINUES] = block.column(CONTINUES).combine_chunks().take(first)
        names = ["block", *rows.schema.names, CONTINUES]
        return pa.RecordBatch.from_arrays([found[name] for name in names], names=names)


def whole_blocks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows of each block together, from batches in which blocks follow one another."""
    kept: list[pa.RecordBatch] = []
    for batch in batches:
        numbers = batch.column("block").to_numpy()
        ends = [*(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
        start = 0
        for end in ends if len(numbers) else []:
            if kept and kept[0].column("block")[0].as_py() != numbers[start]:
                yield pa.Table.from_batches(kept)
                kept = []
            kept.append(batch.slice(start, end - start))
            start = end
    if kept:
        yield pa.Table.from_batches(kept)


def histories_of(block: pa.Table, codec: CodecSpec) -> Histories:
    """The block's histories, one after another."""
    codes_RC = np.stack([block.column(name).to_numpy() for name in codec.code_columns], axis=1)
    positions = [block.column(name).to_numpy() for name in codec.position_columns]
    positions_RP = np.stack(positions, axis=1) if positions else np.zeros((block.num_rows, 0))
    batch = Batch(torch.from_numpy(codes_RC.astype(np.int64)), torch.from_numpy(positions_RP.astype(np.float32)))
    first_R = torch.from_numpy(block.column(PLACE).to_numpy() == 0)
    about = at_level(batch, codec, ENTITY)
    return Histories(
        Batch(about.codes_BC[first_R], about.positions_BP[first_R]),
        at_level(batch, codec, EVENT),
        first_R.long().cumsum(0) - 1,
        torch.from_numpy(block.column(TIME_US).to_numpy().astype(np.int64)),
    )

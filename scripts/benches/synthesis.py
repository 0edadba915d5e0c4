"""A workspace as it is before align, without a trained generator; and how long a stage takes in it."""

import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType

import numpy as np
import psutil
import pyarrow as pa
import safetensors.numpy
import torch
from benches.ids import peak_mib
from benches.measure import Stopwatch, jvm_of
from benches.roles import PART_EVENTS
from pyspark import Broadcast
from pyspark.cloudpickle import register_pickle_by_value
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from clickweave.codec.decode import HistoryDecoder, decoded_schema
from clickweave.codec.spec import ENTITY, EVENT, LENGTH, CodecSpec, ColumnSpec
from clickweave.config.load import load_recipe
from clickweave.config.stages import SampleConfig
from clickweave.contracts.manifest import Manifest
from clickweave.jobkit.cli import VARIANTS
from clickweave.jobkit.session import make_session
from clickweave.sampling.blocks import block_seed, block_size, num_blocks_of, opened
from clickweave.stages.context import StageResult, StageRun
from clickweave.store.tables import count_rows, read_table
from clickweave.store.workspace import Workspace
from clickweave.training.bundle import load_bundle_files, open_bundle

register_pickle_by_value(sys.modules[__name__])  # executors do not know this folder


class Bench:
    """A recipe in a workspace, with a session, whose stages run one by one as often as wanted."""

    def __init__(self, recipe: Path, root: Path) -> None:
        self.recipe, self.root = load_recipe(str(recipe), VARIANTS), root
        self.workspace, self.spark = Workspace(str(root)), make_session(self.recipe.spark, "bench_synthesis")

    def run(self, stage: ModuleType) -> Stopwatch:
        """Runs a stage's own code, commits what it wrote, and tells what it took."""
        run, watch = self._started(stage.__name__.rpartition(".")[2]), Stopwatch(jvm_of(self.spark))
        with watch:
            result = stage.run(run)
        self._commit(run, result)
        return watch

    def copied(self) -> tuple[Stopwatch, int]:
        """What it takes to read and write what align and mix are about, real rows and synthetic ones; and how many."""
        real = read_table(self.spark, self.workspace.output("ingest", "real")).drop("part")
        made = read_table(self.spark, self.workspace.output("align", "synthetic"))
        watch = Stopwatch(jvm_of(self.spark))
        with watch:
            real.unionByName(made).write.mode("overwrite").parquet(str(self.root / "copy"))
        return watch, count_rows(str(self.root / "copy"))

    def blow_up(self, factor: int) -> None:
        """Gives `real` so many times its users and events; ids of all copies but the first are new."""
        done = self.workspace.manifest("ingest")
        real = read_table(self.spark, self.workspace.output("ingest", "real"))
        copy = F.when(F.col("id") > 0, F.concat(F.lit("-"), "id")).otherwise("")
        made = {name: F.concat(name, copy) for name in ("user_id", "session_id", "entity_id")}
        page = F.col("slate_id").cast("bigint") + F.col("id") * PART_EVENTS**2
        made |= {"slate_id": page.cast("string"), "row_id": F.xxhash64("row_id", "id")}
        made["source"] = F.col("source").withField("user", made["user_id"]).withField("page", page)
        copies = real.crossJoin(self.spark.range(factor)).withColumns(made).select(*real.columns)
        run = self._started("ingest", done.key)  # as the codec knows it, so that nothing is moved to other days
        for name in ("items", "users"):
            run.write(name, read_table(self.spark, self.workspace.output("ingest", name)))
        run.write("real", copies, partition_by="part")
        self._commit(run, StageResult({name: factor * rows for name, rows in done.rows.items()}, done.fitted))

    def write_raw(self, factor: int) -> None:
        """What sample would leave: histories in its schema, every column drawn by the codec's counts, by itself."""
        codec_json, tables = (Path(self.workspace.output("encode", name)).read_bytes() for name in ("codec", "tables"))
        codec, config = CodecSpec.from_json(codec_json.decode()), self.recipe.sample
        wanted = round(config.entities * factor * codec.num_entities)
        pool = round(config.pool * wanted)
        context = self.spark.sparkContext
        blocks = self.spark.range(0, num_blocks_of(codec, pool, config), 1, 4 * context.defaultParallelism)
        schema = pa.schema([pa.field("block", pa.int64()), *decoded_schema(codec)])
        draw = _Draw(context.broadcast((codec_json, tables)), pool, block_size(codec, config))
        self._commit(self._started("train"), StageResult())
        run = self._started("sample")
        run.write("raw", blocks.withColumnRenamed("id", "block").mapInArrow(draw, from_arrow_schema(schema)))
        self._commit(run, StageResult({"wanted": wanted, "pool": pool, "sampled": run.outputs["raw"].rows}))

    def peaks_mib(self) -> dict[str, float]:
        """The largest RSS that this process and the JVM had."""
        return {"Python driver": peak_mib("self"), "JVM": peak_mib(jvm_of(self.spark).pid)}

    def _started(self, stage: str, key: str = "") -> StageRun:
        attempt = self.workspace.new_attempt(stage)
        return StageRun(stage, key or stage, self.recipe, self.workspace, attempt, lambda: self.spark, lambda _: None)

    def _commit(self, run: StageRun, result: StageResult) -> None:
        said = result.rows, result.fitted, result.metrics
        self.workspace.commit(Manifest(run.stage, run.key, run.key, 0, "", "", {}, run.outputs, *said))


class _Draw:
    """Draws blocks of histories in a task."""

    def __init__(self, shared: Broadcast, pool: int, size: int) -> None:
        self._shared, self._pool, self._size = shared, pool, size

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        codec_json, tables = self._shared.value
        codec = CodecSpec.from_json(codec_json.decode())
        decode = HistoryDecoder(codec, safetensors.numpy.load(tables))
        for batch in batches:
            for block in batch.column("block").to_pylist():
                rows = self._block(codec, decode, block)
                blocks = pa.array(np.full(rows.num_rows, block))
                yield pa.RecordBatch.from_arrays([blocks, *rows.columns], names=["block", *rows.schema.names])

    def _block(self, codec: CodecSpec, decode: HistoryDecoder, block: int) -> pa.RecordBatch:
        rng, num = np.random.default_rng(block), min(self._size, self._pool - block * self._size)
        length = next(column for column in codec.columns if column.name == LENGTH)
        bins = rng.choice(len(length.counts), num, p=np.asarray(length.counts) / sum(length.counts))
        lows, highs = np.asarray(length.lows)[bins], np.asarray(length.highs)[bins]
        owner = np.repeat(np.arange(num), np.floor(rng.uniform(lows, highs + 1)).astype(int))
        times = rng.integers(codec.window_us[0], codec.window_us[1], len(owner)) // 10**6 * 10**6
        times = times[np.lexsort((times, owner))]
        of_entity, of_event = codec.at_level(ENTITY), codec.at_level(EVENT)
        about = _codes(of_entity, num, rng), _positions(of_entity, num, rng)
        return decode(
            *about, owner, _codes(of_event, len(owner), rng), _positions(of_event, len(owner), rng), times, rng
        )


def _codes(columns: tuple[ColumnSpec, ...], rows: int, rng: np.random.Generator) -> np.ndarray:
    """Codes by their counts, null and rare ones too [rows, columns]."""
    made = []
    for column in columns:
        head = [column.num_null, column.num_rare][: column.num_codes - len(column.counts)]
        cumulated = np.cumsum(np.asarray([*head, *column.counts], dtype=np.float64))
        made.append(np.searchsorted(cumulated, rng.random(rows) * cumulated[-1], side="right"))
    return np.stack(made, 1)


def _positions(columns: tuple[ColumnSpec, ...], rows: int, rng: np.random.Generator) -> np.ndarray:
    return rng.random((rows, sum(column.has_position for column in columns)))


def drawn_bare(pool: ProcessPoolExecutor, cores: int, bench: Bench) -> Stopwatch:
    """What one process per core takes to draw what the stage draws, in the same blocks: codes alone."""
    content = load_bundle_files(bench.workspace.output("train", "bundle"))
    config, codec = bench.recipe.sample, open_bundle(content).codec
    numbers = range(num_blocks_of(codec, int(config.entities), config))
    watch = Stopwatch(psutil.Process())
    with watch:
        shares = [pool.submit(_drawn, content, list(numbers[core::cores]), config) for core in range(cores)]
        for share in shares:
            share.result()
    return watch


def _drawn(content: dict[str, bytes], blocks: list[int], config: SampleConfig) -> None:
    torch.set_num_threads(1)
    bundle, _ = opened(content)
    size = block_size(bundle.codec, config)
    for block in blocks:
        rng = torch.Generator().manual_seed(block_seed(config.seed, block))
        with torch.inference_mode():
            bundle.generator.sample(
                min(size, int(config.entities) - block * size), rng, config.temperature, config.top_p
            )

"""encode: real/train -> codec + token shards in row groups that ranks can share out."""

from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from clickweave.codec.analyse import fit_codec, with_bin_counts
from clickweave.codec.encode import encode_batch, shard_schema
from clickweave.contracts.tables import TRAIN
from clickweave.frames.draws import unit_draw
from clickweave.stages.context import StageResult, StageRun
from clickweave.store import files

INPUTS = ("ingest",)
SECTIONS = ("encode", "log")
GROUPS_TARGET = 64  # row groups wanted where the log is small, so that 8 ranks have 8 each


def run(run: StageRun) -> StageResult:
    """Fits the codec, then writes shards: rows in a seeded order, one row group a file, same files on every run."""
    config, train = run.recipe.encode, run.read_part(TRAIN)
    spec = fit_codec(train, run.recipe.log, config, fitted_on=run.manifest("ingest").key)
    group_rows = max(1, min(config.row_group_rows, spec.num_rows // GROUPS_TARGET))
    num_shards = max(1, spec.num_rows // (8 * group_rows))
    draw = unit_draw("row_id", salt="shard order", seed=config.seed)
    held = unit_draw("row_id", salt="validation", seed=config.seed) < config.validation_share
    names = [column.name for column in spec.columns]
    shuffled = train.select(
        *names, "row_id", draw.alias("_draw"), F.when(held, "validation").otherwise("train").alias("_part")
    )
    shuffled = shuffled.repartition(num_shards, "row_id").sortWithinPartitions("_part", "_draw", "row_id")

    def encode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            coded = encode_batch(spec, batch)
            yield coded.append_column("part", batch.column("_part"))

    schema = shard_schema(spec).append(pa.field("part", pa.string()))
    coded = shuffled.mapInArrow(encode, from_arrow_schema(schema))
    shards = run.write("shards", coded, partition_by="part", max_file_rows=group_rows)
    spec = with_bin_counts(spec, shards)
    files.write_text(run.file("codec.json"), spec.to_json())
    counts = {row["part"]: row["count"] for row in shards.groupBy("part").count().collect()}
    return StageResult({"in": spec.num_rows} | counts, metrics={c.name: c.num_codes for c in spec.columns})

"""encode: real/train -> codec + token shards in row groups that ranks can share out."""

from collections.abc import Iterator
from dataclasses import replace

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType
from safetensors.numpy import save

from clickweave.codec.analyse import fit_codec, with_bin_counts
from clickweave.codec.derived import fit_derived, without_derived
from clickweave.codec.encode import encode_batch, shard_schema
from clickweave.codec.fit_parts import fit_parts
from clickweave.codec.inputs import history_inputs, planned_columns, row_inputs
from clickweave.codec.slates import fit_slates
from clickweave.codec.spec import ENTITY, LENGTH, PLACE, ROW, CodecSpec
from clickweave.codec.tables import fit_tables
from clickweave.codec.times import fit_times, planned_time_parts, with_time_parts
from clickweave.codec.wide import with_cold_items, with_digits, with_wide_codes, without_wide_values
from clickweave.contracts.tables import TRAIN
from clickweave.frames.draws import unit_draw
from clickweave.stages.context import StageResult, StageRun
from clickweave.stages.older_bundle import keep_for_other_days
from clickweave.stages.what_if import new_items
from clickweave.store import files

INPUTS = ("ingest",)
SECTIONS = ("encode", "log")
LEAST_VALIDATING = 50  # events; longer histories validate only where they are no more than a fifth of what validates
GROUPS_TARGET = 64  # row groups wanted where the log is small, so that 8 ranks have 8 each


def run(run: StageRun) -> StageResult:
    """Fits the codec, then writes shards: same rows in the same order in the same files on every run."""
    config, log = run.recipe.encode, run.recipe.log
    new_items(run)  # what is wrong with them is told before training
    grain = config.grain or ROW
    num_rows = run.rows_of_part(TRAIN)
    group_rows = max(1, min(config.row_group_rows, num_rows // GROUPS_TARGET))
    train, items = run.read_part(TRAIN), run.read("ingest", "items")
    if grain == ENTITY:  # a file is a bucket of whole histories
        buckets, max_file_rows, order = max(1, num_rows // group_rows), 0, ["entity_id", PLACE]
        inputs = history_inputs(train.drop("source"), run.read("ingest", "users"), log).persist(StorageLevel.DISK_ONLY)
    else:
        buckets, max_file_rows, order = max(1, num_rows // (8 * group_rows)), group_rows, ["row_id"]
        inputs = row_inputs(train)
    kept = inputs
    implied = fit_derived(inputs, log, grain)
    planned = without_derived(planned_columns(log, grain), implied)
    times = fit_times(inputs, planned, timed=log.event_time is not None, num_bins=config.num_bins)
    inputs, planned = with_time_parts(inputs, times), planned_time_parts(planned, times)
    spec = fit_codec(inputs, planned, config, grain=grain, fitted_on=run.manifest("ingest").key)
    slates = fit_slates(inputs, log) if grain == ENTITY else None
    implied = tuple(each for each in implied if each.by != "entity_id")
    spec = replace(spec, derived=implied, parts=times, slates=slates)
    spec, rows, centroids = fit_parts(
        inputs, planned, spec, config, unit_draw("row_id", salt="sample", seed=config.seed)
    )
    spec = with_digits(with_cold_items(spec, items, max_values=config.max_values), config)
    tables = centroids | fit_tables(inputs, items, spec, log, config.seed)
    files.write_bytes(run.file("tables.safetensors"), save(tables))
    held = unit_draw(order[0], salt="validation", seed=config.seed) < config.validation_share
    if grain == ENTITY:
        held &= F.col(LENGTH) <= max(LEAST_VALIDATING, config.validation_share * num_rows / 5)
    coded = _in_order(rows, spec, held, order, buckets, config.seed)
    shards = run.write("shards", coded, partition_by="part", max_file_rows=max_file_rows)
    kept.unpersist()
    spec = with_bin_counts(spec, shards)
    files.write_text(run.file("codec.json"), spec.to_json())
    keep_for_other_days(run, spec, train)
    counts = {row["part"]: row["count"] for row in shards.groupBy("part").count().collect()}
    return StageResult({"in": spec.num_rows} | counts, metrics={c.name: c.num_codes for c in spec.columns})


def _in_order(rows: DataFrame, spec: CodecSpec, held: Column, order: list[str], buckets: int, seed: int) -> DataFrame:
    """Coded rows with `part`, in `buckets` and a seeded order of their first key; one shuffle by it.

    Args:
        held: which rows validate.
        order: keys of the rows; entity_id stays, since sample goes on with the histories of some entities.
    """
    draw = unit_draw(order[0], salt="shard order", seed=seed)
    keys = {"part": F.when(held, "validation").otherwise("train"), "_draw": draw}
    keys |= {f"_by_{name}": F.col(name) for name in order}
    coded = _coded(rows, spec, keys).repartition(buckets, f"_by_{order[0]}").sortWithinPartitions(*keys)
    coded = coded.withColumnRenamed("_by_entity_id", "entity_id")
    return coded.drop(*[key for key in keys if key != "part"])


def _coded(inputs: DataFrame, spec: CodecSpec, keys: dict[str, Column]) -> DataFrame:
    """Coded rows and their keys; one join for each wide column."""
    names = {f"code_{c.name}" if c.num_digits else c.name for c in spec.columns} | set(spec.history_columns)
    prepared = with_wide_codes(inputs.withColumns(keys), spec).select(*sorted(names), *keys)
    light, key_names = without_wide_values(spec), tuple(keys)  # what tasks get: no frames, no long lists

    def encode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            coded = encode_batch(light, batch)
            for key in key_names:
                coded = coded.append_column(key, batch.column(key))
            yield coded

    fields = [field for field in prepared.schema.fields if field.name in key_names]
    schema = from_arrow_schema(shard_schema(spec))
    return prepared.mapInArrow(encode, StructType([*schema.fields, *fields]))

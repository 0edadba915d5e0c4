"""align: raw synthetic rows -> synthetic: new ids, attributes by join, time window, sessions, the log's own columns."""

from dataclasses import asdict

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clickweave.codec.spec import FIRST_VALUE, CodecSpec
from clickweave.contracts.tables import TRAIN, event_columns
from clickweave.frames import catalogue
from clickweave.frames.align import keys, rows
from clickweave.frames.source_rows import with_source
from clickweave.stages.context import StageResult, StageRun
from clickweave.store import files
from clickweave.store.tables import source_type

INPUTS = ("ingest", "encode", "train", "sample")
SECTIONS = ("align", "log")


def run(run: StageRun) -> StageResult:
    """Writes `synthetic`, one row per raw row, and `users`: the attributes of the synthetic users."""
    log, train = run.recipe.log, run.read_part(TRAIN)
    raw_type = source_type(train)
    entities = _entities(run, train)
    window = rows.fit_time_window(train)
    events = rows.as_events(run.read("sample", "raw"), entities, log, window, run.key, run.recipe.train.generator)
    events = rows.complete(rows.with_sessions(events, log, raw_type, run.key), train)
    items, users = catalogue.sides(log)
    new_users = run.write("users", _new_users(run, entities))
    attributes: dict[str, Column] = {}
    for side, table in ((items, run.read("ingest", "items")), (users, new_users)):
        attributes |= catalogue.raw_attributes(side, raw_type.fieldNames())
        events = catalogue.join_attributes(events, table, side)
    events = with_source(events, log, raw_type, attributes=attributes)
    synthetic = events.select(*event_columns(tuple(log.event_features)))
    synthetic = synthetic.repartition("entity_id").sortWithinPartitions("entity_id", "event_time", "row_id")
    run.write("synthetic", synthetic)
    return StageResult(
        {"in": run.manifest("sample").rows["sampled"], "synthetic": run.outputs["synthetic"].rows},
        fitted=asdict(window),
    )


def _entities(run: StageRun, train: DataFrame) -> DataFrame | None:
    """Entity code -> real and new id; None where each row is its own entity."""
    log = run.recipe.log
    space = rows.entity_space(log, source_type(train))
    if space is None or log.entity_column is None:
        return None
    real = run.read("ingest", "real")
    keys.check_free(real, log.entity_column, space)
    codec = CodecSpec.from_json(files.read_bytes(run.workspace.output("encode", "codec")).decode())
    values = next(column.values for column in codec.columns if column.is_entity)
    table = rows.entity_table(run.spark, values, FIRST_VALUE, space, run.key)
    keys.check_distinct(table, "new_id")
    return table


def _new_users(run: StageRun, entities: DataFrame | None) -> DataFrame:
    """Attributes of synthetic users under their new ids: those of the users whose code they re-enact."""
    users = run.read("ingest", "users")
    if entities is None or run.recipe.log.user is None:
        return users.limit(0)
    renamed = entities.select(F.col("real_id").alias("user_id"), "new_id")
    joined = renamed.join(users, "user_id", "left")
    return joined.withColumn("user_id", F.col("new_id")).select(*users.columns)

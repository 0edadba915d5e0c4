"""align: raw synthetic rows -> synthetic: new ids, attributes by join, time window, sessions, the log's own columns."""

from dataclasses import asdict
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from clickweave.codec.spec import (
    ENTITY,
    EVENT_CLOCK,
    FIRST_VALUE,
    PLACE,
    PROFILE_PREFIX,
    SINCE,
    TEXT,
    CodecSpec,
    ColumnSpec,
)
from clickweave.contracts.tables import REFERENCE, TRAIN, event_columns, feature_column
from clickweave.frames import catalogue
from clickweave.frames.align import derived, keys, rows, slates, texts
from clickweave.frames.align.continued import (
    CONTINUES,
    continued_rows,
    count_targeted,
    last_of_each,
    with_own_values,
    with_sessions_gone_on,
    without_copied_runs,
)
from clickweave.frames.align.copies import drop_copied_runs
from clickweave.frames.align.times import with_times
from clickweave.frames.source_rows import with_source
from clickweave.stages.context import StageResult, StageRun
from clickweave.stages.fitting import Fitting
from clickweave.stages.new_users import attributes_of_new, told_in_words, without_rare
from clickweave.stages.older_bundle import implied_values, in_these_days, with_older, with_older_histories
from clickweave.stages.what_if import numbers_of
from clickweave.store import files
from clickweave.store.tables import source_type

INPUTS = ("ingest", "encode", "train", "sample")
SECTIONS = ("align", "log")


def run(run: StageRun) -> StageResult:
    """Writes `synthetic`, one row per raw row that fits, and `users`: attributes of synthetic users."""
    log, train = run.recipe.log, run.read_part(TRAIN)
    codec = CodecSpec.from_json(files.read_bytes(run.workspace.output("encode", "codec")).decode())
    raw_type = source_type(train)
    placed, other_days = in_these_days(run, codec, run.read("sample", "raw"), train)
    entities, numbered = _with_ids(run, codec, placed, train)  # before a join that each look at ids would repeat
    raw, replaced = _without_private_texts(run, codec, numbered, train)
    window = rows.fit_time_window(train, step_us=_step_us(codec))
    events, goes_on = _in_the_window(run, codec, raw, train, window)
    events = _with_derived(run, codec, events, entities, train)
    events = rows.with_sessions(events, log, raw_type, run.key)
    if goes_on is not None:
        events = _as_real_ones(run, codec, events, last_of_each(goes_on))
    events = rows.complete(slates.with_shared_ids(events, log), train)
    real_users = run.read("ingest", "users")
    everybody = with_older(run, codec, real_users, "users", "user_id")
    new_users = attributes_of_new(run, entities, raw if codec.grain == ENTITY else None, everybody, train)
    everyone = new_users if goes_on is None else new_users.unionByName(real_users)
    known, reference = (_with_attributes(run, run.read_part(part), real_users) for part in (TRAIN, REFERENCE))
    fitting = Fitting(run, codec, known, reference)
    try:
        made = _written(run, fitting.to_real(_with_attributes(run, events, everyone)), raw_type)
    finally:
        fitting.close()
    run.write("users", new_users.join(made.select("user_id").distinct(), "user_id", "left_semi"))
    told: dict[str, Any] = {"replaced_texts": replaced} if replaced else {}
    if run.recipe.sample.targets:
        told["targets"] = count_targeted(made)
    return StageResult(
        {"in": run.manifest("sample").rows["sampled"], "synthetic": run.outputs["synthetic"].rows},
        fitted=asdict(window) | fitting.fitted,
        metrics=told | {"steps": fitting.steps} | other_days,
    )


def _written(run: StageRun, events: DataFrame, raw_type: StructType) -> DataFrame:
    """The events in the log's own columns, written entity by entity in order of time."""
    log, partition = run.recipe.log, run.recipe.source.events.partition
    items, people = catalogue.sides(log)
    day = {} if partition is None else {partition: F.col("event_time").cast("date")}
    attributes = day | catalogue.raw_attributes(items, raw_type) | catalogue.raw_attributes(people, raw_type)
    events = with_source(events, log, raw_type, attributes=attributes)
    ordered = events.repartition("entity_id").sortWithinPartitions("entity_id", "event_time", PLACE, "row_id")
    return run.write("synthetic", ordered.select(*event_columns(tuple(log.event_features))))


def _in_the_window(
    run: StageRun, codec: CodecSpec, raw: DataFrame, train: DataFrame, window: rows.TimeWindow
) -> tuple[DataFrame, DataFrame | None]:
    """Events inside the time window without runs of items that one real entity owns, and the real rows of histories
    that go on, if any do.
    """
    log = run.recipe.log
    inside = rows.cut_to if codec.grain == ENTITY else rows.folded_into
    new = numbers_of(run.recipe)
    events = rows.as_events(raw, log, run.key, run.recipe.train.generator, what_if=new)
    if codec.grain == ENTITY:
        events = events.repartition("entity_id")  # once: slates, runs and sessions are found where histories lie
    events = inside(_with_slates(run, codec, events, source_type(train)), window)
    goes_on = continued_rows(train, events) if CONTINUES in raw.columns else None
    events = with_times(events, {each.name: each.columns[0] for each in codec.parts if each.kind == SINCE})
    if codec.grain != ENTITY or log.item is None or log.event_time is None:
        return events, goes_on
    real = with_older_histories(run, codec, train)
    if goes_on is None:
        return drop_copied_runs(events, real), None
    return without_copied_runs(events, goes_on, real), goes_on


def _with_derived(
    run: StageRun, codec: CodecSpec, events: DataFrame, entities: DataFrame | None, train: DataFrame
) -> DataFrame:
    """Events with the columns that others imply, joined from real/train."""
    for number, each in enumerate(codec.derived):
        values = with_older(run, codec, implied_values(run, each, train), f"values_{number}", each.by)
        if each.by == "user_id" and entities is not None and each.name in told_in_words(run.recipe.log.event_features):
            values = without_rare(run, values, values.withColumnRenamed("user_id", "entity_id"), [each.name])
        events = derived.with_value(events, _under_new_ids(values, entities, each.by), each.by)
    return events


def _with_slates(run: StageRun, codec: CodecSpec, events: DataFrame, raw_type: StructType) -> DataFrame:
    """Events with ids of the slates that were generated; as they are where none were."""
    column = run.recipe.log.slate
    if codec.slates is None or column is None:
        return events
    space = keys.id_space(raw_type[column].dataType)
    keys.check_free(run.read("ingest", "real"), "slate_id", space)
    return slates.with_slates(events, space, run.key, one_query=codec.slates.one_query and "query" in events.columns)


def _as_real_ones(run: StageRun, codec: CodecSpec, events: DataFrame, last: DataFrame) -> DataFrame:
    """Events that go on with real histories in those histories' sessions, with what all of its events have in common.

    Args:
        last: the last real event of each such history.
    """
    log = run.recipe.log
    common = [
        c.name for c in codec.at_level(ENTITY) if c.name in last.columns and c.name.startswith(feature_column(""))
    ]
    events = with_own_values(events, last, *common)
    if log.user is None or log.event_time is None:
        return events
    return with_sessions_gone_on(events, last, gap_s=log.session_gap, mapped=log.session is not None)


def _without_private_texts(
    run: StageRun, codec: CodecSpec, raw: DataFrame, train: DataFrame
) -> tuple[DataFrame, dict[str, int]]:
    """The raw rows with frequent texts in place of those that few users wrote, and how many of each column."""
    found: dict[str, int] = {}
    columns = {column.name: column for column in codec.columns}
    for name in [each.name for each in codec.parts if each.kind == TEXT]:
        real = _real_texts(run, columns[name], train)
        marked = texts.marked_private(raw, texts.private_texts(real, name, min_users=run.recipe.encode.min_users), name)
        found[name] = texts.num_private(marked)
        places = ("block", rows.ENTITY_PLACE) if codec.grain == ENTITY else ("block",)
        key = places if columns[name].level == ENTITY else (*places, "place")
        raw = texts.replaced_private(marked, name, columns[name].values, *key, seed=run.recipe.sample.seed)
    has_key = [F.col(name).isNotNull() for name in ("item_id", "query") if name in raw.columns]
    return raw.where(reduce(Column.__or__, has_key)) if found else raw, found


def _real_texts(run: StageRun, column: ColumnSpec, train: DataFrame) -> DataFrame:
    """Real texts of a column with the entity_id of each, one row per event or, for users' attributes, user."""
    if not column.name.startswith(PROFILE_PREFIX):
        return train
    users = run.read("ingest", "users").join(train.select("user_id").distinct(), "user_id", "left_semi")
    raw_name = feature_column(column.name.removeprefix(PROFILE_PREFIX))
    return users.select(F.col("user_id").alias("entity_id"), F.col(raw_name).alias(column.name))


def _with_ids(run: StageRun, codec: CodecSpec, raw: DataFrame, train: DataFrame) -> tuple[DataFrame | None, DataFrame]:
    """The raw rows with new ids (none where rows are entities), and for row generators code -> real and new id."""
    log = run.recipe.log
    space = rows.entity_space(log, source_type(train))
    if space is None or log.entity_column is None:
        return None, raw
    keys.check_free(run.read("ingest", "real"), log.entity_column, space)
    if codec.grain == ENTITY:
        raw = rows.with_new_ids(raw, rows.fit_entity_numbers(raw), space, run.key)
        keys.check_distinct(raw.where(F.col(PLACE) == 0), rows.NEW_ID)
        return None, raw
    values = next(column.values for column in codec.columns if column.is_entity)
    table = rows.entity_table(run.spark, values, FIRST_VALUE, space, run.key)
    keys.check_distinct(table, "new_id")
    return table, rows.with_reenacted_ids(raw, table)


def _under_new_ids(values: DataFrame, entities: DataFrame | None, key: str) -> DataFrame:
    """Values by real user as values by the new id that re-enacts it."""
    if key != "user_id" or entities is None:
        return values
    renamed = entities.select(F.col("real_id").alias("user_id"), "new_id")
    return renamed.join(values, "user_id").drop("user_id").withColumnRenamed("new_id", "user_id")


def _step_us(codec: CodecSpec) -> int:
    steps = [column.step for column in codec.columns if column.name == EVENT_CLOCK]
    return int(max([1.0, *steps]))


def _with_attributes(run: StageRun, rows: DataFrame, users: DataFrame) -> DataFrame:
    """Events with the attributes of their items and of these users; every row stays once. One join per side that has
    attributes.
    """
    items, people = catalogue.sides(run.recipe.log)
    tables = [(items, run.read_items()), (people, users)]
    told = [(side, table) for side, table in tables if side.features]
    return reduce(lambda joined, each: catalogue.join_attributes(joined, each[1], each[0]), told, rows)

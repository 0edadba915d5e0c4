"""What sample and align do where the bundle was trained on other days than those of this run."""

from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.codec.spec import ENTITY, TIME_US, CodecSpec, Derived
from clickweave.codec.wide import code_table
from clickweave.contracts.tables import TRAIN, feature_column
from clickweave.frames.align import derived
from clickweave.frames.align.continued import CONTINUES
from clickweave.frames.align.days import fit_days, moved, moved_on, with_known_items
from clickweave.stages.context import StageRun

MOST_DRAWS = 10.0  # for each row that stays; where fewer items are known still, fewer rows are made


def of_other_days(run: StageRun, codec: CodecSpec) -> bool:
    """Whether the codec was fitted on another ingest than the finished one."""
    return codec.fitted_on != run.manifest("ingest").key


def num_real(run: StageRun, codec: CodecSpec) -> int:
    """Rows of real/train, at grain entity its histories: of a codec of other days as many as hold so many events."""
    num_rows = run.rows_of_part(TRAIN)
    if codec.grain != ENTITY:
        return num_rows
    return round(num_rows * codec.num_entities / codec.num_rows) if of_other_days(run, codec) else codec.num_entities


def draws_for_one(run: StageRun, codec: CodecSpec) -> float:
    """Rows to draw for one that stays: align leaves those out whose item this run does not know. One join by item."""
    item = next((column for column in codec.columns if column.name == "item_id"), None)
    if item is None or not of_other_days(run, codec):
        return 1.0
    table = pa.table({"item_id": pa.array(item.values, pa.string()), "n": pa.array(item.counts, pa.int64())})
    known = run.spark.createDataFrame(table).join(run.read("ingest", "items"), "item_id", "left_semi")
    found, total = known.agg(F.sum("n")).collect()[0][0] or 0, sum(item.counts)
    return min(MOST_DRAWS, total / found) if found else 1.0


def in_these_days(
    run: StageRun, codec: CodecSpec, raw: DataFrame, train: DataFrame
) -> tuple[DataFrame, dict[str, Any]]:
    """Raw rows of known items in the days of this run, written since several jobs read them, and figures about them;
    as they are where the bundle is of these days.
    """
    if not of_other_days(run, codec):
        return raw, {}
    log, sample = run.recipe.log, run.manifest("sample")
    known = with_known_items(raw, run.read("ingest", "items")) if log.item is not None else raw
    num_known = known.count()
    told = {"older_bundle": sample.metrics.get("older_bundle"), "unknown_items": sample.rows["sampled"] - num_known}
    if log.event_time is None:
        return run.write("within_days", known), told
    days = fit_days(known, train)
    rows = moved(known, days, seed=run.recipe.align.seed)
    if CONTINUES in raw.columns:
        key = "user_id" if log.user is not None else "session_id"
        last = train.groupBy(F.col(key).alias(CONTINUES)).agg(F.max("event_time").alias("_last"))
        rows = rows.unionByName(moved_on(known, days, last))
    made = run.write("within_days", rows)
    figures = {"num": len(days.days), "pieces": days.pieces, "apart": days.apart}
    return made, told | {"days": figures, "after_the_days": num_known - run.outputs["within_days"].rows}


def with_older_histories(run: StageRun, codec: CodecSpec, train: DataFrame) -> DataFrame:
    """entity_id, event_time and item_id of real/train and of the histories that the bundle was trained on, which it may
    know by heart as well; at grain entity. One join by item.
    """
    if not of_other_days(run, codec):
        return train
    item = next(column for column in codec.columns if column.name == "item_id")
    items = code_table(run.spark, item).select(F.col("_code").alias("code_item_id"), F.col("_value").alias("item_id"))
    time = F.timestamp_micros(TIME_US).alias("event_time")
    older = run.read("encode", "shards").join(items, "code_item_id").select("entity_id", time, "item_id")
    return train.select(*older.columns).unionByName(older).distinct()  # days that both have, once


def implied_values(run: StageRun, column: Derived, train: DataFrame) -> DataFrame:
    """One row per key of real/train that has a value of the column which the key implies."""
    spec = run.recipe.log.event_features[column.name.removeprefix(feature_column(""))]
    backed = spec.kind in ("categorical", "text")  # a category, or a text, of few users stays with them
    return derived.values_by_key(train, column.name, column.by, min_users=run.recipe.encode.min_users if backed else 1)


def with_older(run: StageRun, codec: CodecSpec, ours: DataFrame, name: str, key: str) -> DataFrame:
    """A table of this run by key, with rows of keys that only the days of the bundle had, as encode has kept them."""
    if not of_other_days(run, codec) or name not in run.manifest("encode").outputs:
        return ours
    older = run.read("encode", name).join(ours.select(key), key, "left_anti")
    return ours.unionByName(older)


def keep_for_other_days(run: StageRun, codec: CodecSpec, train: DataFrame) -> None:
    """Writes what rows of this codec need to be joined with on days that lack their item or user."""
    for number, each in enumerate(codec.derived):
        run.write(f"values_{number}", implied_values(run, each, train))
    if codec.grain != ENTITY and run.recipe.log.user_features:
        run.write("users", run.read("ingest", "users"))

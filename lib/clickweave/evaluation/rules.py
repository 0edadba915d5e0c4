"""F8: hard rules, counted on Spark over every synthetic row.

Each rule is counted on T as well. A rule that real rows break is no law of this log (an item that stands twice on a
page, say): it is shown and does not count. That time never runs backwards inside an entity is a matter of order,
which a table does not have; what is checked is that each time lies where the real ones do.
"""

from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clickweave.config.log import LabelColumns, SchemaConfig
from clickweave.contracts.tables import BLENDED, GENERATED, IS_WHAT_IF, event_columns, feature_column
from clickweave.evaluation.gates import Row, judged, not_applicable
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.frames.align.continued import is_continued, is_what_if
from clickweave.frames.normalise import feature_value
from clickweave.frames.source_rows import label_from_thresholds

_NEW_IDS = ("entity_id", "user_id", "session_id")


@dataclass(frozen=True)
class Window:
    """First and last event time of T, in microseconds since 1970; None for a log without time."""

    first_us: int | None
    last_us: int | None


def judge_rules(inputs: EvaluationInputs) -> tuple[Row, dict[str, Any]]:
    """F8, and per rule how many rows break it in S and in T.

    Cost: one job for T's time window, then for S and for T each one aggregate after joins with the items and users,
    and one shuffle by row_id and by (slate, item).
    """
    window = _window(inputs.train)
    broken = {side: count_broken(df, inputs, window, side == "synthetic") for side, df in _sides(inputs).items()}
    num_rows = broken["synthetic"].pop("rows")
    num_real = broken["train"].pop("rows")
    real = broken["train"]
    rules: list[dict[str, Any]] = [
        {"rule": rule, "synthetic": count, "train": real.get(rule, 0), "counts": not real.get(rule)}
        for rule, count in broken["synthetic"].items()
    ]
    detail = {"rules": rules, "synthetic_rows": num_rows, "train_rows": num_real}
    if num_rows == 0:
        return not_applicable("hard rules", "no synthetic rows"), detail
    bad = [rule for rule in rules if rule["counts"] and rule["synthetic"]]
    kept = 1 - min(num_rows, sum(rule["synthetic"] for rule in bad)) / num_rows
    note = "; ".join(f"{rule['rule']}: {rule['synthetic']} rows" for rule in bad)
    return judged("hard rules", kept, ceiling=1.0, note=note), detail


def _sides(inputs: EvaluationInputs) -> dict[str, DataFrame]:
    return {"synthetic": inputs.synthetic, "train": inputs.train}


def _window(train: DataFrame) -> Window:
    time = F.unix_micros("event_time")
    row = train.agg(F.min(time).alias("first"), F.max(time).alias("last")).collect()[0]
    return Window(row["first"], row["last"])


def count_broken(df: DataFrame, inputs: EvaluationInputs, window: Window, is_synthetic: bool) -> dict[str, int]:
    """Rule -> number of rows that break it, and `rows`: all rows."""
    wrong = _wrong_columns(df, inputs, is_synthetic)
    if wrong:
        rows = df.count()
        return {f"columns are the canonical ones ({wrong})": max(rows, 1), "rows": rows}
    rules = _row_rules(inputs.schema, window, is_synthetic)
    joined = _with_catalogue(df, inputs)
    rules |= _attribute_rules(df, inputs)
    sums = [F.coalesce(F.sum(F.coalesce(rule, F.lit(True)).cast("long")), F.lit(0)) for rule in rules.values()]
    row = joined.agg(F.count(F.lit(1)), *sums).collect()[0]
    counted = {"rows": int(row[0]), **{rule: int(count) for rule, count in zip(rules, row[1:], strict=True)}}
    counted["row_id is unique"] = _repeated(df, ["row_id"])
    if inputs.schema.slate is not None and inputs.schema.item is not None:
        counted["an item stands once on a slate"] = _repeated(df.where("slate_id is not null"), ["slate_id", "item_id"])
    if is_synthetic:
        counted |= _reused_ids(df, inputs)
    return counted


def _wrong_columns(df: DataFrame, inputs: EvaluationInputs, is_synthetic: bool) -> str:
    """What is wrong with names, order or types; empty where nothing is. Types must be T's."""
    expected = list(event_columns(tuple(inputs.schema.event_features)))
    missing = [name for name in expected if name not in df.columns]
    if missing:
        return "missing " + ", ".join(missing)
    if df.columns != expected:
        return "order or extra columns: " + ", ".join(name for name in df.columns if name not in expected)
    if not is_synthetic:
        return ""
    real = {field.name: field.dataType for field in inputs.train.schema.fields}
    other = [f.name for f in df.schema.fields if f.dataType.simpleString() != real[f.name].simpleString()]
    return "type of " + ", ".join(other) if other else ""


def _row_rules(schema: SchemaConfig, window: Window, is_synthetic: bool) -> dict[str, Column]:
    """Rule -> expression that is true where a row breaks it (null counts as broken)."""
    rules = {
        "row_id and entity_id are set": F.col("row_id").isNull() | F.col("entity_id").isNull(),
        "label is a level of the funnel": ~F.col("label").between(0, schema.num_levels),
        "item or query is set": F.col("item_id").isNull() & F.col("query").isNull(),
    }
    if is_synthetic:
        made = F.col("origin").isin(GENERATED, BLENDED) & (F.col("weight") > 0)
        rules["origin and weight say what the row is"] = ~made
    if schema.event_time is not None and window.first_us is not None and window.last_us is not None:
        time = F.unix_micros("event_time")
        rules["event_time lies in the training window"] = ~time.between(window.first_us, window.last_us)
    if isinstance(schema.labels, LabelColumns) and len(schema.thresholds) == schema.num_levels:
        rules["label agrees with the columns that define it"] = F.col("label") != label_from_thresholds(schema)
    if schema.propensity is not None:
        value = F.col("propensity")
        rules["propensity lies in (0, 1]"] = value.isNotNull() & ~((value > 0) & (value <= 1))
    if schema.item is not None:
        asked = F.col("_item_known").isNotNull() & F.coalesce(is_what_if(), F.lit(False))
        invented = ~(F.coalesce("_item_known", F.lit(False)) | asked)
        rules["item exists in the catalogue"] = F.col("item_id").isNotNull() & invented
    return rules


def _with_catalogue(df: DataFrame, inputs: EvaluationInputs) -> DataFrame:
    """Rows with `_item_<name>` and `_user_<name>` joined; the tables have one row per key, so their number stays.

    `_item_known` is false for items of what-if targets, and null for those that no table has.
    """
    for key, table, features in _tables(inputs):
        if table is not None:
            known = [F.col(feature_column(name)).alias(f"_{key}_{name}") for name in features]
            exists = ~F.col(IS_WHAT_IF) if IS_WHAT_IF in table.columns else F.lit(True)
            side = table.select(f"{key}_id", exists.alias(f"_{key}_known"), *known)
            df = df.join(side, on=f"{key}_id", how="left")
        else:
            df = df.withColumn(f"_{key}_known", F.lit(True))
    return df


def _tables(inputs: EvaluationInputs) -> list[tuple[str, DataFrame | None, list[str]]]:
    tables = (("item", inputs.items, inputs.schema.item_features), ("user", inputs.users, inputs.schema.user_features))
    return [
        (key, table, [name for name in features if table is not None and feature_column(name) in table.columns])
        for key, table, features in tables
    ]


def _attribute_rules(df: DataFrame, inputs: EvaluationInputs) -> dict[str, Column]:
    """Where the log itself carries an attribute, `source` must hold the one that the catalogue gives its item."""
    source = df.schema["source"].dataType
    carried = set(source.fieldNames()) if hasattr(source, "fieldNames") else set()
    specs = {"item": inputs.schema.item_features, "user": inputs.schema.user_features}
    rules = {}
    for key, table, features in _tables(inputs):
        for name in features:
            spec = specs[key][name]
            column = spec.column or name
            if table is not None and column in carried:
                held = feature_value(F.col("source").getField(column), spec)
                joined = F.col(f"_{key}_{name}")
                apart = F.abs(held - joined) > 1e-9 * F.abs(joined) if spec.kind == "numeric" else held != joined
                rules[f"{key} {name} is the catalogue's"] = F.coalesce(apart, F.lit(False))
    return rules


def _repeated(df: DataFrame, keys: list[str]) -> int:
    """Rows beyond the first of each key. One shuffle by key."""
    extra = df.groupBy(*keys).count().where("count > 1").agg(F.sum(F.col("count") - 1)).collect()[0][0]
    return int(extra or 0)


def _reused_ids(df: DataFrame, inputs: EvaluationInputs) -> dict[str, int]:
    """Synthetic rows whose entity, user or session id is one of a real row (T or H). One semi-join per id.

    Rows that go on with a real history are left out, and counted where T has no such entity.
    """
    goes_on = F.coalesce(is_continued(), F.lit(False))
    continued, df = df.where(goes_on), df.where(~goes_on)
    known = inputs.train.select("entity_id")
    counted = {"a history that goes on is one of train's": continued.join(known, "entity_id", "left_anti").count()}
    for name in _NEW_IDS:
        real = inputs.train.select(name).unionByName(inputs.holdout.select(name)).where(F.col(name).isNotNull())
        counted[f"{name} is no real one"] = df.join(real.distinct(), on=name, how="left_semi").count()
    return counted

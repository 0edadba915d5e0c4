"""Bounded, seeded samples of the tables on the driver, and the controls that every metric must tell apart.

A sample frame has one row per event and, whatever the log, the columns of `_canonical`, `item_feature_*` and
`user_feature_*` (attributes by join), `item_events` and `query_events` (how often the id occurs in all of T; 0 for
an unseen one) and the calendar columns `day` (days since 1970), `hour` (0 to 24) and `weekday` (0 is Monday).
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np
import pandas as pd
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.config.log import FeatureSpec, SchemaConfig
from clickweave.contracts.tables import REAL, feature_column
from clickweave.evaluation.columns import is_number, item_column, judged_features, user_column
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.frames.draws import unit_draw

SALT = "evaluate-sample"
PICTURE_ROWS = 1_000
DRAWS = 5  # as many samples of T and of S can be told apart
_TIME_COLUMNS = ("time_s", "day", "hour", "weekday")


@dataclass(frozen=True)
class Samples:
    """Sample frames in the order of the draw: the first n rows of each are again a sample.

    `extra` holds the rows of the mixed set that are not real, `mixed` a few rows of all of it, for pictures. Each has
    at most `config.sample_rows` rows; `beyond` and `synthetic_beyond`, the rows of T and S that follow those of `train`
    and `synthetic`, have at most DRAWS - 1 times as many.
    """

    train: pd.DataFrame
    holdout: pd.DataFrame
    synthetic: pd.DataFrame
    extra: pd.DataFrame
    mixed: pd.DataFrame
    beyond: pd.DataFrame
    synthetic_beyond: pd.DataFrame
    seed: int

    @property
    def fidelity_rows(self) -> int:
        """Rows a side for comparisons: the least of T, H and S; of T and H where S is empty."""
        sizes = [len(self.train), len(self.holdout)] + ([len(self.synthetic)] if len(self.synthetic) else [])
        return min(sizes)


def take(frame: pd.DataFrame, rows: int) -> pd.DataFrame:
    """The first `rows` rows of the draw, sorted by row_id: the same for any partitioning of the table."""
    return frame.head(rows).sort_values("row_id", kind="stable").reset_index(drop=True)


def draw_samples(inputs: EvaluationInputs) -> Samples:
    """Samples of T, H, S and the mixed set's extra rows.

    Cost: one job; a top-n per table, a count of T per item (and query), joins of a little over 12 x sample_rows rows.
    """
    limit, seed = inputs.config.sample_rows, inputs.config.seed
    extra = inputs.mixed.where(F.col("origin") != REAL)
    sides = {"train": inputs.train, "holdout": inputs.holdout, "synthetic": inputs.synthetic, "extra": extra}
    limits = {"train": DRAWS * limit, "synthetic": DRAWS * limit}
    drawn = [_top(_canonical(df, inputs.schema), limits.get(side, limit), seed, side) for side, df in sides.items()]
    drawn.append(_top(_canonical(inputs.mixed, inputs.schema), min(limit, PICTURE_ROWS), seed + 1, "mixed"))
    rows = reduce(DataFrame.unionByName, drawn)
    rows = _with_train_counts(rows, inputs)
    for key, table, names in (
        ("item_id", inputs.items, {name: item_column(name) for name in judged_features(inputs.schema.item_features)}),
        ("user_id", inputs.users, {name: user_column(name) for name in judged_features(inputs.schema.user_features)}),
    ):
        rows = _with_attributes(rows, table, key, names)
    frame = _with_calendar(rows.toPandas()).sort_values(["side", "draw", "row_id"], kind="stable")
    frame = _as_declared(frame, inputs.schema)
    parts = {side: frame[frame["side"] == side].reset_index(drop=True) for side in (*sides, "mixed")}
    real, made = parts.pop("train"), parts.pop("synthetic")
    return Samples(
        train=real.head(limit),
        beyond=real.iloc[limit:],
        synthetic=made.head(limit),
        synthetic_beyond=made.iloc[limit:],
        **parts,
        seed=seed,
    )


def bootstrap_copy(frame: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    """Control: `rows` rows drawn from `frame` with replacement. Perfect in fidelity, no privacy at all."""
    picks = np.random.default_rng([seed, 1]).integers(0, len(frame), rows)
    return frame.iloc[np.sort(picks)].reset_index(drop=True)


def independent_columns(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Control: every column permuted on its own, so marginals are exact and nothing depends on anything.

    Columns that are functions of one another move together: an item with its attributes, a user with theirs, a time
    with its calendar; a generator that joins attributes by id gets these right for free.
    """
    together: dict[str, list[str]] = {}
    for name in frame.columns:
        together.setdefault(_unit(name), []).append(name)
    permuted = frame.copy()
    for number, unit in enumerate(sorted(together)):
        order = np.random.default_rng([seed, 2, number]).permutation(len(frame))
        permuted[together[unit]] = frame[together[unit]].iloc[order].to_numpy()
    return permuted.astype(frame.dtypes.to_dict())


def _unit(name: str) -> str:
    if name in ("item_id", "item_events") or name.startswith("item_feature_"):
        return "item"
    if name in ("entity_id", "user_id", "session_id", "slate_id") or name.startswith("user_feature_"):
        return "user"
    if name in ("query", "query_events"):
        return "query"
    return "time" if name in _TIME_COLUMNS else name


def _canonical(df: DataFrame, schema: SchemaConfig) -> DataFrame:
    """The columns that are compared, each in one type; a missing column is null (the hard rules report it)."""

    def typed(name: str, kind: str) -> SparkColumn:
        value = F.col(name).cast(kind) if name in df.columns else F.lit(None).cast(kind)
        return value.alias(name)

    keys = [typed("row_id", "long")]
    texts = ("entity_id", "user_id", "session_id", "slate_id", "item_id", "query", "origin")
    keys += [typed(name, "string") for name in texts]
    numbers = [typed(name, "double") for name in ("position", "propensity", "label", "weight")]
    time = F.unix_micros("event_time") if "event_time" in df.columns else F.lit(None)
    features = [
        event_value(df, name, spec, schema).alias(feature_column(name))
        for name, spec in judged_features(schema.event_features).items()
    ]
    return df.select(*keys, *numbers, (time.cast("double") / 1e6).alias("time_s"), *features)


def event_value(df: DataFrame, name: str, spec: FeatureSpec, schema: SchemaConfig) -> SparkColumn:
    """An event feature as it is compared: text or a double, null where the table lacks it.

    A time is the seconds that it lies after event_time, or after 1970 where the log has none.
    """
    column = feature_column(name)
    if spec.kind == "time" and column in df.columns:
        start = F.lit(0) if schema.event_time is None else F.unix_micros("event_time")
        return (F.unix_micros(column) - start).cast("double") / 1e6
    kind = "double" if is_number(spec) else "string"
    return F.col(column).cast(kind) if column in df.columns else F.lit(None).cast(kind)


def _top(df: DataFrame, limit: int, seed: int, side: str) -> DataFrame:
    """The `limit` rows with the smallest hash of (salt, seed, row_id); ties by row_id."""
    draw = unit_draw("row_id", salt=SALT, seed=seed)
    return df.withColumn("draw", draw).orderBy("draw", "row_id").limit(limit).withColumn("side", F.lit(side))


def _with_train_counts(rows: DataFrame, inputs: EvaluationInputs) -> DataFrame:
    for key in ("item", "query"):
        id_column = "item_id" if key == "item" else "query"
        if getattr(inputs.schema, key) is None:
            rows = rows.withColumn(f"{key}_events", F.lit(None).cast("double"))
            continue
        known = inputs.train.where(F.col(id_column).isNotNull()).groupBy(id_column)
        counts = known.agg(F.count(F.lit(1)).cast("double").alias(f"{key}_events"))
        rows = rows.join(counts, on=id_column, how="left").fillna(0.0, subset=[f"{key}_events"])
    return rows


def _with_attributes(rows: DataFrame, table: DataFrame | None, key: str, names: dict[str, str]) -> DataFrame:
    """Rows with attributes joined under other names; `table` has one row per key, so the number of rows stays. Times
    are seconds since 1970.
    """
    if table is None:
        return rows.select("*", *[F.lit(None).cast("string").alias(alias) for alias in names.values()])
    present = [(name, alias) for name, alias in names.items() if feature_column(name) in table.columns]
    missing = [alias for name, alias in names.items() if feature_column(name) not in table.columns]
    kinds = {field.name: field.dataType.typeName() for field in table.schema.fields}
    values = {
        alias: F.unix_micros(column).cast("double") / 1e6 if kinds[column] == "timestamp" else F.col(column)
        for name, alias in present
        for column in [feature_column(name)]
    }
    side = table.select(key, *[value.alias(alias) for alias, value in values.items()])
    rows = rows.join(side, on=key, how="left") if present else rows
    return rows.select("*", *[F.lit(None).cast("string").alias(alias) for alias in missing])


def _with_calendar(frame: pd.DataFrame) -> pd.DataFrame:
    days = frame["time_s"].astype("float64") / 86_400
    return frame.assign(day=days, hour=(days % 1) * 24, weekday=(np.floor(days) + 3) % 7)  # 1970-01-01: a Thursday


def _as_declared(frame: pd.DataFrame, schema: SchemaConfig) -> pd.DataFrame:
    """Numeric columns as float64 (NaN for null), whatever type they came in."""
    numeric = ["position", "propensity", "label", "weight", "time_s", "item_events", "query_events"]
    numeric += [feature_column(name) for name, spec in schema.event_features.items() if is_number(spec)]
    numeric += [item_column(name) for name, spec in schema.item_features.items() if is_number(spec)]
    numeric += [user_column(name) for name, spec in schema.user_features.items() if is_number(spec)]
    return frame.assign(**{name: pd.to_numeric(frame[name], errors="coerce").astype("float64") for name in numeric})

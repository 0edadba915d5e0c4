"""P1: does the synthetic set hold copies of real rows or of a person's sequences? Counted on Spark over all rows.

Three figures, each the share among S over the same share among H, since real people also coincide by chance:

- copied rows: equal to a row of T in every column that a generator fills, time included, ids of users, sessions and
  slates left out because theirs are new.
- copied 5-grams: five items in a row by one entity, in time order, that exactly one entity of T has.
- copied rows, any time: as the first, without time, and only patterns that exactly one entity of T has: an item with
  its most common label is no secret of anybody. Attributes of users are left out: a re-enacted user carries those
  of a real one by design, and what they did is what must not be copied.

Blended rows count in the first and third, vectors among their columns since a blend may change nothing else; a row that
the blend left as its parent is a copy. They stand in their parent's own history, so they make no 5-grams.

The third is graded and never blocks by default, nor does the first where the log has no time: a perfect generator
that reproduces T's marginals draws what is rare in T more often than H does (Good 1953: unseen events hold mass),
so without a time that tells rows apart the figure leans against it. The independent columns show how far.
"""

import math
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import BLENDED, GENERATED, feature_column
from clickweave.evaluation.columns import judged_features
from clickweave.evaluation.gates import Row, judged, not_applicable
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.evaluation.samples import event_value
from clickweave.frames.draws import unit_draw
from clickweave.frames.runs import last_items

ROWS, GRAMS, PATTERNS = "copied rows", "copied 5-grams", "copied rows, any time"
_SALT = "evaluate-bootstrap"


@dataclass(frozen=True)
class Copies:
    """Of `total` rows (or 5-grams), how many are copies."""

    copied: int
    total: int

    @property
    def share(self) -> float:
        return self.copied / self.total if self.total else 0.0


def excess(ours: Copies, real: Copies) -> float:
    """How far our share lies above that of real rows, in standard errors of the difference.

    The errors are taken with one success and one failure added to each side (Agresti & Caffo 2000), so that a real
    share of exactly 0 does not turn a single chance copy into a leak.
    """
    error = math.sqrt(sum(_variance(side) for side in (ours, real)))
    return (ours.share - real.share) / error


def _variance(side: Copies) -> float:
    share = (side.copied + 1) / (side.total + 2)
    return share * (1 - share) / (side.total + 2)


def graded_only(schema: SchemaConfig) -> frozenset[str]:
    """Names of the rows that are graded and do not block by default."""
    return frozenset({PATTERNS} if schema.event_time is not None else {PATTERNS, ROWS})


def judge_copies(inputs: EvaluationInputs, independent: pd.DataFrame) -> tuple[list[Row], dict[str, Any]]:
    """P1's three rows and the counts behind them.

    Cost: one job a figure (two with blended rows); a shuffle of T by row hash, by 5-gram and by pattern, and one of all
    rows by entity.
    """
    made = inputs.synthetic.where(F.col("origin") == GENERATED)
    blended = inputs.mixed.where(F.col("origin") == BLENDED)
    schema = inputs.schema
    sides = {
        "synthetic": _compared(made, schema),
        "holdout": _compared(inputs.holdout, schema),
        "bootstrap": entity_bootstrap(_compared(inputs.train, schema), inputs.config.seed),
        "independent": _control_frame(inputs.train.sparkSession, independent, schema),
    }
    train = _compared(inputs.train, schema)
    everyone = reduce(DataFrame.unionByName, [df.withColumn("side", F.lit(side)) for side, df in sides.items()])
    blends = None if blended.isEmpty() else (_compared(inputs.train, schema, vectors=True), blended)

    def counted(keys: list[str], *, owned: bool) -> dict[str, Copies]:
        counts = count_copies(train, everyone, keys, owned=owned)
        return counts if blends is None else _with_blended(counts, *blends, schema, keys, owned=owned)

    found = {ROWS: counted([*_values(schema), "time_us"], owned=False)}
    if schema.event_time is not None and schema.item is not None and schema.entity_column is not None:
        found[GRAMS] = count_copies(five_grams(train, []), five_grams(everyone, ["side"]), ["gram"], owned=True)
    found[PATTERNS] = counted(_values(schema), owned=True)
    reasons = {GRAMS: "the log has no sequence of items in time by one user"}
    rows = [_row(name, found.get(name), reasons.get(name, "")) for name in (ROWS, GRAMS, PATTERNS)]
    shares = {name: {side: vars(copies) for side, copies in counts.items()} for name, counts in found.items()}
    return rows, {"copies": shares}


def _with_blended(
    counts: dict[str, Copies],
    train: DataFrame,
    blended: DataFrame,
    schema: SchemaConfig,
    keys: list[str],
    *,
    owned: bool,
) -> dict[str, Copies]:
    """The counts with blended rows among the synthetic ones; these are compared in vectors too."""
    rows = _compared(blended, schema, vectors=True).withColumn("side", F.lit("synthetic"))
    more = count_copies(train, rows, [*keys, *_vectors(schema)], owned=owned)["synthetic"]
    ours = counts["synthetic"]
    return {**counts, "synthetic": Copies(ours.copied + more.copied, ours.total + more.total)}


def _row(name: str, found: dict[str, Copies] | None, reason: str) -> Row:
    if found is None:
        return not_applicable(name, reason)
    ours, real = found["synthetic"], found["holdout"]
    if not ours.total:
        return not_applicable(name, "no synthetic rows", ceiling=real.share)
    if not real.total:
        return not_applicable(name, "no holdout to tell how often real rows coincide")
    controls = {side: excess(found[side], real) if found[side].total else None for side in ("bootstrap", "independent")}
    note = f"{ours.copied} of {ours.total} against {real.copied} of {real.total} in the holdout"
    return judged(name, excess(ours, real), value=ours.share, ceiling=real.share, controls=controls, note=note)


def _values(schema: SchemaConfig) -> list[str]:
    features = [feature_column(name) for name in judged_features(schema.event_features)]
    return ["item_id", "query", "position", "propensity", "label", *features]


def _vectors(schema: SchemaConfig) -> list[str]:
    return [feature_column(name) for name, spec in schema.event_features.items() if spec.kind == "vector"]


def _compared(df: DataFrame, schema: SchemaConfig, *, vectors: bool = False) -> DataFrame:
    """entity_id and the compared columns as text, time as microseconds; what a table lacks is null."""
    more = [F.to_json(F.struct(name)).alias(name) for name in _vectors(schema)] if vectors else []
    time = F.unix_micros("event_time") if "event_time" in df.columns else F.lit(None).cast("long")
    entity = F.col("entity_id").cast("string")
    times = {
        feature_column(name): event_value(df, name, spec, schema)
        for name, spec in schema.event_features.items()
        if spec.kind == "time"
    }
    df = df.withColumns(times)
    return df.select(entity, *[_number_text(df, name) for name in _values(schema)], time.alias("time_us"), *more)


def _number_text(df: DataFrame, name: str) -> Column:
    """A value as text that is the same whether it came as a long or as a double."""
    if name not in df.columns:
        return F.lit(None).cast("string").alias(name)
    value = F.col(name)
    if name not in ("item_id", "query") and df.schema[name].dataType.typeName() != "string":
        value = value.cast("double")
    return value.cast("string").alias(name)


def entity_bootstrap(rows: DataFrame, seed: int) -> DataFrame:
    """Control: entities drawn with replacement (Poisson(1) copies each, by hash), with new ids, rows untouched."""
    draw = unit_draw("entity_id", salt=_SALT, seed=seed)
    cumulated, copies = 0.0, F.lit(0)
    for number in range(6):
        cumulated += math.exp(-1) / math.factorial(number)
        copies = copies + (draw >= cumulated).cast("int")
    copied = rows.where(copies > 0).withColumn("_copy", F.explode(F.sequence(F.lit(1), copies)))
    return copied.withColumn("entity_id", F.concat_ws("/", "entity_id", "_copy")).drop("_copy")


def _control_frame(spark: SparkSession, sample: pd.DataFrame, schema: SchemaConfig) -> DataFrame:
    """The independent-columns sample as a frame of compared columns."""
    numbers = ("position", "propensity", "label")
    names = ["entity_id", "time_s", *_values(schema)]
    kinds = {name: "double" if name in numbers or sample[name].dtype.kind == "f" else "string" for name in names}
    table = sample[names].astype({name: object for name, kind in kinds.items() if kind == "string"})
    rows = [tuple(None if pd.isna(value) else value for value in row) for row in table.itertuples(index=False)]
    df = spark.createDataFrame(rows, ", ".join(f"`{name}` {kinds[name]}" for name in names))
    df = df.withColumn("time_us", F.round(F.col("time_s") * 1e6).cast("long"))
    return df.select("entity_id", *[_number_text(df, name) for name in _values(schema)], "time_us")


def five_grams(rows: DataFrame, group: list[str]) -> DataFrame:
    """One row per run of items of an entity (frames/runs.py): entity_id, `group` and `gram`."""
    kept = rows.where(F.col("item_id").isNotNull() & F.col("entity_id").isNotNull() & F.col("time_us").isNotNull())
    grams = kept.select(*group, "entity_id", F.array(*last_items("time_us", *group)).alias("items"))
    whole = grams.where(F.col("items")[0].isNotNull())
    return whole.select(*group, "entity_id", F.concat_ws("\x1f", "items").alias("gram"))


def count_copies(train: DataFrame, rows: DataFrame, keys: list[str], *, owned: bool) -> dict[str, Copies]:
    """Per `side` of `rows`: how many equal a row of `train` in `keys` (null equals null).

    With `owned`, only what exactly one entity of T has counts. One shuffle of each frame by hash.
    """
    parts = [part for key in keys for part in (F.col(key).isNull(), F.col(key))]
    key = F.xxhash64(*parts).alias("key")
    keyed = train.select(key, "entity_id").groupBy("key")
    known = keyed.agg(F.min("entity_id").alias("first"), F.max("entity_id").alias("last"))
    if owned:
        known = known.where(F.col("first") == F.col("last"))
    joined = rows.select("side", key).join(known.select("key", F.lit(1).alias("hit")), on="key", how="left")
    copied, total = F.sum(F.coalesce("hit", F.lit(0))).alias("copied"), F.count(F.lit(1)).alias("total")
    counts = joined.groupBy("side").agg(copied, total)
    found = {row["side"]: Copies(int(row["copied"]), int(row["total"])) for row in counts.collect()}
    return {side: found.get(side, Copies(0, 0)) for side in ("synthetic", "holdout", "bootstrap", "independent")}

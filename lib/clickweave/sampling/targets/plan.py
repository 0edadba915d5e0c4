"""The plan of a target: how many events of what, from real counts, and the codes that they are drawn to.

A plan is a table: value (text), real (events of it in real/train), asked, as_item (the item that the events are of,
null for the drawn one) and choices: alternatives, each with a code for every column of `given`. Items that the
generator knows little of are drawn as a similar item that it knows well (neighbours by attributes and by common
sessions), and then carry their own id: so they come with the users and the context of their kind.
"""

from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clickweave.codec.spec import FIRST_VALUE, VALUES, CodecSpec, ColumnSpec
from clickweave.config.log import CATEGORY_KINDS, SchemaConfig
from clickweave.config.targets import Balance, ColdItems, Items, RareQueries, WhatIf, Where
from clickweave.contracts.tables import feature_column
from clickweave.errors import ContractError
from clickweave.frames.align.rows import TARGET
from clickweave.sampling.targets.conditions import Check, Conditions, conditions, level_codes

PROXIES = 5  # similar items that stand in for one
KNOWN_EVENTS = 5  # real events from which on an item is drawn as itself
MOST_COMBINATIONS = 10_000  # of codes that meet a condition, the most frequent ones
PLAN_COLUMNS = ("value", "real", "asked", "as_item", "choices")


@dataclass(frozen=True)
class Known:
    """What plans are made from.

    Attributes:
        train: real/train.
        items: the catalogue, one row per item_id.
        neighbours: similar items (frames/augment/neighbours), where a target needs them.
        shards: the coded rows.
        new_items: those of what-if targets, with attributes and the number of their TARGET; None where there are none.
    """

    train: DataFrame
    items: DataFrame
    neighbours: DataFrame | None
    shards: DataFrame
    spec: CodecSpec
    log: SchemaConfig
    new_items: DataFrame | None = None


@dataclass(frozen=True)
class Plan:
    """`rows` with PLAN_COLUMNS, and the columns of the codec that `choices` hold codes of."""

    rows: DataFrame
    given: tuple[str, ...]
    checks: tuple[Check, ...] = ()


def planned(target: ColdItems | Items | WhatIf | RareQueries | Balance | Where, known: Known, number: int) -> Plan:
    """The plan of one target, the one of that number.

    Raises:
        ContractError: what is asked for cannot be drawn; names it.
    """
    match target:
        case ColdItems():
            return _of_cold_items(target, known)
        case Items():
            return _of_items(target, known)
        case WhatIf():
            return _of_new_items(target, known, number)
        case RareQueries():
            coded = _coded(_column(known.spec, "query"), known)
            rare = coded.where((F.col("events") > 0) & (F.col("events") < target.c))
            return Plan(_plan(rare, F.lit(target.events), _one(F.col("code"))), ("query",))
        case Balance():
            return _of_balance(target, known)
        case Where():
            return _where(target, conditions(target.columns, known.spec, known.log), known)


def _of_cold_items(target: ColdItems, known: Known) -> Plan:
    """The cold items that something can be drawn for: others have neither events nor neighbours."""
    items = _with_choices(known.items.select("item_id"), known)
    cold = items.where((F.col("real") < target.c) & (F.size("choices") > 0))
    return Plan(_plan(cold, F.lit(target.events), F.col("choices"), item=True), ("item_id",))


def _of_items(target: Items, known: Known) -> Plan:
    names = sorted(set(target.items))
    listed = known.train.sparkSession.createDataFrame(
        pa.table({"item_id": pa.array(names), "place": pa.array(range(len(names)), pa.int64())})
    )
    everything = known.items.select("item_id").unionByName(known.train.select("item_id"))
    lost = listed.join(everything, "item_id", "left_anti").orderBy("item_id").limit(1).collect()
    if lost:
        raise ContractError(
            f"sample.targets: item {lost[0]['item_id']!r} is neither in the catalogue nor in real/train"
        )
    items = _with_choices(listed, known)
    without = items.where(F.size("choices") == 0).orderBy("item_id").limit(1).collect()
    if without:
        raise ContractError(
            f"sample.targets: item {without[0]['item_id']!r} has no event in real/train and no item is like it"
        )
    each, more = divmod(target.events, len(names))
    asked = F.lit(each) + (F.col("place") < more).cast("bigint")
    return Plan(_plan(items, asked, F.col("choices"), item=True), ("item_id",))


def _of_new_items(target: WhatIf, known: Known, number: int) -> Plan:
    assert known.new_items is not None
    own = known.new_items.where(F.col(TARGET) == number)
    items = _with_choices(own.select("item_id"), known)
    without = items.where(F.size("choices") == 0).select("item_id")
    first = without.agg(F.count(F.lit(1)).alias("num"), F.min("item_id").alias("item_id")).collect()[0]
    if first["num"]:
        name = next(name for name, spec in known.log.item_features.items() if spec.kind in CATEGORY_KINDS)
        row = own.where(F.col("item_id") == first["item_id"]).select(feature_column(name)).collect()[0]
        raise ContractError(
            f"sample.targets[{number}]: what_if: {first['num']} items are like none with {KNOWN_EVENTS} real events, "
            f"first {first['item_id']!r} with {name} {row[0]!r}; give them a {name} of such items or leave them out"
        )
    return Plan(_plan(items, F.lit(target.events), F.col("choices"), item=True), ("item_id",))


def _of_balance(target: Balance, known: Known) -> Plan:
    if target.column == "label" and len(known.log.thresholds) == known.log.num_levels:  # else it is coded itself
        return _of_threshold(target, known) if known.log.num_levels == 1 else _of_levels(target, known)
    name = "label" if target.column == "label" else feature_column(target.column)
    column = _column(known.spec, name)
    if column.kind != VALUES:
        raise ContractError(f"sample.targets: balance: {target.column!r} is coded as numbers; use where")
    coded = _coded(column, known)
    most = round(target.up_to * max(column.counts, default=0))
    rarer = coded.where((F.col("events") > 0) & (F.col("events") < most))
    return Plan(_plan(rarer, F.lit(most) - F.col("events"), _one(F.col("code"))), (name,))


def _of_threshold(target: Balance, known: Known) -> Plan:
    """The rarer side of a label that one threshold makes."""
    rows = known.train.groupBy("label").count().collect()
    counts = {0: 0, 1: 0} | {row["label"]: row["count"] for row in rows}
    rarer = min(counts, key=lambda level: counts[level])
    missing = round(target.up_to * max(counts.values())) - counts[rarer]
    asked = Where(name="where", columns={"label": rarer}, events=max(1, missing))
    return _where(asked, conditions(asked.columns, known.spec, known.log), known)


def _of_levels(target: Balance, known: Known) -> Plan:
    """The rarer levels of a label of several thresholds: their strongest one is reached, and none beyond it."""
    counts = {row["label"]: row["count"] for row in known.train.groupBy("label").count().collect()}
    most = round(target.up_to * max(counts.values(), default=0))
    rarer = {level: most - num for level, num in sorted(counts.items()) if num < most}
    if not rarer:
        raise ContractError("sample.targets: balance: all levels of the label are as frequent; leave the target out")
    codes = {level: level_codes(level, known.spec, known.log) for level in rarer}
    plans = [_in_proportion(codes[level], num, f"label {level}", known) for level, num in rarer.items()]
    return Plan(reduce(DataFrame.unionByName, plans), tuple(codes[min(codes)]))


def _where(target: Where, meant: Conditions, known: Known) -> Plan:
    """Asked events in the proportions of the real ones that meet the condition, by combination of codes."""
    spark, given = known.train.sparkSession, tuple(meant.codes)
    if not given:
        one = pa.table(
            {"value": ["any"], "events": pa.array([known.spec.num_rows]), "code": pa.array([[]], pa.list_(pa.int64()))}
        )
        return Plan(_plan(spark.createDataFrame(one), F.lit(target.events), _one(F.col("code"))), (), meant.checks)
    said = ", ".join(f"{name} {value!r}" for name, value in target.columns.items())
    return Plan(_in_proportion(meant.codes, target.events, said, known), given, meant.checks)


def _in_proportion(codes: dict[str, tuple[int, ...]], events: int, said: str, known: Known) -> DataFrame:
    """Plan rows of so many events over the combinations of these codes, as often as real events have each.

    Raises:
        ContractError: none has.
    """
    columns = [F.col(f"code_{name}") for name in codes]
    met = known.shards
    for column, allowed in zip(columns, codes.values(), strict=True):
        met = met.where(column.isin(*allowed))
    counts = met.groupBy(*columns).agg(F.count(F.lit(1)).alias("events"))
    rows = counts.orderBy(F.desc("events"), *columns).limit(MOST_COMBINATIONS).collect()
    if not rows:
        raise ContractError(f"sample.targets: no real event meets {said}")
    asked: list[int] = []
    total, done = sum(row["events"] for row in rows), 0
    for row in rows:  # rounded so that all together are `events`
        done += row["events"]
        asked.append(events * done // total - sum(asked))
    table = pa.table(
        {
            "value": pa.array([" ".join(str(code) for code in row[:-1]) for row in rows]),
            "events": pa.array([row["events"] for row in rows], pa.int64()),
            "code": pa.array([list(row[:-1]) for row in rows], pa.list_(pa.int64())),
            "asked": pa.array(asked, pa.int64()),
        }
    )
    return _plan(known.train.sparkSession.createDataFrame(table), F.col("asked"), F.array("code"))


def _plan(rows: DataFrame, asked: Column, choices: Column, *, item: bool = False) -> DataFrame:
    """Rows with value (or item_id) and events (or real), as a plan; those that nothing is asked for are left out."""
    value, real = (F.col("item_id"), F.col("real")) if item else (F.col("value"), F.col("events"))
    as_item = value if item else F.lit(None).cast("string")
    columns = (value, real.cast("bigint"), asked.cast("bigint"), as_item, choices.cast("array<array<bigint>>"))
    return rows.select(*[c.alias(n) for c, n in zip(columns, PLAN_COLUMNS, strict=True)]).where("asked > 0")


def _one(code: Column) -> Column:
    """One alternative of one code."""
    return F.array(F.array(code))


def _column(spec: CodecSpec, name: str) -> ColumnSpec:
    for column in spec.columns:
        if column.name == name:
            return column
    raise ContractError(f"sample.targets: {name!r} is no column that the generator draws; leave the target out")


def _coded(column: ColumnSpec, known: Known) -> DataFrame:
    """value, code and events of all values that the codec kept. O(values) on the driver, as the codec itself."""
    codes = pa.array(range(FIRST_VALUE, FIRST_VALUE + len(column.values)), pa.int64())
    values, events = pa.array(column.values, pa.string()), pa.array(column.counts, pa.int64())
    return known.train.sparkSession.createDataFrame(pa.table({"value": values, "code": codes, "events": events}))


def _with_choices(items: DataFrame, known: Known) -> DataFrame:
    """Items with `real`, their events in real/train, and `choices`: the item itself from KNOWN_EVENTS on, else the
    PROXIES nearest items that have as many, else the item itself if it has any. Joins of items, one count of events.
    """
    assert known.neighbours is not None
    coded = _coded(_column(known.spec, "item_id"), known).withColumnRenamed("value", "item_id")
    real = known.train.groupBy("item_id").agg(F.count(F.lit(1)).alias("real"))
    warm = coded.where(F.col("events") >= KNOWN_EVENTS).select(F.col("item_id").alias("neighbour_id"), "code")
    near = known.neighbours.join(warm, "neighbour_id").join(items.select("item_id"), "item_id", "left_semi")
    nearest = Window.partitionBy("item_id").orderBy("rank")
    near = near.withColumn("place", F.row_number().over(nearest)).where(F.col("place") <= PROXIES)
    ordered = F.sort_array(F.collect_list(F.struct("place", F.array("code").alias("codes"))))
    proxies = near.groupBy("item_id").agg(ordered["codes"].alias("proxies"))
    joined = items.join(coded, "item_id", "left").join(real, "item_id", "left").join(proxies, "item_id", "left")
    none = F.array().cast("array<array<bigint>>")
    own = F.when(F.col("events") > 0, _one(F.col("code"))).otherwise(none)
    choices = F.when(F.col("events") >= KNOWN_EVENTS, own).otherwise(F.coalesce("proxies", own))
    return joined.withColumns({"real": F.coalesce("real", F.lit(0)), "choices": choices})

"""Histories of all sides as one Spark frame, and what F5 and F6 read off it: counts by value, and features by user.

An event frame has one row per event: side, entity_id, session_id, time_us, row_id, item_id, token (a small code of the
item's category or popularity, items.py), label. Sides are train, holdout, synthetic and the controls (controls.py). In
time order means by time_us, then row_id.
"""

from functools import reduce

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from clickweave.contracts.tables import GENERATED
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.evaluation.sequences.controls import ENTITY_SALT
from clickweave.frames.align.continued import is_continued
from clickweave.frames.draws import unit_draw

MAX_VALUES = 100_000  # more distinct gaps than this are counted in bins of log time
_BINS_PER_E = 2048  # a bin is 0.05 % wide
MAX_TOKENS = 52
NUM_HASHES = 32
MAX_USER_EVENTS = 400  # of an entity, its first ones: keeps a robot's log from costing more than a person's
_NUMBERS = ("row_id", "label")
_CELLS_A_LONG, _BITS = 7, 9  # nine bits count to MAX_USER_EVENTS
GAP, BIGRAM, SESSION, USER = "gap", "bigram", "session", "user"


def history_events(inputs: EvaluationInputs, controls: dict[str, pd.DataFrame], tokens: pd.Series) -> DataFrame:
    """The event frame. Generated histories that go on with a real one are left out, and blended rows, which stand in
    their parent's: neither is a history of its own.

    Args:
        tokens: code by item id, for every item of every side; O(items), broadcast.
    """
    own = (F.col("origin") == GENERATED) & ~F.coalesce(is_continued(), F.lit(False))
    tables = {"train": inputs.train, "holdout": inputs.holdout, "synthetic": inputs.synthetic.where(own)}
    texts = [F.col(name).cast("string").alias(name) for name in ("entity_id", "session_id", "item_id")]
    time, numbers = F.unix_micros("event_time").alias("time_us"), [F.col(name).cast("long") for name in _NUMBERS]
    parts = [df.select(F.lit(side).alias("side"), *texts, time, *numbers) for side, df in tables.items()]
    spark = inputs.train.sparkSession
    if controls:
        frame = pd.concat([frame.assign(side=side) for side, frame in controls.items()])
        made = spark.createDataFrame(pa.Table.from_pandas(frame, preserve_index=False))
        parts.append(made.select("side", *texts, F.col("time_us").cast("long"), *numbers))
    events = reduce(DataFrame.unionByName, parts).where(F.col("entity_id").isNotNull() & F.col("time_us").isNotNull())
    coded = pa.table({"item_id": pa.array(tokens.index, pa.string()), "token": pa.array(tokens, pa.int32())})
    return events.join(F.broadcast(spark.createDataFrame(coded)), on="item_id", how="left")


def _timeline() -> WindowSpec:
    return Window.partitionBy("side", "entity_id").orderBy("time_us", "row_id")


def _gap_us() -> Column:
    return F.col("time_us") - F.lag("time_us").over(_timeline())


def count_steps(events: DataFrame) -> pd.DataFrame:
    """Columns side, figure (gap: microseconds between events that follow each other in a history; bigram: their tokens
    as first x MAX_TOKENS + second), value, count.

    Cost: one shuffle and sort of all events by entity, one shuffle of counts. Gaps are exact up to MAX_VALUES distinct
    ones, else the lower ends of bins of 0.05 %; so at most 7 x 10^4 bins a side reach the driver.
    """
    pair = F.lag("token").over(_timeline()) * MAX_TOKENS + F.col("token")
    steps = events.select("side", "entity_id", _gap_us().alias(GAP), pair.cast("long").alias(BIGRAM))
    both = F.array(*[F.struct(F.lit(name).alias("figure"), F.col(name).alias("value")) for name in (GAP, BIGRAM)])
    values = steps.select("side", F.inline(both)).where(F.col("value").isNotNull())
    counts = values.groupBy("side", "figure", "value").agg(F.count(F.lit(1)).alias("count"))
    counts = counts.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        if counts.count() > MAX_VALUES:
            low = F.floor(F.expm1(F.floor(F.log1p("value") * _BINS_PER_E) / _BINS_PER_E))
            value = F.when(F.col("figure") == GAP, low).otherwise(F.col("value")).alias("value")
            return _collected(counts.groupBy("side", "figure", value).agg(F.sum("count").alias("count")))
        return _collected(counts)
    finally:
        counts.unpersist()


def count_lengths(events: DataFrame) -> pd.DataFrame:
    """Columns side, figure (session, user), value (events of it), count (of such sessions or users), and over these
    `with_item` and `repeated`: events with an item, and those whose item the user had before.

    Cost: one job; a shuffle of counts by session and one by user and item.
    """
    num = F.count(F.lit(1)).alias("value")
    sessions = events.where(F.col("session_id").isNotNull()).groupBy("side", "entity_id", "session_id").agg(num)
    distinct = F.count_distinct("item_id")  # every event with an item but the first of each item is a repetition
    users = events.groupBy("side", "entity_id").agg(
        num, F.count("item_id").alias("with_item"), (F.count("item_id") - distinct).alias("repeated")
    )
    sums = [
        F.count(F.lit(1)).alias("count"),
        F.sum("with_item").alias("with_item"),
        F.sum("repeated").alias("repeated"),
    ]
    none = {name: F.lit(0).cast("long") for name in ("with_item", "repeated")}
    parts = {SESSION: sessions.withColumns(none), USER: users}
    counted = [df.groupBy("side", "value").agg(*sums).withColumn("figure", F.lit(name)) for name, df in parts.items()]
    return _collected(counted[0].unionByName(counted[1]))


def _collected(counts: DataFrame) -> pd.DataFrame:
    return counts.toArrow().to_pandas().sort_values(["side", "figure", "value"]).reset_index(drop=True)


def user_features(events: DataFrame, shares: dict[str, float], num_levels: int, seed: int) -> pd.DataFrame:
    """One row per entity of a seeded share of entities of each side: side, entity_id, draw, and float64 features.

    Of each entity the first MAX_USER_EVENTS events in time order count. Features: log number of events; gaps in
    log seconds (mean, median, sd) and mean seconds; shares of repeated items and tokens; entropies of items and tokens
    (nats); shares of events by hour (UTC), weekday, label level, and hashed pair of tokens that follow each other
    (feature hashing, Weinberger et al. 2009, 32 columns); first and last label. NaN where there is nothing to say.

    Cost: one scan; one shuffle of the picked entities' events.
    """
    draw = unit_draw("entity_id", salt=ENTITY_SALT, seed=seed)
    share = F.create_map(*[F.lit(part) for pair in shares.items() for part in pair])[F.col("side")]
    ordered = events.where(draw < share).select(
        "*", F.row_number().over(_timeline()).alias("place"), _gap_us().alias("gap_us"), _hashed_pair().alias("pair")
    )
    kept = ordered.where(F.col("place") <= MAX_USER_EVENTS)
    for name in ("item_id", "token"):
        same = Window.partitionBy("side", "entity_id", name)
        kept = kept.withColumns(
            {
                f"{name}_events": F.when(F.col(name).isNotNull(), F.count(F.lit(1)).over(same)),
                f"{name}_place": F.row_number().over(same.orderBy("place")),
            }
        )
    cells = _cells(num_levels)
    packed = [part for title, (value, num) in cells.items() for part in _packed(title, value, num)]
    table = kept.groupBy("side", "entity_id").agg(*_features(), *packed).withColumn("draw", draw)
    frame = table.toArrow().to_pandas().sort_values(["side", "draw", "entity_id"]).reset_index(drop=True)
    plain = frame.drop(columns=[name for name in frame.columns if "/" in name])
    numbers = plain.drop(columns=["side", "entity_id"]).astype("float64")
    by_cell = [_unpacked(frame, title, num) for title, (_, num) in cells.items()]
    return pd.concat([plain[["side", "entity_id"]], numbers, *by_cell], axis=1)


def _hashed_pair() -> Column:
    before = F.lag("token").over(_timeline())
    return F.when(before.isNotNull() & F.col("token").isNotNull(), F.pmod(F.xxhash64(before, "token"), NUM_HASHES))


def _cells(num_levels: int) -> dict[str, tuple[Column, int]]:
    """What is counted by cell: the cell of an event, and how many there are."""
    time = F.timestamp_micros("time_us")
    return {
        "hour": (F.hour(time), 24),
        "weekday": (F.weekday(time), 7),
        "label": (F.col("label"), num_levels + 1),
        "pair": (F.col("pair"), NUM_HASHES),
    }


def _packed(title: str, value: Column, num_cells: int) -> list[Column]:
    """Counts by cell, seven to a long: an aggregate a cell would be a method too large for the JVM to compile."""
    packed = []
    for first in range(0, num_cells, _CELLS_A_LONG):
        inside = (value >= first) & (value < first + _CELLS_A_LONG)
        one = F.call_function("shiftleft", F.lit(1).cast("long"), ((value - first) * _BITS).cast("int"))
        packed.append(F.sum(F.when(inside, one).otherwise(F.lit(0).cast("long"))).alias(f"{title}/{first}"))
    return packed


def _unpacked(frame: pd.DataFrame, title: str, num_cells: int) -> pd.DataFrame:
    """Shares of events by cell."""
    events = np.rint(np.exp(frame["events"].to_numpy(dtype=float)))
    shares = {}
    for cell in range(num_cells):
        place = cell % _CELLS_A_LONG
        packed = frame[f"{title}/{cell - place}"].to_numpy(dtype=np.int64)
        shares[f"{title} {cell}"] = ((packed >> (place * _BITS)) & (2**_BITS - 1)) / events
    return pd.DataFrame(shares, index=frame.index)


def _features() -> list[Column]:
    gap = F.log1p(F.col("gap_us") / 1e6)
    features = {
        "events": F.log(F.count(F.lit(1))),
        "gap mean": F.avg(F.col("gap_us") / 1e6),
        "gap log mean": F.avg(gap),
        "gap log median": F.median(gap),
        "gap log sd": F.stddev_pop(gap),
    }
    for name, title in (("item_id", "item"), ("token", "category")):
        events = F.count(name)
        repeated = F.sum((F.col(name).isNotNull() & (F.col(f"{name}_place") > 1)).cast("long"))
        features[f"{title} repeats"] = F.try_divide(repeated, events)
        features[f"{title} entropy"] = F.try_divide(-F.sum(F.log(F.col(f"{name}_events"))), events) + F.log(
            F.nullif(events, F.lit(0))
        )
    features |= {"first label": F.min_by("label", "place"), "last label": F.max_by("label", "place")}
    return [feature.alias(name) for name, feature in features.items()]

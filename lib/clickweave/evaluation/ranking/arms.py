"""What the ranking models are trained on: arms of real rows, of these and others, and of as many real ones again.

T's rows again are a bootstrap of whole entities under new names: each stands in it a Poisson number of times (Hanley
and MacGibbon 2006), which is what draws with replacement give and needs no order; histories stay whole. Rows of T and S
count as one, others by their training weight.
"""

import math
from dataclasses import dataclass
from functools import reduce
from typing import Literal

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clickweave.contracts.tables import AUGMENTED, KEY_COLUMNS, REAL
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.evaluation.recommenders.protocol import Task
from clickweave.frames.draws import row_key, unit_draw

RATIOS = (0.1, 0.25, 0.5, 1.0, 2.0)  # synthetic rows per real one
SHARES = (0.05, 0.1, 0.25, 0.5)  # of the real users; 1 is the arm `real`
LEAST_FIT = 0.95  # S or T with fewer rows than this share of the other is no match in size
MAX_COPIES = 100  # of one entity
NUM_BUCKETS = 64  # inside which items change rows: the least that keeps many cores busy
_SALT = "ranking arms"
_TYPES = {"row_id": "long", "position": "long", "propensity": "double", "event_time": "timestamp", "label": "long"}

Source = Literal["train", "repeated", "independent", "extra", "op", "synthetic"]


@dataclass(frozen=True)
class Part:
    """Rows of an arm: a share of the entities of T or S, T again (`share` entities per one of T), a share of T with
    items apart from users, all rows of the mixed set that are not real, or its augmented rows of the operator `op`.
    """

    source: Source
    share: float = 1.0
    op: str = ""


@dataclass(frozen=True)
class Plan:
    """An arm.

    Attributes:
        rows: consumed rows that it holds; expected ones, where a draw decides.
        rival: the arm with as many real rows again.
        ratio: rows per row of T that it adds.
    """

    name: str
    parts: tuple[Part, ...]
    rows: int
    rival: str = ""
    ratio: float = 0.0


@dataclass(frozen=True)
class RowCounts:
    """Consumed rows of T, of S, and of the mixed set without its real ones, in all and by augment operator.

    `extra` is 0 where the mixed set holds no real rows at all: then there is nothing that others were added to, which
    `holds_real` tells.
    """

    train: int
    synthetic: int
    extra: int
    ops: dict[str, int]
    holds_real: bool = True


def count_consumed(inputs: EvaluationInputs, task: Task) -> RowCounts:
    """One job: an aggregate over T, S and the mixed set."""
    tables = {"train": inputs.train, "synthetic": inputs.synthetic, "mixed": inputs.mixed}
    is_consumed = F.col("item_id").isNotNull() & (F.col("label") >= F.lit(task.level))
    sides = [df.where(is_consumed).select(F.lit(side).alias("side"), "origin", "op") for side, df in tables.items()]
    kinds = reduce(DataFrame.unionByName, sides).groupBy("side", "origin", "op")
    found = kinds.agg(F.count(F.lit(1)).alias("rows")).toPandas()
    total = {side: int(found.loc[found["side"] == side, "rows"].sum()) for side in ("train", "synthetic")}
    mixed = found[found["side"] == "mixed"]
    holds_real = mixed.empty or bool((mixed["origin"] == REAL).any())
    extra = mixed[(mixed["origin"] != REAL) & holds_real]
    by_op = extra[extra["origin"] == AUGMENTED].groupby("op")["rows"].sum().sort_index()
    return RowCounts(
        **total,
        extra=int(extra["rows"].sum()),
        ops={str(op): int(num) for op, num in by_op.items()},
        holds_real=holds_real,
    )


def plan_arms(counts: RowCounts, *, full: bool) -> list[Plan]:
    """The arms of a mode, those first that all figures need.

    `thinned`, T with as many rows as S, stands where S has less than LEAST_FIT of T's rows; S never counts with more
    rows than T. `independent` is the control of the figures that hold S against one of these two.
    """
    train, whole = counts.train, Part("train")
    arms = [Plan("real", (whole,), train)]
    if counts.synthetic:
        share = min(1.0, train / counts.synthetic)
        arms.append(Plan("synthetic", (Part("synthetic", share),), round(share * counts.synthetic)))
        of_train = counts.synthetic / train if counts.synthetic < LEAST_FIT * train else 1.0
        if of_train < 1.0:
            arms.append(Plan("thinned", (Part("train", of_train),), counts.synthetic))
        arms.append(Plan("independent", (Part("independent", of_train),), round(of_train * train)))
    if counts.extra:
        arms += _with_rival("mixed", Part("extra"), counts.extra, train)
    if not full:
        return arms
    for op, rows in counts.ops.items():
        arms += _with_rival(f"real + {op}", Part("op", op=op), rows, train)
    for ratio in reachable(counts):
        part = Part("synthetic", min(1.0, ratio * train / counts.synthetic))
        arms += _with_rival(f"real + {ratio:g} synthetic", part, round(ratio * train), train)
    for share in SHARES:
        few = Part("train", share)
        arms.append(Plan(f"{share:g} of real", (few,), round(share * train)))
        if counts.extra:
            arms.append(Plan(f"{share:g} of real + extra", (few, Part("extra")), round(share * train) + counts.extra))
    return arms


def reachable(counts: RowCounts) -> list[float]:
    """The ratios that S has rows for, within LEAST_FIT."""
    return [ratio for ratio in RATIOS if counts.synthetic and counts.synthetic >= LEAST_FIT * ratio * counts.train]


def arm_events(plan: Plan, inputs: EvaluationInputs) -> DataFrame:
    """The arm's rows: the key columns of events and `weight`. Narrow; every draw is a hash."""
    seed = inputs.config.seed
    return reduce(DataFrame.unionByName, [_rows(part, inputs, seed) for part in plan.parts])


def thin(events: DataFrame, share: float, *, salt: str, seed: int) -> DataFrame:
    """The rows of a seeded share of entities; a smaller share's are among those of a larger one."""
    return events if share >= 1.0 else events.where(unit_draw("entity_id", salt=salt, seed=seed) < share)


def entities_again(events: DataFrame, per_entity: float, *, salt: str, seed: int) -> DataFrame:
    """Entities drawn with replacement, `per_entity` times as many as there are, each draw under a new name."""
    draw = unit_draw("entity_id", salt=salt, seed=seed)
    copies = F.explode(F.sequence(F.lit(1), _poisson(draw, per_entity)))
    drawn = events.where(_poisson(draw, per_entity) > 0).withColumn("_copy", copies)
    named = {name: F.concat(name, F.lit("#"), F.col("_copy")) for name in ("entity_id", "user_id", "session_id")}
    return drawn.withColumns({**named, "row_id": row_key("row_id", "_copy", salt=salt)}).drop("_copy")


def items_apart(events: DataFrame, *, salt: str, seed: int) -> DataFrame:
    """The rows with an item, each with the item of another: all there are, and no user's own any more.

    In a bucket of rows by hash each takes the item of the next in a drawn order, the last that of the first. One
    shuffle.
    """
    bucket = (unit_draw("row_id", salt=f"{salt} bucket", seed=seed) * F.lit(NUM_BUCKETS)).cast("int")
    order = Window.partitionBy(bucket).orderBy(unit_draw("row_id", salt=salt, seed=seed), "row_id")
    another = F.coalesce(F.lead("item_id").over(order), F.first("item_id").over(order))
    return events.where(F.col("item_id").isNotNull()).withColumn("item_id", another)


def _with_rival(name: str, part: Part, rows: int, train: int) -> list[Plan]:
    """Real rows with `part`, and with as many of themselves."""
    ratio, rival = rows / train, "repeated" if name == "mixed" else f"{name}: repeated"
    parts = (Part("train"), part), (Part("train"), Part("repeated", ratio))
    return [Plan(name, parts[0], train + rows, rival, ratio), Plan(rival, parts[1], train + rows, ratio=ratio)]


def _rows(part: Part, inputs: EvaluationInputs, seed: int) -> DataFrame:
    salt = f"{_SALT} {part.source}"
    match part.source:
        case "train":
            return thin(_keys(inputs.train, F.lit(1.0)), part.share, salt=salt, seed=seed)
        case "repeated":
            return entities_again(_keys(inputs.train, F.lit(1.0)), part.share, salt=salt, seed=seed)
        case "independent":
            apart = items_apart(_keys(inputs.train, F.lit(1.0)), salt=salt, seed=seed)
            return thin(apart, part.share, salt=salt, seed=seed)
        case "synthetic":
            return thin(_keys(inputs.synthetic, F.lit(1.0)), part.share, salt=salt, seed=seed)
    wanted = F.col("origin") != REAL
    if part.source == "op":
        wanted = (F.col("origin") == AUGMENTED) & (F.col("op") == part.op)
    return _keys(inputs.mixed.where(wanted), F.col("weight"))


def _keys(df: DataFrame, weight: Column) -> DataFrame:
    """The key columns; one that is missing is null."""
    keys = [F.col(name) if name in df.columns else F.lit(None).alias(name) for name in KEY_COLUMNS]
    typed = [key.cast(_TYPES.get(name, "string")).alias(name) for name, key in zip(KEY_COLUMNS, keys, strict=True)]
    return df.select(*typed, weight.cast("double").alias("weight"))


def _poisson(draw: Column, mean: float) -> Column:
    """The Poisson number at a uniform draw: how many of its cumulative probabilities lie at or below it."""
    number, term, total, count = 0, math.exp(-mean), 0.0, F.lit(0)
    while total < 1.0 - 1e-12 and number < MAX_COPIES:
        total, number = total + term, number + 1
        count, term = count + (draw >= F.lit(total)).cast("int"), term * mean / number
    return count

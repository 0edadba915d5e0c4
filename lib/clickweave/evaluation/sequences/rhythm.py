"""Sessions, pauses and what follows what, for the report's pictures: counted on Spark over all rows.

Lengths and gaps fall into steps that grow about evenly on a log scale; of what follows what, the pairs of the most
frequent categories are kept. The driver holds some hundred counts.
"""

from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clickweave.contracts.tables import feature_column
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.evaluation.pictures import OTHERS

LENGTHS = {
    1: "1",
    2: "2",
    3: "3",
    4: "4",
    5: "5",
    6: "6-7",
    8: "8-10",
    11: "11-15",
    16: "16-25",
    26: "26-50",
    51: "51+",
}
GAPS_S = {
    0: "<1 s", 1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3_600: "1 h", 21_600: "6 h", 86_400: "1 d",
    604_800: "7 d",
}  # fmt: skip
MAX_NAMES = 7  # categories beside all others


def measure_rhythm(inputs: EvaluationInputs) -> dict[str, Any]:
    """`rhythm` {session_length, gap: {title, of, labels, shares, rows}} and `flow` {by, names, shares, rows}, by side.

    `shares` of a side are of all its sessions, gaps or pairs, whose number is in `rows`. A log without time, or without
    what comes in sequences, has none.

    Cost: three jobs over T, H and S: a shuffle by session, one by entity, and a count of T by category.
    """
    if inputs.schema.event_time is None or inputs.schema.entity_column is None:
        return {}
    rows = _side_by_side(inputs)
    lengths = rows.where(F.col("session_id").isNotNull()).groupBy("side", "session_id").count()
    order = Window.partitionBy("side", "entity_id").orderBy("time_us", "row_id")
    rows = rows.where(F.col("entity_id").isNotNull() & F.col("time_us").isNotNull())
    gap_s = ((F.col("time_us") - F.lag("time_us").over(order)) / 1e6).alias("gap_s")
    pairs = rows.select("side", "category", gap_s, F.lag("category").over(order).alias("before_category"))
    gaps = pairs.where(F.col("gap_s").isNotNull())
    found = {
        "session_length": _histogram(lengths, F.col("count"), LENGTHS, "events per session", "share of sessions"),
        "gap": _histogram(gaps, F.col("gap_s"), GAPS_S, "time between events", "share of gaps"),
    }
    return {"rhythm": {name: one for name, one in found.items() if one["shares"]}, "flow": _flow(pairs, rows, inputs)}


def _side_by_side(inputs: EvaluationInputs) -> DataFrame:
    """Rows of T, S and H: side, row_id, entity_id, session_id, time_us and category."""
    sides = {"train": inputs.train, "synthetic": inputs.synthetic, "holdout": inputs.holdout}
    texts = [F.col(name).cast("string").alias(name) for name in ("entity_id", "session_id", "item_id")]
    time = F.unix_micros("event_time").alias("time_us")
    tables = [df.select(F.lit(side).alias("side"), "row_id", *texts, time) for side, df in sides.items()]
    rows = reduce(DataFrame.unionByName, tables)
    name = _attribute(inputs)
    if inputs.items is None or name is None:
        return rows.withColumn("category", F.col("item_id"))
    known = inputs.items.select(F.col("item_id").cast("string"), F.col(name).cast("string").alias("category"))
    return rows.join(known, on="item_id", how="left")


def _attribute(inputs: EvaluationInputs) -> str | None:
    """The column of the first categorical attribute of items, if there is one."""
    columns = [] if inputs.items is None else inputs.items.columns
    names = [name for name, spec in inputs.schema.item_features.items() if spec.kind == "categorical"]
    return next((feature_column(name) for name in names if feature_column(name) in columns), None)


def _histogram(rows: DataFrame, value: Column, steps: dict[int, str], title: str, of: str) -> dict[str, Any]:
    """Shares of each side's rows by step: from its lower end to below the next."""
    step = reduce(lambda so_far, low: so_far + (value >= low).cast("int"), steps, F.lit(-1))
    counts = rows.select("side", step.alias("step")).groupBy("side", "step").count().toPandas()
    table = counts.pivot_table(index="side", columns="step", values="count", fill_value=0)
    table = table.reindex(columns=range(len(steps)), fill_value=0)
    return {"title": title, "of": of, "labels": list(steps.values()), **_shares(table)}


def _flow(pairs: DataFrame, rows: DataFrame, inputs: EvaluationInputs) -> dict[str, Any]:
    """Shares of each side's pairs of consecutive events by their two categories; T's most frequent have names."""
    counted = rows.where("side = 'train' AND category IS NOT NULL").groupBy("category").count()
    top = [row["category"] for row in counted.orderBy(F.desc("count"), "category").limit(MAX_NAMES + 1).collect()]
    if len(top) < 2:
        return {}
    names = top if len(top) <= MAX_NAMES else top[:MAX_NAMES]
    both = pairs.where(F.col("before_category").isNotNull() & F.col("category").isNotNull())
    codes = [_code(name, names).alias(name) for name in ("before_category", "category")]
    counts = both.select("side", *codes).groupBy("side", "before_category", "category").count().toPandas()
    size = len(names) + 1
    counts["cell"] = counts["before_category"] * size + counts["category"]
    table = counts.pivot_table(index="side", columns="cell", values="count", fill_value=0)
    found = _shares(table.reindex(columns=range(size**2), fill_value=0))
    matrices = {side: np.reshape(cells, (size, size)) for side, cells in found["shares"].items()}
    kept = size if any(matrix[-1].any() or matrix[:, -1].any() for matrix in matrices.values()) else size - 1
    shares = {side: matrix[:kept, :kept].tolist() for side, matrix in matrices.items()}
    attribute = _attribute(inputs)
    by = "item" if attribute is None else f"item {attribute.removeprefix('feature_')}"
    return {"by": by, "names": [*names, OTHERS][:kept], "shares": shares, "rows": found["rows"]}


def _code(name: str, names: list[str]) -> Column:
    """Place of a category among `names`, or their number for any other."""
    place = F.array_position(F.array(*map(F.lit, names)), F.col(name)).cast("int") - 1
    return F.when(place >= 0, place).otherwise(len(names))


def _shares(table: pd.DataFrame) -> dict[str, Any]:
    """Each side's counts as shares of their sum, and the sums."""
    sums = {str(side): int(sum(counts)) for side, counts in table.iterrows()}
    shares = {str(side): (counts.to_numpy(dtype=float) / sum(counts)).tolist() for side, counts in table.iterrows()}
    return {"shares": shares, "rows": sums}

"""curriculum: all rows, with a column `order`: when in training each is seen, from 1 on (Bengio et al. 2009)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import AUGMENTED, ORDER, REAL, event_columns
from clickweave.frames.mix.sources import MixSources

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

KEEPS_REAL = True
MOST_ITEMS = 1_000_000  # items that every executor is sent; the rarer ones are in the last stage
BINS_PER_DOUBLING = 8  # resolution of the fitted bounds


class Params(Section):
    """Parameters of `curriculum`."""

    by: Literal["easy_to_hard", "synthetic_first"] = Field(
        "easy_to_hard",
        description="easy_to_hard: rows of items (without items: queries) that many real rows have first, rare ones "
        "last; synthetic_first: synthetic rows 1, augmented 2, real 3",
    )
    stages: int = Field(3, ge=2, le=20, description="easy_to_hard: values of `order`, with about equal real rows")


@dataclass(frozen=True)
class Bounds:
    """Real rows that an item (or query) has at least in stages 1, 2, ..., the last but one."""

    least: tuple[int, ...]


def fit(sources: MixSources, params: Params, log: SchemaConfig) -> Bounds | None:
    """Counts by item, of which a histogram of some hundred lines reaches the driver; nothing for synthetic_first."""
    from pyspark.sql import functions as F

    if params.by == "synthetic_first":
        return None
    place = F.floor(F.log2("_rows") * F.lit(BINS_PER_DOUBLING)).alias("bin")
    bins = _counts(sources.real, _key(log)).groupBy(place).agg(F.min("_rows").alias("least"), F.sum("_rows").alias("n"))
    found = sorted(((row["least"], row["n"]) for row in bins.collect()), reverse=True)
    return bounds_of(found, params.stages)


def bounds_of(bins: list[tuple[int, int]], stages: int) -> Bounds:
    """Bounds that give each stage about the same number of real rows, as far as MOST_ITEMS allows.

    Args:
        bins: (least rows of an item, rows of all its items), most frequent items first.
    """
    total, so_far = sum(rows for _, rows in bins), 0
    floor = max(1, -(-total // MOST_ITEMS))
    least: list[int] = []
    for bound, rows in bins:
        so_far += rows
        while len(least) < stages - 1 and so_far * stages >= total * (len(least) + 1):
            least.append(max(bound, floor))
    return Bounds(tuple(least))


def apply(sources: MixSources, fitted: Bounds | None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """All rows with `order`. synthetic_first is narrow; easy_to_hard shuffles counts by item and sends the items of
    all stages but the last (at most MOST_ITEMS) to every executor, so that no row moves.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.mix.join import whole_mix

    rows = whole_mix(sources, log, sources.synthetic)
    if fitted is None:
        order = F.when(F.col("origin") == REAL, 3).when(F.col("origin") == AUGMENTED, 2).otherwise(1)
    else:
        key = _key(log)
        counted = _counts(sources.real, key).where(F.col("_rows") >= F.lit(min(fitted.least, default=1 << 62)))
        places = counted.select(key, _stage(fitted).alias("_place"))
        rows = rows.join(F.broadcast(places), key, "left")
        order = F.coalesce("_place", F.lit(params.stages))
    return rows.select(*event_columns(tuple(log.event_features)), order.cast("int").alias(ORDER))


def _key(log: SchemaConfig) -> str:
    return "item_id" if log.item is not None else "query"


def _counts(real: DataFrame, key: str) -> DataFrame:
    from pyspark.sql import functions as F

    return real.where(F.col(key).isNotNull()).groupBy(key).agg(F.count(F.lit(1)).alias("_rows"))


def _stage(fitted: Bounds) -> Column:
    """1 for the items above the first bound, one more for each bound that an item misses."""
    from pyspark.sql import functions as F

    stage = F.lit(1)
    for least in fitted.least:
        stage = stage + (F.col("_rows") < F.lit(least)).cast("int")
    return stage

"""Item-based nearest neighbours (Sarwar, Karypis, Konstan and Riedl 2001): what is consumed by the same users is alike.

Legend: I items, U users, E events, N candidates.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from scipy import sparse

from clickweave.config.base import Section
from clickweave.contracts.tables import DAY_US
from clickweave.evaluation.recommenders.interactions import (
    WEIGHT_STEPS,
    consumed,
    history_matrix,
    item_counts,
    pairs,
    whole_weight,
    with_item_codes,
)
from clickweave.evaluation.recommenders.protocol import Histories, ItemIndex, Task, at_candidates

STEPS = 1 << 10  # of a weight of 1 in products of two: whole numbers add up to the same sum in any order


class Params(Section):
    """Of similarities and of how a history is read."""

    similarity: Literal["cosine", "jaccard"] = "cosine"
    neighbours: int = Field(100, ge=1, description="of each item, the most similar ones")
    shrink: float = Field(10.0, ge=0, description="added to the denominator: pairs of few users count less")
    most_items: int = Field(200, ge=2, description="of one user, drawn by hash, whose pairs are counted")
    half_life_days: float | None = Field(None, gt=0, description="of an event's weight before the user's last one")


@dataclass(frozen=True)
class Neighbours:
    """`similarity_II` float32, sparse: row i holds the most similar items of item i of `index`."""

    index: ItemIndex
    similarity_II: sparse.csr_array
    params: Params
    level: int | None

    def score(self, histories: Histories, candidates: np.ndarray) -> np.ndarray:
        """Sums of the similarities of a candidate's neighbours that the user has consumed, by the events' weights."""
        history = histories.consumed(self.level)
        own_UI = history_matrix(history, self.index, self._weights_E(history)).astype(np.float32)
        known_UI = (own_UI @ self.similarity_II.T).toarray()
        return at_candidates(known_UI, self.index.places(candidates), 0.0)

    def _weights_E(self, history: Histories) -> np.ndarray:
        if self.params.half_life_days is None or len(history.weights) == 0:
            return history.weights
        last_E = history.time_us[history.starts[1:] - 1][history.owners]
        return history.weights * 0.5 ** ((last_E - history.time_us) / (self.params.half_life_days * DAY_US))


def fit(events: DataFrame, items: DataFrame | None, users: DataFrame | None, task: Task, params: Params) -> Neighbours:
    """Similarities of items as vectors over users; an entry is the weight of the user's events of the item, at most 1.

        cosine:  a.b / (|a| |b| + shrink)        jaccard:  a.b / (|a|^2 + |b|^2 - a.b + shrink)

    For weights of 1 these are the usual ones of sets of users. Weights count in steps of 2^-10, so that sums are exact
    and the same for any partitioning. Of a user with more items `most_items` count, in norms too. One shuffle by user,
    one of pairs of items (at most users x most_items^2 / 2 before they are added up where they arise), one by item;
    the driver holds I x neighbours numbers.
    """
    found = pairs(consumed(events, task), task, params.most_items).persist(StorageLevel.DISK_ONLY)
    item_ids, _ = item_counts(found)
    weight = F.least(whole_weight(F.col("total") / F.lit(float(WEIGHT_STEPS)), STEPS), F.lit(STEPS))
    coded = with_item_codes(found, item_ids).select("entity_id", F.struct("item", weight.alias("weight")).alias("held"))
    lists = coded.groupBy("entity_id").agg(F.sort_array(F.collect_list("held")).alias("held"))
    ones = lists.select(F.posexplode("held").alias("place", "one"), "held")
    rest = F.slice("held", F.col("place") + 2, F.size("held"))
    both = ones.select("one", F.explode(rest).alias("other"))
    products = _summed(both.select(_item("one"), _item("other"), _product("one", "other")), "one", "other")
    norms = _summed(ones.select(_item("one"), _product("one", "one")), "one")
    table = _nearest(products, norms, params).toArrow()
    found.unpersist()
    where = table.column("one").to_numpy(), table.column("other").to_numpy()
    shape = (len(item_ids), len(item_ids))
    matrix = sparse.coo_array((table.column("similarity").to_numpy().astype(np.float32), where), shape=shape).tocsr()
    matrix.sort_indices()
    return Neighbours(ItemIndex(item_ids), matrix, params, task.level)


def _nearest(products: DataFrame, norms: DataFrame, params: Params) -> DataFrame:
    """one, other, similarity: the most similar ones of each item, ties by code."""
    first, second = norms.toDF("one", "a"), norms.toDF("other", "b")
    found = products.join(first, "one", "inner").join(second, "other", "inner")
    dot, a, b = F.col("dot"), F.col("a"), F.col("b")
    size = F.sqrt(a) * F.sqrt(b) if params.similarity == "cosine" else a + b - dot
    one, other, similarity = F.col("one"), F.col("other"), (dot / (size + F.lit(params.shrink))).alias("similarity")
    names = F.array(F.struct(one, other), F.struct(other.alias("one"), one.alias("other")))
    ways = found.select(F.explode(names).alias("way"), similarity).select("way.*", "similarity")
    nearest = Window.partitionBy("one").orderBy(F.desc("similarity"), "other")
    return ways.withColumn("_place", F.row_number().over(nearest)).where(F.col("_place") <= params.neighbours)


def _item(side: str) -> Column:
    return F.col(side).getField("item").alias(side)


def _product(one: str, other: str) -> Column:
    return (F.col(one).getField("weight") * F.col(other).getField("weight")).alias("dot")


def _summed(rows: DataFrame, *keys: str) -> DataFrame:
    return rows.groupBy(*keys).agg((F.sum("dot") / F.lit(float(STEPS**2))).alias("dot"))

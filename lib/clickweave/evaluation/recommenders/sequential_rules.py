"""Sequential rules (Kamehkhosh, Jannach and Ludewig 2017; Ludewig and Jannach 2018): what follows what, how soon.

Legend: I items, U users, E events, N candidates.
"""

from dataclasses import dataclass

import numpy as np
from pydantic import Field
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from scipy import sparse

from clickweave.config.base import Section
from clickweave.evaluation.recommenders.interactions import (
    consumed,
    history_matrix,
    item_counts,
    whole_weight,
    with_item_codes,
)
from clickweave.evaluation.recommenders.protocol import Histories, ItemIndex, Task, at_candidates

WEIGHT_STEPS = 1 << 10  # of a weight of 1
DISTANCES = 2520  # 1 / 1 to 1 / 10 are whole numbers of 2520ths, so that sums are exact in any order


class Params(Section):
    """Of rules and of how a history is read."""

    steps: int = Field(10, ge=1, le=10, description="an item this many events later, or fewer, follows")
    neighbours: int = Field(100, ge=1, description="of each item, those that follow it most")
    shrink: float = Field(10.0, ge=0, description="added to an item's total: rules of few events count less")
    fade: float = Field(0.9, gt=0, le=1, description="what an event of a history counts for over the next one")


@dataclass(frozen=True)
class Rules:
    """`follows_II` float32, sparse: row i holds what follows item i of `index`."""

    index: ItemIndex
    follows_II: sparse.csr_array
    params: Params
    level: int | None

    def score(self, histories: Histories, candidates: np.ndarray) -> np.ndarray:
        """Sums over the events of a history of how a candidate follows their item, later events for more."""
        history = histories.consumed(self.level)
        behind_E = history.starts[1:][history.owners] - 1 - np.arange(len(history.item_ids))
        own_UI = history_matrix(history, self.index, history.weights * self.params.fade**behind_E).astype(np.float32)
        return at_candidates((own_UI @ self.follows_II).toarray(), self.index.places(candidates), 0.0)


def fit(events: DataFrame, items: DataFrame | None, users: DataFrame | None, task: Task, params: Params) -> Rules:
    """Rules from item i to another item j, over all pairs of events of a user that are at most `steps` apart:

        sum (weight of the later event) / (events between them + 1), over (that of all rules of i + shrink)

    One shuffle by user, one of pairs of items (at most `steps` an event, before they are added up where they arise),
    one by item; the driver holds I x neighbours numbers. Sums are of whole numbers: the same for any partitioning.
    """
    rows = consumed(events, task)
    item_ids, _ = item_counts(rows)
    table = _strongest(_followed(with_item_codes(rows, item_ids), params.steps), params).toArrow()
    where = table.column("one").to_numpy(), table.column("other").to_numpy()
    shape = (len(item_ids), len(item_ids))
    matrix = sparse.coo_array((table.column("rule").to_numpy().astype(np.float32), where), shape=shape).tocsr()
    matrix.sort_indices()
    return Rules(ItemIndex(item_ids), matrix, params, task.level)


def _followed(rows: DataFrame, steps: int) -> DataFrame:
    """one, other, near: how `other` follows `one`, in DISTANCES x WEIGHT_STEPS-ths."""
    in_time = Window.partitionBy("entity_id").orderBy("time_us", "row_id")
    weight = whole_weight(F.col("weight"), WEIGHT_STEPS)
    later = [
        F.struct(
            F.lead("item", step).over(in_time).alias("other"),
            (F.lead(weight, step).over(in_time) * F.lit(DISTANCES // step)).alias("near"),
        )
        for step in range(1, steps + 1)
    ]
    ahead = rows.select(F.col("item").alias("one"), F.array(*later).alias("later"))
    both = ahead.select("one", F.explode("later").alias("then")).select("one", "then.other", "then.near")
    apart = F.col("other").isNotNull() & (F.col("other") != F.col("one"))
    return both.where(apart).groupBy("one", "other").agg(F.sum("near").alias("near"))


def _strongest(followed: DataFrame, params: Params) -> DataFrame:
    """one, other, rule: the strongest rules of each item, ties by code."""
    of_one = Window.partitionBy("one")
    total = F.sum("near").over(of_one) + F.lit(params.shrink * DISTANCES * WEIGHT_STEPS)
    place = F.row_number().over(of_one.orderBy(F.desc("near"), "other"))
    placed = followed.select("one", "other", (F.col("near") / total).alias("rule"), place.alias("place"))
    return placed.where(F.col("place") <= params.neighbours).select("one", "other", "rule")

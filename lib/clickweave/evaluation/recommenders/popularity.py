"""Popularity: every user is recommended what most events are about. The floor for all others."""

from dataclasses import dataclass

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.config.base import Section
from clickweave.evaluation.recommenders.interactions import WEIGHT_STEPS, consumed, whole_weight
from clickweave.evaluation.recommenders.protocol import Histories, ItemIndex, Task, at_candidates


class Params(Section):
    """It has none."""


@dataclass(frozen=True)
class Popularity:
    """`weights_I` float64 [I]: the events of each item of `index`, by weight."""

    index: ItemIndex
    weights_I: np.ndarray

    def score(self, histories: Histories, candidates: np.ndarray) -> np.ndarray:
        """The weighted number of training events of the item, the same for every user; 0 without any."""
        scores_1N = at_candidates(self.weights_I[None], self.index.places(candidates), 0.0)
        return np.repeat(scores_1N, histories.num_users, axis=0)


def fit(events: DataFrame, items: DataFrame | None, users: DataFrame | None, task: Task, params: Params) -> Popularity:
    """Weighted counts per item: one aggregate; the driver holds a row per item.

    Weights count in steps of 2^-20, so that sums are exact and the same for any partitioning.
    """
    weight = whole_weight(F.col("weight"))
    table = consumed(events, task).groupBy("item_id").agg(F.sum(weight).alias("weight")).toArrow().sort_by("item_id")
    weights_I = table.column("weight").to_numpy() / WEIGHT_STEPS
    return Popularity(ItemIndex(table.column("item_id").to_numpy(zero_copy_only=False)), weights_I)

"""Test cases of the ranking figures: what a user did before is given, what they did after is to be found.

Rule: of a user of H with at least two consumed events the last fifth, at least one, are later events (the first
MAX_TARGETS of them); those before are the history (its last MAX_HISTORY). Targets are the distinct items of the later
events that are candidates and that the history does not hold: no repeats, and rankings leave seen items out too. Events
stand by time and, where that is equal or missing, by row_id, which is a hash. Users without a target are left out.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from scipy import sparse

from clickweave.contracts.tables import IS_WHAT_IF
from clickweave.evaluation.ranking.metrics import Pairs
from clickweave.evaluation.recommenders import content
from clickweave.evaluation.recommenders.interactions import consumed
from clickweave.evaluation.recommenders.protocol import Histories, ItemIndex, Task
from clickweave.evaluation.recommenders.registry import fitting
from clickweave.frames.draws import unit_draw

MAX_USERS, MAX_HISTORY, MAX_TARGETS = 2_000, 200, 50
TARGET_SHARE = 0.2
COLD_EVENTS = 3  # a user of so many events of history or fewer is cold
RARE_EVENTS = 5  # an item of so many events in T or fewer is rare
HEAD_SHARE = 0.1
_SALT = "ranking users"


@dataclass(frozen=True)
class Catalogue:
    """The candidates: `items` (I,) ids, ascending; `events` (I,) int64, how often each is consumed in T."""

    items: np.ndarray
    events: np.ndarray

    @property
    def head(self) -> np.ndarray:
        """Whether an item is of the tenth with the most events (I,); equal numbers stand by id."""
        most = np.argsort(-self.events, kind="stable")[: max(1, round(HEAD_SHARE * len(self.items)))]
        return np.isin(np.arange(len(self.items)), most)


@dataclass(frozen=True)
class Cases:
    """Users U of the test, in the order of `histories`.

    Attributes:
        seen: items of the histories. targets: what is to be found; each user has at least one.
        left_out: later items that are no target because they are `seen` or `unknown` (no candidate).
    """

    histories: Histories
    seen: Pairs
    targets: Pairs
    left_out: dict[str, int]

    @property
    def num_users(self) -> int:
        return self.histories.num_users

    def slices(self, catalogue: Catalogue) -> dict[str, np.ndarray]:
        """Slice -> whether a pair of `targets` is in it (P,): of all users or cold ones, of items by events in T."""
        cold_U = np.diff(self.histories.starts) <= COLD_EVENTS
        head_P = catalogue.head[self.targets.items]
        return {
            "all": np.ones(len(head_P), bool),
            "cold_users": cold_U[self.targets.users],
            "rare_items": catalogue.events[self.targets.items] <= RARE_EVENTS,
            "head_items": head_P,
            "tail_items": ~head_P,
        }


def fit_catalogue(train: DataFrame, items: DataFrame | None, task: Task) -> Catalogue:
    """All items of T, and of `items` those that exist; one job, one row per item on the driver."""
    counts = consumed(train, task).groupBy("item_id").agg(F.count(F.lit(1)).alias("events"))
    if items is not None:
        there = items.where(~F.col(IS_WHAT_IF)) if IS_WHAT_IF in items.columns else items
        counts = there.select("item_id").distinct().join(counts, "item_id", "full").fillna(0, subset=["events"])
    found = counts.toPandas().sort_values("item_id")
    return Catalogue(found["item_id"].to_numpy(dtype=object), found["events"].to_numpy(dtype=np.int64))


def holdout_cases(holdout: DataFrame, task: Task, catalogue: Catalogue, max_users: int = MAX_USERS) -> Cases:
    """Cases of at most `max_users` users of H, those with the smallest hash of (seed, entity_id).

    Cost: one job, two shuffles by entity; at most max_users x (MAX_HISTORY + MAX_TARGETS) rows on the driver.
    """
    rows = consumed(holdout, task)
    counts = rows.groupBy("entity_id").agg(F.count(F.lit(1)).alias("num")).where(F.col("num") >= 2)
    held = rows.join(F.broadcast(_drawn(counts, task, max_users)), "entity_id", "inner")
    late = F.greatest(F.floor(F.col("num") * TARGET_SHARE), F.lit(1))
    latest = Window.partitionBy("entity_id").orderBy(F.desc("time_us"), F.desc("row_id"))
    placed = held.withColumn("place", F.row_number().over(latest)).withColumn("later", F.col("place") <= late)
    return _cases(_bounded(placed), catalogue)


def future_cases(
    train: DataFrame, future: DataFrame, task: Task, catalogue: Catalogue, max_users: int = MAX_USERS
) -> Cases:
    """The same for entities of T: T's events are the history, those of the part `future` the later ones."""
    rows = consumed(train, task).withColumn("later", F.lit(False))
    rows = rows.unionByName(consumed(future, task).withColumn("later", F.lit(True)))
    num_later = F.count(F.when(F.col("later"), 1))
    counts = rows.groupBy("entity_id").agg(num_later.alias("num"), F.count(F.lit(1)).alias("of"))
    both = counts.where((F.col("num") > 0) & (F.col("num") < F.col("of"))).drop("of")
    held = rows.join(F.broadcast(_drawn(both, task, max_users)), "entity_id", "inner")
    return _cases(_bounded(held), catalogue)


def content_of(items: DataFrame | None, task: Task, catalogue: Catalogue) -> sparse.csr_array | None:
    """Attributes of the candidates (I, D) as the recommender `content` sees them; None for a log without. One job."""
    if "content" not in fitting(task.schema) or items is None:
        return None
    known = content.fit(items, items, None, task, content.Params())
    kept = sparse.vstack([known.attributes_ID, sparse.csr_array((1, known.attributes_ID.shape[1]))], format="csr")
    return sparse.csr_array(kept[known.index.places(catalogue.items)])  # -1, an unknown one, is the empty last row


def substituted(cases: Cases, catalogue: Catalogue, share: float, seed: int) -> Cases:
    """The cases with a seeded share of the histories' events at another item, drawn evenly among the candidates.

    Which items are left out of the rankings stays: those that were seen.
    """
    generator = np.random.default_rng([seed, 9])
    items = cases.histories.item_ids.copy()
    changed = np.flatnonzero(generator.random(len(items)) < share)
    items[changed] = catalogue.items[generator.integers(0, len(catalogue.items), len(changed))]
    told = {name: getattr(cases.histories, name) for name in ("user_ids", "starts", "time_us", "labels", "weights")}
    return Cases(Histories(item_ids=items, **told), cases.seen, cases.targets, cases.left_out)


def _drawn(counts: DataFrame, task: Task, max_users: int) -> DataFrame:
    draw = unit_draw("entity_id", salt=_SALT, seed=task.seed)
    return counts.orderBy(draw, "entity_id").limit(max_users).select("entity_id", "num")


def _bounded(rows: DataFrame) -> pd.DataFrame:
    """The last MAX_HISTORY earlier and the first MAX_TARGETS later events of each user."""
    forward = Window.partitionBy("entity_id", "later").orderBy("time_us", "row_id")
    back = Window.partitionBy("entity_id", "later").orderBy(F.desc("time_us"), F.desc("row_id"))
    place = F.when(F.col("later"), F.row_number().over(forward)).otherwise(F.row_number().over(back))
    most = F.when(F.col("later"), MAX_TARGETS).otherwise(MAX_HISTORY)
    kept = rows.withColumn("near", place).where(F.col("near") <= most)
    return kept.select("entity_id", "item_id", "time_us", "label", "weight", "row_id", "later").toPandas()


def _cases(rows: pd.DataFrame, catalogue: Catalogue) -> Cases:
    rows = rows.assign(item=ItemIndex(catalogue.items).places(rows["item_id"].to_numpy(dtype=object)))
    earlier, later = (rows[rows["later"] == side] for side in (False, True))
    wanted = later.drop_duplicates(["entity_id", "item_id"]).sort_values(["entity_id", "item_id"])
    seen = wanted.merge(earlier[["entity_id", "item_id"]].drop_duplicates(), how="left", indicator="side")
    is_seen, is_unknown = (seen["side"] == "both").to_numpy(), (seen["item"] < 0).to_numpy()
    wanted = seen[~is_seen & ~is_unknown]
    users = np.sort(wanted["entity_id"].unique())
    earlier = earlier[earlier["entity_id"].isin(users)]
    columns = ["entity_id", "item_id", "time_us", "label", "weight", "row_id"]
    histories = Histories.of_table(pa.Table.from_pandas(earlier[columns], preserve_index=False))
    known = earlier[earlier["item"] >= 0].drop_duplicates(["entity_id", "item"])
    left_out = {"seen": int(is_seen.sum()), "unknown": int((is_unknown & ~is_seen).sum())}
    return Cases(histories, _pairs(known, users), _pairs(wanted, users), left_out)


def _pairs(rows: pd.DataFrame, users: np.ndarray) -> Pairs:
    return Pairs(np.searchsorted(users, rows["entity_id"]).astype(np.int64), rows["item"].to_numpy(dtype=np.int64))

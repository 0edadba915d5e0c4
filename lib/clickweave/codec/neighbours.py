"""Which items are visited together: the candidates from which a generated history often goes on.

Legend: R events, P pairs of items, V codes of the item column, K neighbours.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from clickweave.codec.spec import FIRST_VALUE, PLACE, ColumnSpec

NEIGHBOURS = 20
REACH = 10  # events between two items that count as visited together
MOST_EVENTS = 20_000  # of one history that are looked at, its first: nobody who visits more is a person
TASK_EVENTS = 200_000  # events whose pairs, up to 2 * REACH for each, one task holds
CHUNK_EVENTS = 50_000  # events whose pairs are counted together before they are shuffled

_PAIRS = pa.schema([("item", pa.int32()), ("other", pa.int32()), ("users", pa.int32()), ("away", pa.int32())])


def covisited_items(coded: DataFrame, item: ColumnSpec) -> dict[str, np.ndarray]:
    """`item_id.neighbours` (codes, int32) and `item_id.neighbour_users` (entities, float32), both [V, K].

    For each item those that most entities visited within REACH events of it, before or after, the most first, then
    the nearest, ties by code; 0 where there are no more. Order and direction are forgotten, so that a walk along
    neighbours is nobody's own. Events of a history beyond its first MOST_EVENTS are passed over. One shuffle of the
    events by entity, one of their pairs by item; a task holds the pairs of TASK_EVENTS, however long a history is.

    Args:
        coded: one row per event with entity_id, place and code_item_id; events without a kept item are passed over.
    """
    kept = coded.where((F.col("code_item_id") >= FIRST_VALUE) & (F.col(PLACE) < MOST_EVENTS))
    events = kept.select(F.xxhash64("entity_id").alias("entity"), PLACE, F.col("code_item_id").alias("item"))
    tasks = 1 + sum(item.counts) // TASK_EVENTS
    sorted_events = events.repartition(tasks, "entity").sortWithinPartitions("entity", PLACE)
    pairs = sorted_events.select("entity", "item").mapInArrow(_pairs, from_arrow_schema(_PAIRS))
    by_item = pairs.repartition(tasks, "item")
    totals = by_item.groupBy("item", "other").agg(F.sum("users").alias("users"), F.min("away").alias("away"))
    most = Window.partitionBy("item").orderBy(F.desc("users"), "away", "other")
    ranked = totals.withColumn("rank", F.row_number().over(most)).where(F.col("rank") <= NEIGHBOURS)
    table = ranked.select("item", "rank", "other", F.col("users").cast("int")).toArrow()
    place = table.column("item").to_numpy(), table.column("rank").to_numpy() - 1
    neighbours_VK = np.zeros((item.num_codes, NEIGHBOURS), np.int32)
    users_VK = np.zeros((item.num_codes, NEIGHBOURS), np.float32)
    neighbours_VK[place], users_VK[place] = table.column("other").to_numpy(), table.column("users").to_numpy()
    return {f"{item.name}.neighbours": neighbours_VK, f"{item.name}.neighbour_users": users_VK}


def count_pairs(entity_R: np.ndarray, item_R: np.ndarray) -> pa.RecordBatch:
    """Items within REACH events of each other in a history: one row per pair and direction with the number of
    entities that visited both, and how many events on the nearer one was.

    Args:
        entity_R: int64; events of an entity stand together.
        item_R: int32 codes, in order of time inside an entity.
    """
    pair_N, history_N, away_N = _close_by(entity_R, item_R)
    if not len(pair_N):
        return pa.RecordBatch.from_pylist([], schema=_PAIRS)
    order = np.lexsort((history_N, pair_N))
    pair_N, history_N = pair_N[order], history_N[order]
    new_pair_N = np.append(True, pair_N[1:] != pair_N[:-1])
    starts = np.flatnonzero(new_pair_N)
    new_history_N = new_pair_N | np.append(True, history_N[1:] != history_N[:-1])
    users_P = np.add.reduceat(new_history_N.astype(np.int32), starts)
    away_P = np.minimum.reduceat(away_N[order], starts)
    low_P, high_P = (pair_N[starts] >> 32).astype(np.int32), pair_N[starts].astype(np.int32)
    both = (low_P, high_P), (high_P, low_P), (users_P, users_P), (away_P, away_P)
    return pa.RecordBatch.from_arrays([pa.array(np.concatenate(parts)) for parts in both], schema=_PAIRS)


def _close_by(entity_R: np.ndarray, item_R: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For any two events of a history within REACH: their different items as one number (the lower code in the upper
    half), the number of the history, and how far apart they are.
    """
    history_R = np.cumsum(np.append(False, entity_R[1:] != entity_R[:-1]))
    item_R = item_R.astype(np.int64)
    pairs, histories, aways = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
    for away in range(1, min(REACH, len(item_R) - 1) + 1):
        one_R, other_R = item_R[:-away], item_R[away:]
        found = np.flatnonzero((history_R[away:] == history_R[:-away]) & (one_R != other_R))
        one_N, other_N = one_R[found], other_R[found]
        pairs.append(np.minimum(one_N, other_N) << 32 | np.maximum(one_N, other_N))
        histories.append(history_R[found])
        aways.append(np.full(len(found), away, np.int32))
    return np.concatenate(pairs), np.concatenate(histories), np.concatenate(aways)


def _pairs(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Pairs of whole histories, some CHUNK_EVENTS at a time, from columns entity (ascending) and item."""
    entity_R, item_R = np.zeros(0, np.int64), np.zeros(0, np.int32)
    for batch in batches:
        entity_R = np.concatenate([entity_R, batch.column("entity").to_numpy()])
        item_R = np.concatenate([item_R, batch.column("item").to_numpy()])
        if len(entity_R) >= CHUNK_EVENTS:
            last = int(np.searchsorted(entity_R, entity_R[-1]))  # the history that may go on in the next batch
            yield count_pairs(entity_R[:last], item_R[:last])
            entity_R, item_R = entity_R[last:], item_R[last:]
    yield count_pairs(entity_R, item_R)

"""Items that are visited together: counted in chunks, over any partitions, and where one history or item is huge."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest

from clickweave.codec import neighbours
from clickweave.codec.neighbours import NEIGHBOURS, REACH, count_pairs, covisited_items
from clickweave.codec.spec import FIRST_VALUE, VALUES, ColumnSpec

KINDS = "entity_id string, place int, code_item_id int"


def item_column(num_items, num_events):
    counts = (num_events - num_items + 1, *[1] * (num_items - 1))
    return ColumnSpec("item_id", VALUES, "string", tuple(map(str, range(num_items))), counts)


def expected_pairs(entities, items):
    """(item, other) -> (entities, fewest events apart)."""
    users, away = defaultdict(set), defaultdict(lambda: REACH)
    for here, (entity, item) in enumerate(zip(entities, items, strict=True)):
        for there in range(max(0, here - REACH), min(len(items), here + REACH + 1)):
            if entities[there] == entity and items[there] != item:
                users[item, items[there]].add(entity)
                away[item, items[there]] = min(away[item, items[there]], abs(there - here))
    return {pair: (len(found), away[pair]) for pair, found in users.items()}


def as_dict(batches):
    found = {}
    for batch in batches:
        for row in batch.to_pylist():
            pair = row["item"], row["other"]
            users, away = found.get(pair, (0, REACH))
            found[pair] = users + row["users"], min(away, row["away"])
    return found


@pytest.mark.parametrize("seed", range(8))
def test_pairs_are_those_of_a_plain_count(seed):
    rng = np.random.default_rng(seed)
    entities = np.sort(rng.integers(-3, 4 + seed, 40 * seed))
    items = rng.integers(FIRST_VALUE, 12, len(entities)).astype(np.int32)
    expected = expected_pairs(entities.tolist(), items.tolist())
    assert as_dict([count_pairs(entities, items)]) == expected


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_chunks_and_batches_do_not_matter(monkeypatch, chunk):
    monkeypatch.setattr(neighbours, "CHUNK_EVENTS", chunk)
    rng = np.random.default_rng(1)
    entities = np.sort(rng.integers(0, 9, 150))
    items = rng.integers(FIRST_VALUE, 30, 150).astype(np.int32)
    batch = pa.RecordBatch.from_pydict({"entity": entities, "item": items})
    batches = [batch.slice(start, 11) for start in range(0, 150, 11)]
    expected = expected_pairs(entities.tolist(), items.tolist())
    assert as_dict(neighbours._pairs(iter(batches))) == expected


def test_the_table_does_not_depend_on_partitions_or_on_the_number_of_tasks(spark, monkeypatch):
    rng = np.random.default_rng(2)
    rows = [(f"u{rng.integers(0, 50)}", place, int(rng.integers(FIRST_VALUE, 60))) for place in range(1500)]
    item = item_column(60, len(rows))
    first = covisited_items(spark.createDataFrame(rows, KINDS), item)
    monkeypatch.setattr(neighbours, "TASK_EVENTS", 200)
    mixed = [rows[place] for place in rng.permutation(len(rows))]
    again = covisited_items(spark.createDataFrame(mixed, KINDS).repartition(5), item)
    for name, table in first.items():
        assert (again[name] == table).all()


def test_a_giant_history_counts_by_its_first_events_and_a_giant_item_has_neighbours(spark, monkeypatch):
    """One entity of very many events, all between two visits of the item that everybody else visits too."""
    monkeypatch.setattr(neighbours, "MOST_EVENTS", 400)
    giant = [("giant", place, FIRST_VALUE + place % 2 * (1 + place % 900)) for place in range(5000)]
    small = [(f"u{user}", place, FIRST_VALUE + place * (1 + user % 900)) for user in range(2000) for place in range(2)]
    rows = giant + small
    found = covisited_items(spark.createDataFrame(rows, KINDS), item_column(1000, len(rows)))
    looked_at = giant[:400] + small
    plain = expected_pairs([row[0] for row in looked_at], [row[2] for row in looked_at])
    for code in (FIRST_VALUE, FIRST_VALUE + 2, FIRST_VALUE + 700):
        near = [(-users, away, other) for (item, other), (users, away) in plain.items() if item == code]
        best = sorted(near)[:NEIGHBOURS]
        codes, users = (found[f"item_id.{name}"][code] for name in ("neighbours", "neighbour_users"))
        assert codes[: len(best)].tolist() == [other for _, _, other in best]
        assert users[: len(best)].tolist() == [-less for less, _, _ in best]
        assert (codes[len(best) :] == 0).all()

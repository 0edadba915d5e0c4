"""What each recommender learns from a frame that numpy can count, too."""

import numpy as np
import pandas as pd
import pytest
from pyspark.ml.recommendation import ALS
from pyspark.sql import functions as F
from scipy import sparse

from clickweave.config.log import SchemaConfig
from clickweave.evaluation.recommenders import (
    als,
    content,
    hybrid,
    interactions,
    item_knn,
    popularity,
    sasrec,
    sequential_rules,
)
from clickweave.evaluation.recommenders.protocol import Histories, Task

SCHEMA = SchemaConfig.model_validate({"user": "u", "item": "i", "event_time": {"column": "t"}})
ROWS = [  # user, item, label, weight
    ("u1", "a", 1, 1.0),
    ("u1", "b", 1, 1.0),
    ("u1", "b", 2, 1.0),
    ("u1", "c", 0, 1.0),
    ("u2", "a", 1, 0.25),
    ("u2", "b", 1, 1.0),
    ("u3", "b", 2, 1.0),
    ("u3", "c", 1, 0.5),
    ("u4", "c", 1, 1.0),
    ("u4", "a", 1, 1.0),
    ("u5", "d", 1, 2.0),
    ("u5", None, 1, 1.0),
]


def frame(rows):
    told = pd.DataFrame(rows, columns=["entity_id", "item_id", "label", "weight"])
    return told.assign(row_id=range(len(told)), ts=range(len(told)))


@pytest.fixture(scope="module")
def events(spark):
    return canonical(spark, frame(ROWS)).cache()


def canonical(spark, told):
    kinds = "entity_id string, item_id string, label long, weight double, row_id long, ts long"
    df = spark.createDataFrame(told.to_numpy().tolist(), kinds)
    return df.withColumn("event_time", F.timestamp_seconds("ts")).drop("ts")


def matrix(level=1):
    """Users by items a to d: weights of the pairs that count."""
    told = frame(ROWS)
    told = told[(told["label"] >= level) & told["item_id"].notna()]
    return told.pivot_table(index="entity_id", columns="item_id", values="weight", aggfunc="sum").fillna(0).to_numpy()


def everybody(events, task):
    return interactions.sample_histories(interactions.consumed(events, task), task, max_users=99, max_events=99)[0]


IDS = np.array(["a", "b", "c", "d", "new"], object)


def test_popularity_is_the_weight_of_rows_that_count(events):
    fitted = popularity.fit(events, None, None, Task(SCHEMA, level=1), popularity.Params())
    histories = everybody(events, Task(SCHEMA))
    found = fitted.score(histories, IDS)
    assert found.tolist() == [[*matrix().sum(axis=0), 0.0]] * histories.num_users
    strict = popularity.fit(events, None, None, Task(SCHEMA, level=2), popularity.Params())
    assert strict.score(histories, IDS)[0].tolist() == [0, 2, 0, 0, 0]
    every = popularity.fit(events, None, None, Task(SCHEMA), popularity.Params())
    assert every.score(histories, IDS)[0].tolist() == [2.25, 4, 2.5, 2, 0]


def similarity(held, kind, shrink):
    """Item by item from a dense matrix of users by items."""
    dot = held.T @ held
    square = np.diag(dot)
    size = np.sqrt(np.outer(square, square)) if kind == "cosine" else square[:, None] + square - dot
    found = dot / (size + shrink)
    np.fill_diagonal(found, 0)
    return found


@pytest.mark.parametrize(("kind", "shrink"), [("cosine", 0.0), ("jaccard", 0.0), ("cosine", 5.0), ("jaccard", 2.0)])
def test_knn_similarities_are_those_of_the_dense_matrix(events, kind, shrink):
    params = item_knn.Params(similarity=kind, shrink=shrink)
    fitted = item_knn.fit(events, None, None, Task(SCHEMA, level=1), params)
    expected = similarity(np.minimum(matrix(), 1), kind, shrink)
    np.testing.assert_allclose(fitted.similarity_II.toarray(), expected, atol=1e-6)


def test_knn_keeps_the_most_similar_of_each_item(events):
    params = item_knn.Params(neighbours=1, shrink=0.0)
    found = item_knn.fit(events, None, None, Task(SCHEMA, level=1), params).similarity_II.toarray()
    dense = similarity(np.minimum(matrix(), 1), "cosine", 0.0)
    expected = np.where(dense == dense.max(axis=1, keepdims=True), dense, 0)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_giant_user_counts_with_a_bounded_number_of_items(spark):
    giant = canonical(spark, frame([("giant", f"i{n:03d}", 1, 1.0) for n in range(60)]))
    fitted = item_knn.fit(giant, None, None, Task(SCHEMA), item_knn.Params(most_items=7))
    assert len(fitted.index) == 7
    assert fitted.similarity_II.nnz == 7 * 6
    other = item_knn.fit(giant, None, None, Task(SCHEMA, seed=1), item_knn.Params(most_items=7))
    assert set(other.index.ids) != set(fitted.index.ids)


def followed(rows, steps, shrink):
    """Rules counted one by one: rows of (user, item, weight) in order."""
    ids = sorted({item for _, item, _ in rows})
    near = np.zeros((len(ids), len(ids)))
    for number, (user, item, _) in enumerate(rows):
        for step in range(1, steps + 1):
            if number + step < len(rows) and rows[number + step][0] == user and rows[number + step][1] != item:
                near[ids.index(item), ids.index(rows[number + step][1])] += rows[number + step][2] / step
    return near / (near.sum(axis=1, keepdims=True) + shrink)


@pytest.mark.parametrize(("steps", "shrink"), [(1, 1.0), (3, 1.0), (10, 4.0)])
def test_rules_count_what_follows_by_distance(spark, steps, shrink):
    rng = np.random.default_rng(3)
    told = [(f"u{n}", f"i{rng.integers(6)}", 1, float(rng.integers(1, 4)) / 2) for n in range(4) for _ in range(9)]
    params = sequential_rules.Params(steps=steps, shrink=shrink)
    fitted = sequential_rules.fit(canonical(spark, frame(told)), None, None, Task(SCHEMA, level=1), params)
    expected = followed([(user, item, weight) for user, item, _, weight in told], steps, shrink)
    np.testing.assert_allclose(fitted.follows_II.toarray(), expected, atol=1e-6)


def test_rules_keep_the_strongest_of_each_item(spark):
    told = [("u", item, 1, 1.0) for item in "abcad"]
    params = sequential_rules.Params(steps=1, neighbours=1, shrink=0.0)
    found = sequential_rules.fit(canonical(spark, frame(told)), None, None, Task(SCHEMA), params).follows_II.toarray()
    assert found.tolist() == [[0, 0.5, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("implicit", [True, False])
def test_fold_in_of_a_training_user_is_what_spark_learnt(spark, implicit):
    rng = np.random.default_rng(0)
    ratings = rng.integers(1, 6, (30, 12)) * (rng.random((30, 12)) < 0.4)
    user, item = ratings.nonzero()
    cells = zip(user.tolist(), item.tolist(), ratings[user, item].astype(float).tolist(), strict=True)
    rows = spark.createDataFrame(list(cells), "user int, item int, rating float")
    params = als.Params(rank=5, iterations=4, regularisation=0.1, alpha=3.0, implicit=implicit)
    told = {"implicitPrefs": implicit, "alpha": params.alpha, "regParam": params.regularisation, "maxIter": 4}
    model = ALS(rank=5, seed=1, userCol="user", itemCol="item", ratingCol="rating", **told).fit(rows)
    factors = {side: by_id(getattr(model, f"{side}Factors")) for side in ("user", "item")}
    wanted = np.unique(user)
    found = als.fold_in(factors["item"], sparse.csr_array(ratings.astype(float)), params)
    np.testing.assert_allclose(found[wanted], factors["user"], atol=2e-4)


def by_id(table):
    rows = sorted(table.collect())
    return np.array([row["features"] for row in rows], float)


def test_als_learns_two_groups(spark):
    rng = np.random.default_rng(1)
    cells = [(f"u{n:02d}", f"{'xy'[n % 2]}{k}", 1, 1.0) for n in range(24) for k in rng.permutation(8)[:5]]
    events = canonical(spark, frame(cells))
    fitted = als.fit(events, None, None, Task(SCHEMA), als.Params(rank=2, iterations=5, alpha=10.0))
    newcomer = Histories(
        np.array(["n"], object),
        np.array([0, 2]),
        np.array(["x0", "x1"], object),
        np.zeros(2, np.int64),
        np.ones(2, np.int64),
        np.ones(2),
    )
    ids = np.array([f"{group}{k}" for group in "xy" for k in range(8)], object)
    found = fitted.score(newcomer, ids)[0]
    assert found[:8].min() > found[8:].max() + 0.3


def test_als_of_many_rounds_does_not_fill_the_stacks_of_its_tasks(spark, events):
    params = als.Params(rank=2, iterations=40)
    assert als.fit(events, None, None, Task(SCHEMA), params).factors_IR.shape == (4, 2)


def test_sample_of_users_is_bounded_seeded_and_keeps_the_last_events(spark):
    cells = [(f"u{n:03d}", f"i{k}", 1, 1.0) for k in range(6) for n in range(50)]
    events = canonical(spark, frame(cells))

    def drawn(seed):
        task = Task(SCHEMA, seed=seed)
        return interactions.sample_histories(interactions.consumed(events, task), task, max_users=9, max_events=2)

    histories, row_ids = drawn(0)
    assert (histories.num_users, len(row_ids)) == (9, 18)
    assert histories.item_ids.tolist() == ["i4", "i5"] * 9
    assert [cells[row][1] for row in row_ids] == histories.item_ids.tolist()
    assert [cells[row][0] for row in row_ids[::2]] == histories.user_ids.tolist()
    assert set(drawn(1)[0].user_ids) != set(histories.user_ids)


def test_codes_of_users_have_no_gaps_and_stay_where_partitions_change(spark):
    cells = [(f"u{n:03d}", f"i{n % 3}", 1, 1.0) for n in range(300)] * 2
    events = canonical(spark, frame(cells))
    found = [
        {row["entity_id"]: row["user"] for row in interactions.with_user_codes(events.repartition(num)).collect()}
        for num in (1, 4)
    ]
    assert sorted(found[0].values()) == list(range(300))
    assert found[0] == found[1]


def test_content_reads_every_kind_of_attribute(spark):
    kinds = {"genre": "categorical", "price": "numeric", "title": "text", "taste": "vector", "since": "time"}
    schema = SchemaConfig.model_validate({"item": "i", "user": "u", "item_features": kinds})
    rows = [
        ("a", "war", 1.0, "red shoe", [1.0, 0.0], 10),
        ("b", "war", None, "red bag", None, 20),
        ("c", "love", 3.0, None, [0.0, 1.0], None),
        ("d", "love", 1.0, "green", [1.0, 0.0], 10),
    ]
    kinds = "item_id string, feature_genre string, feature_price double, feature_title string, "
    table = spark.createDataFrame(rows, kinds + "feature_taste array<double>, s long")
    items = table.withColumn("feature_since", F.timestamp_seconds("s")).drop("s")
    fitted = content.fit(table, items, None, Task(schema), content.Params())
    assert fitted.index.ids.tolist() == ["a", "b", "c", "d"]
    found = fitted.attributes_ID.toarray()
    assert found.shape == (4, 2 + 1 + 4 + 2 + 1)
    assert found[:, :2].tolist() == [[0, 1], [0, 1], [1, 0], [1, 0]]  # love, war: as many items, so by name
    low, high = (1 - 5 / 3) / np.sqrt(8 / 9), (3 - 5 / 3) / np.sqrt(8 / 9)
    np.testing.assert_allclose(found[:, 2], [low, 0, high, low], rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found[:, 3:7], axis=1), [1, 1, 0, 1], rtol=1e-6)
    assert found[1, 7:9].tolist() == [0, 0]
    np.testing.assert_allclose(found[:, 9], np.array([-1, 2, 0, -1]) / np.sqrt(2), rtol=1e-6)


def test_sasrec_learns_what_follows_what(spark):
    rng = np.random.default_rng(2)
    cells = []
    for n in range(60):
        start = int(rng.integers(12))
        cells += [(f"u{n:02d}", f"i{(start + step) % 12:02d}", 1, 1.0) for step in range(8)]
    events = canonical(spark, frame(cells))
    params = sasrec.Params(
        hidden=16, length=8, steps=200, batch_users=20, negatives=12, dropout=0.0, learning_rate=0.02
    )
    fitted = sasrec.fit(events, None, None, Task(SCHEMA), params)
    ids = np.array([f"i{k:02d}" for k in range(12)], object)
    for last in (0, 5, 11):
        items = np.array([f"i{(last - 1) % 12:02d}", f"i{last:02d}"], object)
        two = Histories(
            np.array(["n"], object), np.array([0, 2]), items, np.arange(2), np.ones(2, np.int64), np.ones(2)
        )
        assert fitted.score(two, ids)[0].argmax() == (last + 1) % 12


def test_hybrid_never_lets_its_base_see_what_the_trees_learn(spark):
    cells = [(f"u{n:02d}", f"i{k}", 1, 1.0) for n in range(20) for k in range(3)]
    cells += [(f"u{n:02d}", f"last{n:02d}", 1, 1.0) for n in range(20)]
    events = canonical(spark, frame(cells))
    params = hybrid.Params(trees=2, max_users=5, user_share=1.0, factors=als.Params(rank=2, iterations=1))
    fitted = hybrid.fit(events, None, None, Task(SCHEMA), params)
    known = [name for name in fitted.base.index.ids if name.startswith("last")]
    assert len(known) == 15

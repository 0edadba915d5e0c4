"""Recommenders reach the published values on MovieLens-100k: Microsoft Recommenders, benchmarks/movielens.

A random 75/25 split of ratings, all users known, k = 10, seen items removed, each test rating relevant.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F
from sklearn.metrics import ndcg_score

from clickweave.config.log import SchemaConfig
from clickweave.evaluation.recommenders import als, item_knn, popularity
from clickweave.evaluation.recommenders.interactions import consumed, sample_histories
from clickweave.evaluation.recommenders.protocol import Task

PATH = Path(__file__).parents[3] / "data/movielens/events.parquet"
TASK = Task(SchemaConfig.model_validate({"user": "u", "item": "i", "event_time": {"column": "t"}}))

pytestmark = pytest.mark.skipif(not PATH.exists(), reason="data/movielens is absent; run scripts/fetch_samples")


@pytest.fixture(scope="module")
def split():
    """Ratings to learn from and to test with, as frames."""
    told = pq.read_table(PATH).to_pandas()
    told = told.assign(entity_id=told["user_id"].astype(str), item_id=told["item_id"].astype(str))
    is_test = np.random.default_rng(42).permutation(len(told)) >= 0.75 * len(told)
    return told[~is_test], told[is_test]


@pytest.fixture(scope="module")
def train(spark, split):
    told = split[0].reset_index(names="row_id")
    df = spark.createDataFrame(told[["row_id", "entity_id", "item_id", "rating", "timestamp"]])
    time = F.timestamp_seconds("timestamp").alias("event_time")
    weight = F.col("rating").cast("double").alias("weight")
    return df.select("row_id", "entity_id", "item_id", time, F.lit(1).alias("label"), weight).cache()


@pytest.fixture(scope="module")
def histories(train):
    return sample_histories(consumed(train, TASK), TASK, max_users=1_000, max_events=1_000)[0]


@pytest.fixture(scope="module")
def ids(split):
    return np.unique(pd.concat(split)["item_id"].to_numpy().astype(str)).astype(object)


@pytest.fixture(scope="module")
def ndcg(split, histories, ids):
    """Of scores [U, N]: nDCG@10 over the users of the test part."""
    users, items = pd.Index(histories.user_ids), pd.Index(ids)

    def cells(part):
        found = np.zeros((len(users), len(items)), bool)
        found[users.get_indexer(part["entity_id"]), items.get_indexer(part["item_id"])] = True
        return found

    seen, relevant = (cells(part) for part in split)
    tested = relevant.any(axis=1)

    def mean(scores):
        unseen = np.where(seen, scores.min() - 1, scores)
        return ndcg_score(relevant[tested], unseen[tested], k=10)

    return mean


def test_explicit_als_reaches_the_published_errors(train, split, histories, ids):
    params = als.Params(rank=10, iterations=15, regularisation=0.05, implicit=False)
    scores = als.fit(train, None, None, TASK, params).score(histories, ids)
    test = split[1]
    user, item = pd.Index(histories.user_ids).get_indexer(test["entity_id"]), pd.Index(ids).get_indexer(test["item_id"])
    known = np.isin(test["item_id"], histories.item_ids)  # the benchmark drops items that it cannot predict
    errors = (scores[user, item] - test["rating"])[known]
    assert np.sqrt((errors**2).mean()) == pytest.approx(0.965, abs=0.02)
    assert errors.abs().mean() == pytest.approx(0.753, abs=0.02)


def test_item_similarity_reaches_the_published_ndcg(train, histories, ids, ndcg):
    """SAR's settings: Jaccard over all pairs, ratings halved every 30 days."""
    params = item_knn.Params(similarity="jaccard", neighbours=1_700, shrink=0.0, most_items=1_000, half_life_days=30.0)
    scores = item_knn.fit(train, None, None, TASK, params).score(histories, ids)
    assert ndcg(scores) == pytest.approx(0.38, abs=0.03)


def test_popularity_is_far_below(train, histories, ids, ndcg):
    scores = popularity.fit(train.withColumn("weight", F.lit(1.0)), None, None, TASK, popularity.Params())
    assert 0.1 < ndcg(scores.score(histories, ids)) < 0.30

"""A blown-up log is N times the log: its users, items, events, tails and ids."""

import numpy as np
import pytest
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.errors import ConfigError, ContractError
from clickweave.frames.augment.copies import Sources
from clickweave.frames.augment.fractal_scale import Blocks, Params, apply, fit, with_blocks
from clickweave.frames.source_rows import with_source

LOG = SchemaConfig.model_validate(
    {"user": "u", "item": "i", "slate": "s", "event_time": {"column": "t", "unit": "s"}, "features": {"x": "numeric"}}
)
TYPE = "u string, i int, s bigint, t bigint, x double"


@pytest.fixture
def blown_up(real_of):
    """rows, parameters -> the copies, with `source` rebuilt."""

    def make(rows, ddl=TYPE, log=LOG, seed=0, **params):
        train = real_of(rows, ddl, log)
        checked = Params(**params)
        made = apply(Sources(train), fit(Sources(train), checked, log), checked, log, seed)
        return with_source(made, log, train.schema["source"].dataType, attributes={})

    return make


def skewed_rows(num_users=80, num_items=60, num_events=2_500):
    """Users and items by Zipf's law; one slate per event, a second apart."""
    rng = np.random.default_rng(0)

    def draw(count):
        weights = 1 / np.arange(1, count + 1)
        return rng.choice(count, num_events, p=weights / weights.sum()).tolist()

    pairs = zip(draw(num_users), draw(num_items), strict=True)
    return [(f"u{u}", i, n, 1_700_000_000 + n, float(n)) for n, (u, i) in enumerate(pairs)]


def gini(counts):
    ordered = np.sort(np.asarray(counts, dtype=float))
    return (2 * np.arange(1, len(ordered) + 1) - len(ordered) - 1) @ ordered / (len(ordered) * ordered.sum())


@pytest.mark.parametrize(("users", "items", "factor"), [(7, 7, 7.0), (1, 4, 2.5), (12, 3, 6.0)])
def test_events_users_and_items_grow_as_asked(blown_up, users, items, factor):
    rows = skewed_rows()
    made = blown_up(rows, users=users, items=items, factor=factor).cache()
    assert made.count() == pytest.approx(factor * len(rows), abs=4 * len(rows) ** 0.5)
    found = made.agg(F.countDistinct("user_id"), F.countDistinct("item_id")).first()
    real = [len({row[place] for row in rows}) for place in (0, 1)]
    assert found[0] == pytest.approx(users * real[0], rel=0.08)
    assert found[1] == pytest.approx(items * real[1], rel=0.08)
    made.unpersist()


def test_no_two_copies_of_an_event_share_a_user_and_an_item(spark):
    for users, items, factor in ((5, 5, 5.0), (3, 4, 12.0), (40, 6, 100.0)):
        made = with_blocks(spark.range(2_000), Blocks.of(users, items, factor), "id", seed=1)
        assert made.count() == made.distinct().count() == pytest.approx(2_000 * factor, abs=200)


def test_tails_of_activity_and_popularity_are_not_lighter(blown_up):
    rows = skewed_rows()
    made = blown_up(rows, factor=8).cache()
    for column, place in (("user_id", 0), ("item_id", 1)):
        real = gini(list(np.unique([str(row[place]) for row in rows], return_counts=True)[1]))
        copied = gini([row["count"] for row in made.groupBy(column).count().collect()])
        assert real - 0.015 <= copied <= real + 0.1
    made.unpersist()


def test_blocks_get_their_weight_and_differ_in_more_than_size(spark):
    blocks = Blocks.of(16, 16, 16.0)
    cells = with_blocks(spark.range(20_000), blocks, "id", seed=0).groupBy("_user_block", "_item_block").count()
    kept = np.zeros((16, 16))
    for row in cells.collect():
        kept[row[0], row[1]] = row[2] / 20_000
    assert kept.max() <= 1
    edges = (np.arange(17) / 16) ** blocks.power
    assert kept.sum(axis=1) == pytest.approx(16 * np.diff(edges), rel=0.05)
    strengths = np.linalg.svd(kept, compute_uv=False)
    assert strengths[1] > 0.1 * strengths[0]  # sampling noise alone: 0.02


def test_one_event_lands_in_unrelated_item_blocks_of_its_users(spark):
    made = with_blocks(spark.range(5_000), Blocks.of(6, 6, 6.0), "id", seed=0).where("_user_block in (4, 5)")
    sides = made.groupBy("id").pivot("_user_block", [4, 5]).agg(F.min("_item_block")).dropna().toPandas()
    assert abs(np.corrcoef(sides["4"], sides["5"])[0, 1]) < 0.05


def test_ids_of_block_0_are_real_and_new_ones_fit_the_column(blown_up):
    rows = skewed_rows(30, 20, 400)
    made = blown_up(rows, factor=5).collect()
    users, items = {row[0] for row in rows}, {row[1] for row in rows}
    assert users < {row["user_id"] for row in made}
    assert items < {row["source"]["i"] for row in made}
    for row in made:
        source = row["source"]
        assert (source["u"], str(source["i"]), str(source["s"])) == (row["user_id"], row["item_id"], row["slate_id"])
        assert row["entity_id"] == row["user_id"]
        original = rows[int(source["x"])]
        assert row["user_id"].split("~")[0] == original[0]
        assert (source["i"] - original[1]) % (max(items) - min(items) + 1) == 0
        assert source["t"] == original[3]


def test_sessions_and_slates_belong_to_one_user_each(blown_up):
    made = blown_up(skewed_rows(30, 20, 400), factor=5)
    for column in ("session_id", "slate_id"):
        owners = made.groupBy(column).agg(F.countDistinct("user_id").alias("users"))
        assert owners.where("users > 1").count() == 0
        assert owners.count() > 5 * 20


def test_a_blown_up_log_can_be_blown_up_again(blown_up):
    once = blown_up(skewed_rows(20, 20, 200), factor=3)
    rows = [tuple(row["source"]) for row in once.orderBy("row_id").collect()]
    twice = blown_up(rows, factor=3)
    pairs = twice.select("parent_id", "user_id", "item_id")
    assert pairs.count() == pairs.distinct().count()
    found = {row[0] for row in twice.select("user_id").distinct().collect()}
    assert {len(user.split("~~")) for user in found} == {1, 2}
    assert len(found) == pytest.approx(3 * len({row[0] for row in rows}), rel=0.1)


def test_sessions_without_users_are_what_grows(blown_up):
    log = SchemaConfig.model_validate({"session": "s", "item": "i", "event_time": {"column": "t", "unit": "s"}})
    rows = [(session, f"i{event}", 1_700_000_000 + event) for session in range(20) for event in range(6)]
    made = blown_up(rows, "s int, i string, t bigint", log, factor=4).collect()
    assert len({row["source"]["s"] for row in made}) == len({row["entity_id"] for row in made}) == 80
    assert all(row["entity_id"] == f"session-{row['source']['s']}" for row in made)


def test_rows_without_users_get_new_items_alone(blown_up):
    log = SchemaConfig.model_validate({"item": "i"})
    made = blown_up([(f"i{number}",) for number in range(50)], "i string", log, factor=3).collect()
    assert len({row["item_id"] for row in made}) == len(made) == 150
    assert len({row["entity_id"] for row in made}) == 150


def test_ids_without_room_for_copies_are_refused(blown_up):
    with pytest.raises(ContractError, match=r"5 blocks of item_id up to 900000000 do not fit int"):
        blown_up([("u", 0, 1, 1, 1.0), ("u", 900_000_000, 1, 1, 1.0)], factor=5)
    with pytest.raises(ContractError, match="do not fit double"):
        blown_up([("u", 1.5, 1, 1, 1.0)], "u string, i double, s bigint, t bigint, x double", factor=2)


@pytest.mark.parametrize(
    ("params", "log", "message"),
    [
        ({"factor": 13, "users": 3, "items": 4}, LOG, "3 x 4 blocks hold at most 12 copies of an event, not 13"),
        ({"factor": 2, "users": 2}, SchemaConfig(item="i"), "users = 2 needs schema.user or session"),
        ({"factor": 2, "items": 2}, SchemaConfig(user="u", query="q"), "items = 2 needs schema.item"),
    ],
)
def test_what_the_log_cannot_hold_is_refused_before_spark_starts(params, log, message):
    with pytest.raises(ConfigError, match=message):
        Params(**params).check(log)

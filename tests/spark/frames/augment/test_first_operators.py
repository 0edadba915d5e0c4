"""Each of the first operators by itself."""

from collections import Counter

import pytest
from chispa import assert_df_equality
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.frames.augment.registry import operator
from clickweave.frames.source_rows import with_source


@pytest.fixture
def make(made_by, shop_log):
    """name, real rows, log of the shop unless told, parameters -> the rows that the operator makes of them."""
    return lambda name, train, log=shop_log, **params: made_by(name, train, log, **params)


def test_scale_stays_in_range_keeps_whole_numbers_whole_and_nulls_null(make, shop):
    made = make("scale", shop, share=1, sigma=0.5)
    columns = ["feature_price", "feature_stock"]
    parents = {row["row_id"]: row for row in shop.select("row_id", *columns).collect()}
    rows = made.select("parent_id", *columns).collect()
    assert len(rows) == len(parents)
    changed = Counter()
    for name in columns:
        values = [row[name] for row in parents.values() if row[name] is not None]
        for row in rows:
            before, after = parents[row["parent_id"]][name], row[name]
            assert (before is None) == (after is None)
            if after is not None:
                assert min(values) <= after <= max(values)
                changed[name] += after != before
    assert min(changed.values()) > len(rows) / 2
    assert all(row["feature_stock"] is None or row["feature_stock"].is_integer() for row in rows)


def test_scale_without_jitter_copies_values(make, shop):
    same = make("scale", shop, share=1, sigma=0).select(F.col("parent_id").alias("row_id"), "feature_price")
    assert_df_equality(same, shop.select("row_id", "feature_price"), ignore_row_order=True, ignore_nullable=True)


def test_scale_leaves_columns_under_a_label_alone():
    labels = {"like": {"column": "rating", "at_least": 4}}
    log = SchemaConfig.model_validate({"item": "item", "labels": labels, "features": {"price": "numeric"}})
    assert operator("scale").Params().targets(log) == ("price",)


def test_a_crop_is_a_contiguous_part_of_one_session_in_order(make, shop):
    made = make("crop", shop, share=1, keep_share=0.5)
    sessions: dict = {}
    for row in shop.orderBy("event_time", "row_id").collect():
        sessions.setdefault((row["entity_id"], row["session_id"]), []).append(row["row_id"])
    places = {row_id: (key, place) for key, ids in sessions.items() for place, row_id in enumerate(ids)}
    copies: dict = {}
    for row in made.orderBy("event_time").collect():
        copies.setdefault((row["entity_id"], row["session_id"]), []).append(places[row["parent_id"]])
    assert not set(copies) & set(sessions)  # each a session of its own
    assert {len(ids) for ids in sessions.values()} == {3}
    assert len(copies) == len(sessions)
    for kept in copies.values():
        assert len({key for key, _ in kept}) == 1
        numbers = [place for _, place in kept]
        assert len(numbers) == 2  # ceil(0.5 * 3)
        assert numbers == list(range(numbers[0], numbers[0] + 2))
    assert {kept[0][1] for kept in copies.values()} == {0, 1}  # not always the beginning


def test_a_crop_of_everything_is_the_whole_session(make, shop):
    assert make("crop", shop, share=1, keep_share=1).count() == shop.count()


def test_a_crop_of_mapped_sessions_gets_ids_of_the_raw_type(real_of, make):
    log = SchemaConfig.model_validate({"session": "s", "item": "i", "event_time": {"column": "t", "unit": "s"}})
    rows = [(session, f"i{event}", 1_700_000_000 + event) for session in (1, 2) for event in range(4)]
    train = real_of(rows, "s int, i string, t bigint", log)
    made = make("crop", train, log, share=1)
    found = with_source(made, log, train.schema["source"].dataType, attributes={}).collect()
    assert {len({row["source"]["s"] for row in found}), len({row["entity_id"] for row in found})} == {2}
    assert all(row["source"]["s"] >= 2**30 for row in found)
    assert all(row["entity_id"] == f"session-{row['session_id']}" for row in found)


def test_negatives_never_show_an_item_that_the_entity_clicked(make, shop):
    made = make("negatives", shop, ratio=3)
    clicked = {(row[0], row[1]) for row in shop.where("label > 0").select("entity_id", "item_id").collect()}
    rows = made.select("entity_id", "item_id", "label", "slate_id", "propensity").collect()
    assert not {(row["entity_id"], row["item_id"]) for row in rows} & clicked
    assert {(row["label"], row["slate_id"], row["propensity"]) for row in rows} == {(0, None, None)}
    known = {item for _, item in clicked}
    assert {row["item_id"] for row in rows} <= known


def test_the_number_of_negatives_follows_the_ratio(make, shop):
    positives = shop.where("label > 0").count()
    for ratio in (1, 2.5):
        num = make("negatives", shop, ratio=ratio).count()
        assert num == pytest.approx(ratio * positives, abs=4 * (positives / 4) ** 0.5 + 0.05 * ratio * positives)


def test_popular_items_are_drawn_more_often_with_a_high_exponent(real_of, make):
    rows = [
        (f"u{number}", "hit" if number % 10 else f"i{number % 70}", 1_700_000_000, 1, 0, 1.0, 1, "")
        for number in range(400)
    ]
    rows += [(f"v{number}", f"i{number % 7 * 10}", 1_700_000_000, 1, 0, 1.0, 1, "") for number in range(200)]
    train = real_of(rows).cache()
    shares = []
    for alpha in (0.0, 1.0):
        made = make("negatives", train.where("entity_id like 'v%' or item_id = 'hit'"), ratio=2, alpha=alpha)
        shares.append(made.agg(F.avg((F.col("item_id") == "hit").cast("int"))).first()[0])
    assert shares[0] < shares[1]


def test_a_threshold_label_is_emptied_in_negatives(real_of, make):
    log = SchemaConfig.model_validate(
        {"user": "user", "item": "item", "labels": {"like": {"column": "rating", "at_least": 3}}}
    )
    rows = [(f"u{number}", f"i{number}", 0, 1, 5, 1.0, 1, "") for number in range(10)]
    made = make("negatives", real_of(rows, log=log), log, ratio=1)
    found = with_source(made, log, made.schema["source"].dataType, attributes={}).collect()
    assert {(row["feature_rating"], row["source"]["rating"], row["label"]) for row in found} == {(None, None, 0)}

"""Of a biased pool, those entities stay that together look like the reference."""

import numpy as np
import pandas as pd
import pytest
from chispa import assert_df_equality
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.frames.align import cells, refine, traits, weights
from clickweave.frames.align.sample import SALT, Sample
from clickweave.frames.draws import unit_draw

LOG = SchemaConfig.model_validate(
    {
        "user": "u", "item": "i", "event_time": {"column": "t"}, "position": "p", "labels": {"click": "c"},
        "features": {"device": "categorical", "price": "numeric"}, "item_features": {"category": "categorical"},
    }
)  # fmt: skip
NAMES = ("feature_device", "feature_price")


def histories(spark, seed, bias, users, origin):
    """Users of two kinds; `bias` is how much likelier the first, of other items, devices and prices, is among them."""
    rng = np.random.default_rng(seed)
    kind = rng.random(users) < 0.3 + bias
    length = rng.geometric(np.where(kind, 0.1, 0.25))
    owner = np.repeat(np.arange(users), length)
    num, first = len(owner), kind[owner]
    item = np.where(first, rng.integers(0, 20, num), rng.integers(10, 40, num))
    table = pd.DataFrame(
        {
            "row_id": np.arange(num) + seed * 10**7,
            "entity_id": [f"{origin}{n}" for n in owner],
            "item_id": [f"i{n}" for n in item],
            "position": rng.integers(1, 4, num),
            "label": (rng.random(num) < np.where(first, 0.5, 0.2)).astype(int),
            "feature_device": np.where(rng.random(num) < np.where(first, 0.8, 0.3), "mobile", "web"),
            "feature_price": rng.normal(np.where(first, 1.0, 0.0)),
            "items_feature_category": [f"c{n // 8}" for n in item],
            "second": 1_700_000_000 + rng.integers(0, 10**6, num),
        }
    )
    frame = spark.createDataFrame(table).withColumn("event_time", F.timestamp_seconds("second")).drop("second")
    return frame.withColumns({"op": F.lit("journey"), "query": F.lit(None).cast("string")})


@pytest.fixture(scope="module")
def sides(spark):
    about = {"pool": (1, 0.3, 3000), "train": (2, 0.0, 3000), "reference": (3, 0.0, 600)}
    return {name: histories(spark, *how, name).cache() for name, how in about.items()}


def views_of(sides, whole=True, num=None):
    bands = cells.fit_bands(sides["train"], DataFrame.cache)
    parted = {name: rows if num is None else rows.repartition(num, "item_id") for name, rows in sides.items()}
    views = {name: cells.viewed(rows, LOG, bands, whole=whole) for name, rows in parted.items()}
    return views, cells.fit_layout(views["train"], LOG, NAMES, 30_000, seed=0)


def fitted_on(sides, whole=True, wanted=1500, num=None):
    views, layout = views_of(sides, whole, num)
    unit = "entity_id" if whole else "row_id"
    order = (views["pool"], views["train"], views["reference"])
    num_real = views["train"].count(), views["reference"].count()
    return views, refine.fit_refinement(
        *order, layout, wanted, num_real=num_real, unit=unit, seed=0, hold=DataFrame.cache
    )


def share_of(rows):
    return rows.agg(F.avg((F.col("feature_device") == "mobile").cast("int"))).first()[0]


def test_a_biased_pool_comes_close_to_the_reference_and_never_closer_than_train(sides):
    views, fitted = fitted_on(sides)
    found = refine.refined(views["pool"], fitted, seed=0).cache()
    assert fitted.before > 1.8 * fitted.ceiling
    assert fitted.after - fitted.ceiling < (fitted.before - fitted.ceiling) / 2
    assert fitted.after > 0.9 * fitted.ceiling
    kept = found.select("entity_id").distinct().count()
    assert kept == pytest.approx(1500, abs=4 * 1500**0.5)
    lengths = [rows.groupBy("entity_id").count() for rows in (found, sides["pool"])]
    assert lengths[0].join(lengths[1], ["entity_id", "count"], "left_anti").count() == 0
    shares = [share_of(rows) for rows in (sides["reference"], sides["pool"], found)]
    assert abs(shares[2] - shares[0]) < abs(shares[1] - shares[0]) / 2


def test_rows_that_are_their_own_units_are_chosen_one_by_one(sides):
    wanted = sides["pool"].count() // 2
    views, fitted = fitted_on(sides, whole=False, wanted=wanted)
    assert fitted.after - fitted.ceiling < (fitted.before - fitted.ceiling) / 2
    assert refine.refined(views["pool"], fitted, seed=0).count() == pytest.approx(wanted, abs=4 * wanted**0.5)


def test_a_pool_like_train_is_not_bent(sides):
    _, fitted = fitted_on({**sides, "pool": sides["train"]})
    assert fitted.before == pytest.approx(fitted.after, abs=0.001)
    assert fitted.strength == 0
    assert set(fitted.terms) == {0}


def test_histories_that_go_on_stay_and_a_small_pool_is_left_alone(sides):
    views, fitted = fitted_on(sides, wanted=100)
    going = F.when(F.col("entity_id").endswith("7"), "journey:continue").otherwise("journey")
    found = refine.refined(views["pool"].withColumn("op", going), fitted, seed=0)
    ends = F.col("entity_id").endswith("7")
    assert found.where(ends).count() == sides["pool"].where(ends).count()
    assert found.where(~ends).select("entity_id").distinct().count() < 200
    assert fitted_on(sides, wanted=3000)[1] is None


def test_without_a_reference_all_are_alike(sides):
    views, fitted = fitted_on({**sides, "reference": sides["reference"].limit(0)})
    assert (fitted.start, set(fitted.terms)) == (0, {0})  # ln of even odds
    assert refine.refined(views["pool"], fitted, seed=0).select("entity_id").distinct().count() == pytest.approx(
        1500, abs=150
    )


@pytest.mark.parametrize("whole", [True, False])
def test_the_choice_does_not_depend_on_partitions(sides, whole):
    found = []
    for num in (1, 2, 7):
        views, fitted = fitted_on(sides, whole, num=num)
        found.append((fitted, refine.refined(views["pool"], fitted, seed=0).select("row_id")))
    for fitted, rows in found[1:]:
        assert fitted == found[0][0]
        assert_df_equality(found[0][1], rows, ignore_row_order=True)


def of_repeaters(spark, seed, origin, shares):
    """Histories of eight events that repeat no item, every second one or all but the first; as many repeats wherever
    the first and the last are equally many.
    """
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, 4000 if origin == "pool" else 2000, p=shares)
    new = np.array([[1] * 8, [1, 0] * 4, [1] + [0] * 7])[kind]
    place = rng.permuted(np.tile(np.arange(40), (len(kind), 1)), axis=1)
    item = np.take_along_axis(place, np.cumsum(new, axis=1) - 1, axis=1)
    table = pd.DataFrame(
        {
            "row_id": np.arange(item.size) + seed * 10**7,
            "entity_id": np.repeat([f"{origin}{n}" for n in range(len(kind))], 8),
            "item_id": [f"i{n}" for n in item.ravel()],
            "label": 1,
            "second": 1_700_000_000 + np.arange(item.size) % 8 * 60 + rng.integers(0, 50, item.size),
        }
    )
    frame = spark.createDataFrame(table).withColumn("event_time", F.timestamp_seconds("second")).drop("second")
    return frame.withColumns({"op": F.lit("journey"), "query": F.lit(None).cast("string")}), kind


def test_what_whole_histories_are_like_comes_nearer_where_their_events_look_the_same(spark):
    log = SchemaConfig.model_validate({"user": "u", "item": "i", "event_time": {"column": "t"}})
    shares = {"pool": (0.25, 0.5, 0.25), "train": (0.02, 0.96, 0.02), "reference": (0.02, 0.96, 0.02)}
    made = {name: of_repeaters(spark, seed, name, each) for seed, (name, each) in enumerate(shares.items())}
    bands = cells.fit_bands(made["train"][0], DataFrame.cache)
    views = {name: cells.viewed(rows, log, bands, whole=True).cache() for name, (rows, _) in made.items()}
    repeats = {name: rows.agg(F.avg((F.col("_visit") != "1").cast("int"))).first()[0] for name, rows in views.items()}
    assert repeats["pool"] == pytest.approx(repeats["reference"], abs=0.07)  # no event tells
    layout = cells.fit_layout(views["train"], log, (), 16_000, seed=0)
    fitted = refine.fit_refinement(
        *views.values(), layout, 2000, num_real=(16_000, 16_000), unit="entity_id", seed=0, hold=DataFrame.cache
    )
    kept = refine.refined(views["pool"], fitted, seed=0).select("entity_id").distinct().toPandas()["entity_id"]
    mixed = made["pool"][1][kept.str.removeprefix("pool").astype(int)] == 1
    assert mixed.mean() > 0.75
    assert len(kept) == pytest.approx(2000, abs=200)
    assert fitted.after >= fitted.ceiling - 0.005


@pytest.mark.parametrize("num", [1, 5])
def test_traits_are_the_same_numbers_in_both_places(sides, num):
    views, layout = views_of(sides, num=num)
    asked = traits.traits_of(layout)
    sample = Sample.of(views["pool"], layout, 1, "entity_id", 0)
    here = sample.values(asked)[np.argsort(sample.draws)]
    coded = views["pool"].withColumns(layout.codes)
    there = coded.groupBy("entity_id").agg(*[each.value.alias(each.column) for each in asked])
    found = there.withColumn("draw", unit_draw("entity_id", salt=SALT, seed=0)).toPandas().sort_values("draw")
    np.testing.assert_array_equal(found[[each.column for each in asked]].to_numpy(), here)
    assert len(here) == 3000
    kinds = {(layout.dimensions[each.place].column, each.kind) for each in asked}
    assert {("_length", "mean"), ("_gap", "variance"), ("_visit", "distinct"), ("_same", "mean")} <= kinds
    assert {("_gap", "smallest"), ("_gap", "largest"), ("_hour", "distinct")} <= kinds


def test_what_is_seen_of_an_event_by_hand(spark):
    log = SchemaConfig.model_validate({"user": "u", "item": "i", "event_time": {"column": "t"}})
    items = ["a", "a", "b", "a", None, "a", None] + ["b"] * 2
    table = [(n, "one" if n < 7 else "two", item, 1_700_000_000 + 60 * n * n, n) for n, item in enumerate(items)]
    rows = spark.createDataFrame(table, "row_id long, entity_id string, item_id string, second long, label int")
    rows = rows.withColumn("event_time", F.timestamp_seconds("second"))
    bands = cells.fit_bands(rows, DataFrame.cache)
    found = cells.viewed(rows.repartition(3), log, bands, whole=True).toPandas().sort_values("row_id")
    assert found["_visit"].tolist() == ["1", "2", "1", "3", None, "4", None, "1", "2"]
    assert found["_same"].tolist() == [None, "true", "false", "false", None, None, None, None, "true"]
    assert found["_length"].tolist() == [7] * 7 + [2] * 2
    assert found["_gap"].dropna().tolist() == [60, 180, 300, 420, 540, 660, 900]
    often = rows.where("row_id = 0").crossJoin(spark.range(25)).withColumn("row_id", F.col("id"))
    visits = cells.viewed(often, log, bands, whole=True).select("_visit").toPandas()["_visit"].value_counts()
    assert visits["18"] == 8  # 18 and more


def test_bands_hold_about_a_tenth_of_the_events_each(sides, spark):
    bands = (
        sides["train"]
        .join(cells.fit_bands(sides["train"], DataFrame.cache), "item_id")
        .groupBy("_band")
        .count()
        .toPandas()
    )
    shares = bands.set_index("_band")["count"] / bands["count"].sum()
    assert len(shares) >= 6
    assert shares.max() < 0.25
    counts = (
        sides["train"]
        .groupBy("item_id")
        .count()
        .join(cells.fit_bands(sides["train"], DataFrame.cache), "item_id")
        .toPandas()
    )
    assert counts.groupby("_band")["count"].mean().is_monotonic_decreasing
    assert cells.fit_bands(sides["train"].limit(0), DataFrame.cache).count() == 0


def test_weights_lift_rows_that_are_too_rare_and_have_mean_one(sides):
    views, layout = views_of(sides)
    nums = [views[name].count() for name in ("pool", "train")]
    fitted = weights.fit_weights(views["pool"], views["train"], layout, *nums, seed=0)
    found = weights.with_weights(views["pool"], fitted).cache()
    about = found.agg(F.avg("weight"), F.min("weight"), F.max("weight")).first()
    assert about[0] == pytest.approx(1, abs=1e-5)
    assert about[1] > 0
    assert about[2] <= 10 / fitted.mean + 1e-9
    assert fitted.auc > 0.6
    assert abs(fitted.after - 0.5) < (fitted.auc - 0.5) / 2
    real, plain = share_of(sides["train"]), share_of(sides["pool"])
    weighed = found.agg(F.sum(F.col("weight") * (F.col("feature_device") == "mobile").cast("int")) / F.sum("weight"))
    assert abs(weighed.first()[0] - real) < abs(plain - real) / 3
    again = weights.fit_weights(views["pool"].repartition(7), views["train"].repartition(3), layout, *nums, seed=0)
    assert again == fitted

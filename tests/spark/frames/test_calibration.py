"""Quantile mapping of numbers, and label rates by cells."""

import numpy as np
import pandas as pd
import pytest
from chispa import assert_df_equality
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.frames.align import calibration, label_rates
from clickweave.frames.align.cells import Dimension

NUM = 6000
COLUMNS = ("price", "stock", "zeros", "still")


def numbers(spark, seed, shift, num=NUM):
    """Prices without ties, whole stocks, a column half of zeros, and one whose law never changes; nulls in each."""
    rng = np.random.default_rng(seed)
    price = np.exp(rng.normal(2 + shift, 0.7 + shift / 3, num))
    stock = rng.poisson(6 + 4 * shift, num).astype(float)
    zeros = np.where(rng.random(num) < 0.5 + 0.2 * shift, 0.0, rng.exponential(1 + shift, num))
    table = pd.DataFrame({"price": price, "stock": stock, "zeros": zeros, "still": rng.normal(size=num)})
    table = table.mask(rng.random((num, 4)) < 0.1)
    table.insert(0, "row_id", np.arange(num))
    frame = spark.createDataFrame(table).withColumns({"entity_id": F.lit("e"), "op": F.lit("vae")})
    return frame.withColumns({name: F.nanvl(name, F.lit(None).cast("double")) for name in COLUMNS})


def maps_of(real, made, **more):
    samples = [calibration.number_sample(rows, COLUMNS, NUM, seed=0) for rows in (real, made)]
    return samples, calibration.fit_numbers(*samples, **more)


def by_row(frame):
    return frame.select("row_id", *COLUMNS).toPandas().set_index("row_id").sort_index()


@pytest.fixture(scope="module")
def sides(spark):
    return numbers(spark, 0, 0.0).cache(), numbers(spark, 1, 0.6).cache()


def test_numbers_get_the_real_law_in_their_own_order(sides):
    (real, made), maps = maps_of(*sides)
    found = calibration.with_numbers(sides[1], maps, seed=0)
    assert set(maps) == {"price", "stock", "zeros"}  # what chance explains stays
    after = calibration.number_sample(found, COLUMNS, NUM, seed=0)
    before, now = by_row(sides[1]), by_row(found)
    for name in maps:
        assert calibration.distance(real[name], made[name]) > 0.1
        assert calibration.distance(real[name], after[name]) < 0.012
        pairs = pd.DataFrame({"old": before[name], "new": now[name]}).dropna().sort_values(["old", "new"])
        ranges = pairs.groupby("old")["new"].agg(["min", "max"])
        assert (ranges["min"].to_numpy()[1:] >= ranges["max"].to_numpy()[:-1] - 1e-9).all(), name
        assert now[name].min() >= real[name].min()
        assert now[name].max() <= real[name].max()
    assert (before.isna() == now.isna()).all().all()
    assert (now["stock"].dropna() % 1 == 0).all()
    assert (now["zeros"].dropna() == 0).mean() == pytest.approx(
        (by_row(sides[0])["zeros"].dropna() == 0).mean(), abs=0.02
    )
    pd.testing.assert_series_equal(now["still"], before["still"])


def test_the_ends_are_no_rows_own_extreme(sides):
    (real, _), maps = maps_of(*sides, min_rows=5)
    found = by_row(calibration.with_numbers(sides[1], maps, seed=0))["price"].dropna()
    assert real["price"][4] <= found.min() < real["price"][20]
    assert real["price"][-21] < found.max() <= real["price"][-5]


def test_plans_do_not_tell_the_tables(sides):
    _, maps = maps_of(*sides)
    made = calibration.with_numbers(sides[1], maps, seed=0)
    plan = made._jdf.queryExecution().executedPlan().toString()
    tables = sum(len(str(each.real + each.at + each.low + each.high)) for each in maps.values())
    assert len(plan) < tables / 2


def test_numbers_do_not_depend_on_partitions(sides):
    (samples, maps), found = maps_of(*sides), []
    for num in (1, 2, 7):
        parted = [rows.repartition(num, F.xxhash64("price")) for rows in sides]
        again, same = maps_of(*parted)
        assert all((again[0][name] == samples[0][name]).all() for name in COLUMNS)
        assert same == maps
        found.append(calibration.with_numbers(parted[1], same, seed=0))
    for other in found[1:]:
        assert_df_equality(found[0], other, ignore_row_order=True)


def test_what_all_events_of_an_entity_share_stays_one_value(spark, sides):
    table = pd.DataFrame({"row_id": range(400), "entity_id": [str(n // 10) for n in range(400)]})
    made = spark.createDataFrame(table).withColumns({"price": F.lit(3.0), "op": F.lit("journey")})
    gone_on = F.when(F.col("entity_id") == "7", "journey:continue").otherwise("journey")
    made = made.withColumn("op", gone_on)
    samples = [calibration.number_sample(rows, ["price"], NUM, seed=0) for rows in (sides[0], made)]
    found = calibration.with_numbers(made, calibration.fit_numbers(*samples, of_entity=["price"]), seed=0).toPandas()
    assert (found.groupby("entity_id")["price"].nunique() == 1).all()
    assert found["price"].nunique() > 30
    assert set(found.loc[found["entity_id"] == "7", "price"]) == {3.0}


def test_nothing_to_map_is_fine(sides):
    _, maps = maps_of(sides[0], sides[1].limit(0))
    assert maps == {}
    assert calibration.with_numbers(sides[1], maps, seed=0).count() == NUM


LOG = SchemaConfig.model_validate(
    {
        "user": "u", "item": "i", "event_time": {"column": "t"}, "position": "p",
        "labels": {"click": "c", "buy": "b"}, "features": {"device": "categorical"},
    }
)  # fmt: skip
RATES = np.array([0.5, 0.3, 0.2, 0.1])


def clicks(spark, seed, factor, num=20_000, users=800):
    """Events of which 0.5 to 0.1 are clicked, by position and device, and a fifth of clicks are purchases."""
    rng = np.random.default_rng(seed)
    position, device = rng.integers(0, 4, num), rng.integers(0, 2, num)
    clicked = rng.random(num) < np.minimum(0.95, RATES[position] * (1 - 0.4 * device) * factor[position])
    table = pd.DataFrame(
        {
            "row_id": np.arange(num) + seed * 10**6,
            "entity_id": [f"u{n}" for n in rng.integers(0, users, num)],
            "position": position,
            "feature_device": np.array(["mobile", "web"])[device],
            "label": clicked.astype(int) + (clicked & (rng.random(num) < 0.2 * factor[0])),
            "item_id": [f"i{n}" for n in rng.integers(0, 30, num)],
        }
    )
    return spark.createDataFrame(table).withColumn("event_time", F.timestamp_seconds(F.col("row_id")))


def relabelled(real, made, most_share=0.5, log=LOG):
    surface = Dimension("feature_device", values=("mobile", "web"))
    dimensions = [label_rates.fit_positions(real), surface, *label_rates.segment_dimensions(log, whole=True)]
    real, made = (label_rates.with_label_cells(rows, log, whole=True) for rows in (real, made))
    counts = [label_rates.count_levels(rows, dimensions, log.num_levels) for rows in (real, made)]
    moves = label_rates.fit_labels(*counts, dimensions, most_share=most_share)
    found = label_rates.with_labels(made, moves, seed=0).drop(*label_rates.HELPERS)
    again = label_rates.count_levels(label_rates.with_label_cells(found, log, whole=True), dimensions, log.num_levels)
    return found, moves, *[label_rates.label_errors(counts[0], side, dimensions) for side in (counts[1], again)]


@pytest.fixture(scope="module")
def logs(spark):
    return clicks(spark, 1, np.ones(4)).cache(), clicks(spark, 2, np.array([1.4, 0.7, 1.5, 2.0])).cache()


def test_label_rates_are_the_real_ones_overall_and_by_position(logs):
    found, moves, before, after = relabelled(*logs)
    assert before["overall"] > 0.1
    assert before["by_position"] > 0.2
    assert after["overall"] < 0.02
    assert after["by_position"] < 0.05
    old, new = (rows.toPandas().set_index("row_id").sort_index() for rows in (logs[1], found))
    pd.testing.assert_frame_equal(
        old.drop(columns="label"), new.drop(columns="label")[old.drop(columns="label").columns]
    )
    changed = (old["label"] != new["label"]).mean()
    assert changed == pytest.approx(moves.share, abs=0.01)
    real = logs[0].toPandas()
    buys = [(frame["label"] == 2).mean() for frame in (real, old, new)]
    assert abs(buys[2] - buys[0]) < abs(buys[1] - buys[0]) / 3
    rates = [
        frame.groupby(["position", "feature_device"])["label"].apply(lambda x: (x > 0).mean()) for frame in (real, new)
    ]
    assert (rates[0] - rates[1]).abs().max() < 0.03


def test_few_labels_move_where_the_cap_is_low(logs):
    found, moves, before, after = relabelled(*logs, most_share=0.01)
    assert moves.share == pytest.approx(0.01)
    assert moves.wanted_share > 0.05
    assert after["overall"] < before["overall"]
    changed = found.join(logs[1].select("row_id", F.col("label").alias("old")), "row_id").where("label != old").count()
    assert changed == pytest.approx(0.01 * 20_000, abs=60)


def test_right_labels_hardly_move_and_empty_sides_do_not(spark, logs):
    same = clicks(spark, 3, np.ones(4))
    _, moves, _, after = relabelled(logs[0], same)
    assert moves.share < 0.02
    assert after["overall"] < 0.02
    counts = np.zeros((12, 3))
    assert label_rates.fit_labels(counts, counts, (), most_share=0.1) is None


def test_labels_do_not_depend_on_partitions(logs):
    found = [relabelled(logs[0].repartition(n), logs[1].repartition(n, "item_id")) for n in (1, 2, 7)]
    for other in found[1:]:
        assert other[1:] == found[0][1:]
        assert_df_equality(found[0][0], other[0], ignore_row_order=True)


def test_purchases_of_items_met_before_stay_as_likely(spark):
    log = LOG.model_copy(update={"labels": SchemaConfig.model_validate(
        {"item": "i", "labels": {"column": "k", "order": ["view", "buy"]}}).labels})  # fmt: skip
    real, made = clicks(spark, 4, np.ones(4), users=300), clicks(spark, 5, np.ones(4), users=300)
    cells = [label_rates.with_label_cells(rows, log, whole=True) for rows in (real, made)]
    labels = F.when((F.col("_met") == "true") & (F.xxhash64("row_id") % 2 == 0), 2).otherwise(1).cast("bigint")
    views = F.when(F.xxhash64("row_id") % 4 == 0, 2).otherwise(1).cast("bigint")
    real, made = (
        rows.withColumn("label", value).drop(*label_rates.HELPERS)
        for rows, value in zip(cells, (labels, views), strict=True)
    )
    found, *_ = relabelled(real, made, log=log)
    shares = []
    for rows in (real, made, found):
        met = label_rates.with_label_cells(rows, log, whole=True).where("label = 2")
        shares.append(met.agg(F.avg((F.col("_met") == "true").cast("int"))).first()[0])
    assert shares[0] == 1.0
    assert shares[1] < 0.9
    assert shares[2] > 0.97

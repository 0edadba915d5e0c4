"""Copies and near copies of train's rows go down to the share that reference has, and not below."""

import numpy as np
import pandas as pd
import pytest
from chispa import assert_df_equality
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.frames.align import near_copies, privacy
from clickweave.frames.augment.numbers import fit_ranges

LOG = SchemaConfig.model_validate(
    {
        "user": "u",
        "item": "i",
        "event_time": {"column": "t"},
        "labels": {"click": "c"},
        "features": {"price": "numeric"},
    }
)


def people(spark, seed, num, name):
    """Events whose item, label and hour often coincide with those of others; prices never do."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "row_id": np.arange(num) + seed * 10**6,
            "entity_id": [f"{name}{n}" for n in rng.integers(0, num // 10, num)],
            "item_id": [f"i{int(n)}" for n in np.minimum(rng.exponential(30, num), 400)],
            "label": rng.integers(0, 2, num),
            "feature_price": rng.normal(size=num),
            "hour": rng.integers(0, 200, num) * 3600,
        }
    )
    empty = {name: F.lit(None).cast("string") for name in ("query", "position", "propensity", "slate_id")}
    frame = spark.createDataFrame(table).withColumns(empty)
    return frame.withColumn("event_time", F.timestamp_seconds("hour")).drop("hour")


@pytest.fixture(scope="module")
def sides(spark):
    """train, reference, and generated rows of which a fifth are train's own."""
    train = people(spark, 1, 6000, "t").cache()
    copies = train.where(F.xxhash64("row_id") % 5 == 0).withColumn("row_id", F.col("row_id") + 10**7)
    made = people(spark, 2, 4800, "g").unionByName(copies.withColumn("entity_id", F.lit("g1")))
    return train, people(spark, 3, 3000, "r").cache(), made.cache()


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("priced", [True, False])
def test_copies_go_down_to_the_rate_of_reference_and_not_below(sides, timed, priced):
    train, reference, made = sides if priced else [rows.withColumn("feature_price", F.lit(1.0)) for rows in sides]
    values = privacy.compared_columns(LOG, timed=timed)
    known = privacy.known_keys(train, values, owned=not timed)
    excess = privacy.fit_copies(made, reference, known, values)
    assert (excess.real.share == 0) == priced
    found = privacy.without_copies(made, known, values, excess, salt="test", seed=0)
    after = privacy.fit_copies(found, reference, known, values)
    assert set(found.columns) == set(made.columns)
    if priced:
        assert excess.made.found == pytest.approx(1200, abs=100)
        assert after.made.found == 0
        assert after.made.total == made.count() - excess.made.found
    else:
        error = 4 * (excess.real.share * (1 - excess.real.share) / after.made.total) ** 0.5
        assert after.made.share == pytest.approx(excess.real.share, abs=error)
        assert after.drop_share < 0.2


def test_what_coincides_as_often_as_real_rows_do_stays(sides, spark):
    train, reference, _ = (rows.withColumn("feature_price", F.lit(1.0)) for rows in sides)
    values = privacy.compared_columns(LOG, timed=True)
    known = privacy.known_keys(train, values, owned=False)
    rare = people(spark, 4, 3000, "x").withColumn("feature_price", F.lit(1.0)).where("label = 1 or row_id % 2 = 0")
    fewer = rare.withColumn("item_id", F.when(F.col("row_id") % 3 == 0, F.lit("own")).otherwise(F.col("item_id")))
    excess = privacy.fit_copies(fewer, reference, known, values)
    assert 0 < excess.made.share < excess.real.share
    assert privacy.without_copies(fewer, known, values, excess, salt="test", seed=0) is fewer


def test_nothing_on_a_side_drops_nothing_but_without_reference_every_copy_goes(sides):
    train, reference, made = sides
    values = privacy.compared_columns(LOG, timed=True)
    for rows, share in (
        ((train.limit(0), reference, made), 0),
        ((train, reference, made.limit(0)), 0),
        ((train, reference.limit(0), made), 1),
    ):
        known = privacy.known_keys(rows[0], values, owned=False)
        excess = privacy.fit_copies(rows[2], rows[1], known, values)
        assert excess.drop_share == share
    found = privacy.without_copies(made, known, values, excess, salt="test", seed=0)
    assert privacy.fit_copies(found, reference, known, values).made.found == 0
    assert "reference" not in excess.figures


def near_parts(train, reference, made, num=None):
    if num is not None:
        train, reference, made = (rows.repartition(num, "feature_price") for rows in (train, reference, made))
    ranges = fit_ranges(train, ["price"])
    near = [near_copies.nearest(rows, train, ranges, ["item_id", "label"]) for rows in (made, reference)]
    fitted = near_copies.fit_near(*near, made.count(), reference.count())
    return near[0], fitted, near_copies.without_near(made, near[0], fitted, seed=0)


def test_near_copies_go_down_to_the_share_of_reference(sides):
    train, reference, made = sides
    moved = made.withColumn("feature_price", F.col("feature_price") + 1e-6)
    near, fitted, found = near_parts(train, reference, moved)
    assert fitted.excess.real.share == pytest.approx(0.05, abs=0.01)
    assert fitted.excess.made.share > 0.2
    left = near.join(found, "row_id", "left_semi").where(F.col("_nearest") <= fitted.distance).count()
    assert left / found.count() == pytest.approx(0.05, abs=0.015)
    honest = near_parts(train, reference, reference.withColumn("row_id", F.col("row_id") + 10**7))
    assert honest[2].count() == reference.count()


def test_near_neighbours_are_the_nearest_that_there_are(sides):
    train, reference, _ = sides
    ranges = fit_ranges(train, ["price"])
    found = near_copies.nearest(reference, train, ranges, ["item_id", "label"]).toPandas().set_index("row_id")
    span = ranges["price"]
    real, other = train.toPandas(), reference.toPandas()
    prices = real.groupby(["item_id", "label"])["feature_price"].apply(np.array).to_dict()
    empty = np.array([np.inf])
    truth = {
        row.row_id: np.abs(prices.get((row.item_id, row.label), empty) - row.feature_price).min() / span.sd
        for row in other.itertuples()
    }
    truth = pd.Series(truth)[found.index]
    assert (found["_nearest"] >= truth - 1e-9).all()
    assert (found["_nearest"] <= truth + 1e-9)[truth < 0.02].mean() > 0.9


def test_the_filter_does_not_depend_on_partitions(sides):
    train, reference, made = sides
    kept = []
    for num in (1, 2, 7):
        _, fitted, found = near_parts(train, reference, made, num)
        kept.append((fitted, found.select("row_id")))
    for fitted, rows in kept[1:]:
        assert fitted == kept[0][0]
        assert_df_equality(kept[0][1], rows, ignore_row_order=True)


def test_values_of_few_users_become_null_and_are_counted(spark):
    train = spark.createDataFrame(
        [(f"u{n}", "many" if n else "Lone") for n in range(6)], "entity_id string, city string"
    )
    made = spark.createDataFrame([(1, "many"), (2, "lone"), (3, None), (4, "new")], "row_id long, city string")
    found, marks = privacy.without_private_values(made, privacy.private_values(train, ["city"], min_users=3))
    rows = {row["row_id"]: (row["city"], row[marks[0]]) for row in found.collect()}
    assert rows == {1: ("many", False), 2: (None, True), 3: (None, False), 4: ("new", False)}
    assert privacy.private_values(train, ["city"], min_users=1) == {}

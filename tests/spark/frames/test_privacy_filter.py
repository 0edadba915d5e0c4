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


def parts(train, reference, made, *names):
    """The copies of these kinds, what is to be dropped of each, and what stays of `made`."""
    kinds = [privacy.kind_of(name, LOG) for name in names]
    untargeted = {"made": made, "real": reference}
    sides = {side: rows.withColumn(privacy.TARGETED, F.lit(False)) for side, rows in untargeted.items()}
    copies, num = privacy.copies_among(sides, train, kinds), {side: rows.count() for side, rows in sides.items()}
    found, gone = [], F.lit(False)
    for kind in kinds:
        found.append(privacy.fit_excess(copies, kind, num, gone, F.lit(False)))
        gone = gone | privacy.drawn_copies(kind, found[-1], seed=0)
    dropped = copies.where((F.col("side") == "made") & gone)
    return found, privacy.without_rows(made, dropped, dropped.count())


@pytest.mark.parametrize("name", [privacy.TIMED, privacy.PATTERN])
@pytest.mark.parametrize("priced", [True, False])
def test_copies_go_down_to_the_rate_of_reference_and_not_below(sides, name, priced):
    train, reference, made = sides if priced else [rows.withColumn("feature_price", F.lit(1.0)) for rows in sides]
    (excess,), found = parts(train, reference, made, name)
    assert (excess.real.share == 0) == priced
    (after,), _ = parts(train, reference, found, name)
    assert set(found.columns) == set(made.columns)
    if priced:
        assert excess.made.found == pytest.approx(1200, abs=100)
        assert after.made.found == 0
        assert after.made.total == made.count() - excess.made.found
    else:
        error = 4 * (excess.real.share * (1 - excess.real.share) / after.made.total) ** 0.5
        assert after.made.share == pytest.approx(excess.real.share, abs=error)
        assert after.drop_share < 0.2


def test_a_kind_counts_what_the_kinds_before_it_left(sides):
    train, reference, made = sides
    both, found = parts(train, reference, made, privacy.TIMED, privacy.PATTERN)
    (first,), left = parts(train, reference, made, privacy.TIMED)
    (second,), last = parts(train, reference, left, privacy.PATTERN)
    assert both == [first, second]
    assert first.made.found > 1000
    assert second.made.found == 0
    assert_df_equality(found, last, ignore_row_order=True)
    shaken = made.withColumn("event_time", F.col("event_time") + F.expr("interval 7 seconds"))
    both, found = parts(train, reference, shaken, privacy.TIMED, privacy.PATTERN)
    assert both[0].made.found == 0
    assert both[1].made.found > 1000
    assert found.count() == made.count() - both[1].num_dropped


def test_copies_are_those_that_a_lookup_finds(sides):
    train, reference, made = (rows.withColumn("feature_price", F.lit(1.0)) for rows in sides)
    (timed, pattern), _ = parts(train, reference, made, privacy.TIMED, privacy.PATTERN)
    ours, real = made.toPandas(), train.toPandas()
    same = ["item_id", "label", "event_time"]
    known = set(map(tuple, real[same].to_numpy()))
    assert timed.made.found == sum(tuple(row) in known for row in ours[same].to_numpy())
    owners = real.groupby(["item_id", "label"])["entity_id"].nunique()
    owned = set(owners[owners == 1].index)
    other = reference.toPandas()
    assert pattern.real.found == sum(tuple(row) in owned for row in other[["item_id", "label"]].to_numpy())


def test_targeted_rows_are_exempt_from_patterns(sides):
    train, reference, made = sides
    kind = privacy.kind_of(privacy.PATTERN, LOG)
    asked = {"made": made.withColumn(privacy.TARGETED, F.lit(True))}
    copies = privacy.copies_among(asked | {"real": reference.withColumn(privacy.TARGETED, F.lit(False))}, train, [kind])
    held_to = {"made": 0, "real": reference.count()}
    excess = privacy.fit_excess(copies, kind, held_to, F.lit(False), F.col(privacy.TARGETED))
    assert excess.made == privacy.Share(0, 0)
    assert copies.where("side = 'made'").count() > 1000


def test_what_coincides_as_often_as_real_rows_do_stays(sides, spark):
    train, reference, _ = (rows.withColumn("feature_price", F.lit(1.0)) for rows in sides)
    rare = people(spark, 4, 3000, "x").withColumn("feature_price", F.lit(1.0)).where("label = 1 or row_id % 2 = 0")
    fewer = rare.withColumn("item_id", F.when(F.col("row_id") % 3 == 0, F.lit("own")).otherwise(F.col("item_id")))
    (excess,), found = parts(train, reference, fewer, privacy.TIMED)
    assert 0 < excess.made.share < excess.real.share
    assert found is fewer


def test_nothing_on_a_side_drops_nothing_but_without_reference_every_copy_goes(sides):
    train, reference, made = sides
    for rows, share in (
        ((train.limit(0), reference, made), 0),
        ((train, reference, made.limit(0)), 0),
        ((train, reference.limit(0), made), 1),
    ):
        (excess,), found = parts(*rows, privacy.TIMED)
        assert excess.drop_share == share
    (after,), _ = parts(train, reference.limit(0), found, privacy.TIMED)
    assert after.made.found == 0
    assert "reference" not in excess.figures


def test_many_ids_are_dropped_by_a_shuffle_and_few_without_one(sides):
    *_, made = sides
    few, many = (privacy.without_rows(made, made.where("label = 1"), num) for num in (1, privacy.MOST_BROADCAST + 1))
    plans = [rows._jdf.queryExecution().optimizedPlan().toString() for rows in (few, many)]
    assert ["strategy=broadcast" in plan for plan in plans] == [True, False]
    assert_df_equality(few, many, ignore_row_order=True)


def near_parts(train, reference, made, num=None):
    if num is not None:
        train, reference, made = (rows.repartition(num, "feature_price") for rows in (train, reference, made))
    ranges = fit_ranges(train, ["price"])
    near = near_copies.nearest({"made": made, "real": reference}, train, ranges, ["item_id", "label"])
    fitted = near_copies.fit_near(near, {"made": made.count(), "real": reference.count()})
    dropped = near_copies.drawn_near(near, fitted, seed=0)
    return near.where("side = 'made'"), fitted, privacy.without_rows(made, dropped, fitted.excess.num_dropped)


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
    found = near_copies.nearest({"real": reference}, train, ranges, ["item_id", "label"]).toPandas().set_index("row_id")
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

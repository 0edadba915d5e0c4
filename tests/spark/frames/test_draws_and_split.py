import pytest
from chispa import assert_df_equality
from pyspark.sql import functions as F

from clickweave.config.stages import SplitConfig
from clickweave.frames.draws import row_key, unit_draw
from clickweave.frames.split import TimeCut, assign_parts, fit_time_cut

NUM = 20_000


@pytest.fixture(scope="module")
def people(spark):
    """Entities with five events each."""
    ids = spark.range(NUM).withColumn("entity_id", F.concat(F.lit("u"), (F.col("id") / 5).cast("int").cast("string")))
    return ids.select(
        "entity_id",
        F.col("id").alias("row_id"),
        F.concat("entity_id", F.lit("-1")).alias("session_id"),
        F.timestamp_seconds(F.col("id") * 10).alias("event_time"),
    )


def test_draws_are_uniform_and_independent_of_each_other(people):
    draws = people.select(
        unit_draw("row_id", salt="a", seed=0).alias("a"),
        unit_draw("row_id", salt="b", seed=0).alias("b"),
        unit_draw("row_id", salt="a", seed=1).alias("c"),
    )
    row = draws.agg(
        F.min("a"), F.max("a"), F.avg("a"), F.stddev("a"), F.corr("a", "b"), F.corr("a", "c"), F.count_distinct("a")
    ).first()
    low, high, mean, deviation, with_salt, with_seed, distinct = row
    assert 0 <= low < 0.001
    assert 0.999 < high < 1
    assert mean == pytest.approx(0.5, abs=4 * 12**-0.5 * NUM**-0.5)
    assert deviation == pytest.approx(12**-0.5, rel=0.02)
    assert abs(with_salt) < 4 * NUM**-0.5
    assert abs(with_seed) < 4 * NUM**-0.5
    assert distinct == NUM


def test_draws_and_keys_depend_on_nothing_but_their_key(people):
    def drawn(frame):
        return frame.select(
            "row_id", unit_draw("row_id", salt="a", seed=0).alias("draw"), row_key("row_id", salt="a").alias("key")
        )

    few = people.where("row_id < 300")
    for num in (1, 7):
        assert_df_equality(drawn(few), drawn(few.orderBy(F.desc("row_id")).repartition(num)), ignore_row_order=True)


def parts_of(events, **config):
    config = SplitConfig(**config)
    return assign_parts(events, fit_time_cut(events, config), config)


def test_no_entity_stands_in_two_parts_and_shares_hold(people):
    parts = parts_of(people, holdout_share=0.3, reference_share=0.5)
    per_entity = parts.groupBy("entity_id").agg(F.count_distinct("part").alias("n"), F.first("part").alias("part"))
    found = {row["part"]: row for row in per_entity.groupBy("part").agg(F.count("*").alias("n"), F.max("n")).collect()}
    assert all(row["max(n)"] == 1 for row in found.values())
    entities = NUM // 5
    for part, share in {"holdout": 0.3, "reference": 0.35, "train": 0.35}.items():
        assert found[part]["n"] / entities == pytest.approx(share, abs=4 * (share * (1 - share) / entities) ** 0.5)


def test_parts_do_not_depend_on_order_or_on_other_rows(people):
    few = people.where("row_id < 500")
    whole = parts_of(people).where("row_id < 500")
    assert_df_equality(whole, parts_of(few.orderBy(F.desc("row_id")).repartition(7)), ignore_row_order=True)


def test_an_entity_in_the_holdout_stays_there_when_the_share_grows(people):
    few = people.where("row_id < 2000")
    small = parts_of(few, holdout_share=0.1).where("part = 'holdout'").select("row_id")
    large = parts_of(few, holdout_share=0.3).where("part = 'holdout'").select("row_id")
    assert small.count() > 0
    assert small.join(large, "row_id", "left_anti").count() == 0


def test_the_future_is_the_last_share_of_trains_time_and_takes_no_holdout(people):
    parts = parts_of(people, test_share=0.25, holdout_share=0.2, reference_share=0.0)
    rows = {
        row["part"]: row
        for row in parts.groupBy("part").agg(F.min("event_time"), F.max("event_time"), F.count("*")).collect()
    }
    assert set(rows) == {"train", "holdout", "future"}
    assert rows["train"]["max(event_time)"] < rows["future"]["min(event_time)"]
    kept = rows["train"]["count(1)"] + rows["future"]["count(1)"]
    assert rows["future"]["count(1)"] / kept == pytest.approx(0.25, abs=0.01)
    assert rows["holdout"]["max(event_time)"] > rows["future"]["min(event_time)"]


def test_the_split_key_follows_the_recipe(people):
    events = people.where("row_id < 1000").withColumn(
        "session_id", F.concat("entity_id", (F.col("row_id") % 2).cast("string"))
    )
    for by, key in ((None, "entity_id"), ("user", "entity_id"), ("session", "session_id"), ("row", "row_id")):
        parts = assign_parts(events, TimeCut(None), SplitConfig(by=by, holdout_share=0.5))
        most = parts.groupBy(key).agg(F.count_distinct("part").alias("n")).agg(F.max("n")).first()[0]
        assert most == 1
        across = parts.groupBy("entity_id").agg(F.count_distinct("part").alias("n")).agg(F.max("n")).first()[0]
        assert (across > 1) == (by in ("session", "row"))


@pytest.mark.parametrize(("holdout", "only"), [(0.0, "train"), (1.0, "holdout")])
def test_shares_of_zero_and_one(people, holdout, only):
    parts = parts_of(people.where("row_id < 500"), holdout_share=holdout, reference_share=0.0)
    assert [row["part"] for row in parts.select("part").distinct().collect()] == [only]

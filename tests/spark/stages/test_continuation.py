"""Real histories go on: from shards with their entities through sample and align into the log's own columns."""

import pytest
import toys
from chispa import assert_df_equality
from pyspark.sql import functions as F

from clickweave.codec.spec import CodecSpec
from clickweave.config.load import check_recipe
from clickweave.contracts.tables import CONTINUED
from clickweave.jobkit.cli import VARIANTS
from clickweave.sampling.continuation import continued_blocks
from clickweave.stages import align, encode, ingest, sample, train
from clickweave.stages.sample import _real_histories
from clickweave.store import files
from clickweave.training.bundle import load_bundle_files

MOST = 3


def recipe_of(log):
    more = {
        "train": {"generator": "journey", "epochs": 1},
        "sample": {"block_rows": 128, "entities": 80, "continue_share": 0.5, "continue_events": MOST},
    }
    return check_recipe(toys.merged(toys.merged(toys.COMMON, log), more), VARIANTS)


@pytest.fixture(scope="module")
def done(stages_in, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    recipe, run = recipe_of(toys.flattened(folder)), stages_in(folder)
    return {
        module.__name__.rpartition(".")[2]: run(module, recipe) for module in (ingest, encode, train, sample, align)
    }


@pytest.fixture(scope="module")
def real(done):
    return done["align"][1].read("ingest", "real").where("part = 'train'").cache()


@pytest.fixture(scope="module")
def made(done):
    return done["align"][1].read_own("synthetic").cache()


def gone_on(made):
    return made.where(F.col("op").endswith(CONTINUED))


def test_about_the_share_goes_on_with_at_most_so_many_events(done, made):
    raw = done["sample"][1].read_own("raw")
    assert done["sample"][0].rows["continued"] == 40
    per_user = raw.where("continues is not null").groupBy("continues").count().collect()
    assert 25 <= len(per_user) <= 55
    assert {row["count"] for row in per_user} <= set(range(1, MOST + 1))
    assert raw.where("continues is null").select("block", "entity_place").distinct().count() == 40
    assert {row["op"] for row in made.select("op").distinct().collect()} == {"journey", "journey:continue"}


def test_new_events_come_after_the_last_real_one_under_the_real_id(made, real):
    last = real.groupBy("entity_id").agg(F.max("event_time").alias("last"), F.min("user_id").alias("real_user"))
    joined = gone_on(made).join(last, "entity_id", "left")
    assert joined.count() > 25
    early = "last is null or event_time < last or real_user != user_id or parent_id is not null"
    assert joined.where(early).count() == 0
    window = real.agg(F.min("event_time"), F.max("event_time")).first()
    assert made.where(~F.col("event_time").between(*window)).count() == 0
    new = made.where(~F.col("op").endswith(CONTINUED))
    assert new.where(~F.col("entity_id").startswith("syn-")).count() == 0


def test_places_go_on_where_the_history_ended(done, real):
    raw = done["sample"][1].read_own("raw").where("continues is not null")
    lengths = real.groupBy(F.col("entity_id").alias("continues")).agg(F.count("*").alias("old"))
    first = raw.groupBy("continues").agg(F.min("place").alias("first")).join(lengths, "continues", "left")
    assert first.where("not first <=> old").count() == 0


def test_attributes_of_the_user_are_the_real_ones(made, real):
    cities = real.groupBy("entity_id").agg(F.first("source.city").alias("real_city"))
    joined = gone_on(made).join(cities, "entity_id", "left")
    assert joined.where("not source.city <=> real_city").count() == 0
    assert joined.where("source.who != user_id").count() == 0


def test_a_session_goes_on_after_a_short_pause_and_a_new_id_comes_after_a_long_one(made, real):
    last = real.groupBy("entity_id").agg(
        F.max("event_time").alias("last"),
        F.max_by("session_id", F.struct("event_time", "row_id")).alias("last_session"),
        F.collect_set("session_id").alias("real_sessions"),
    )
    begins = gone_on(made).groupBy("entity_id").agg(F.min("event_time").alias("begins"))
    joined = gone_on(made).join(last, "entity_id").join(begins, "entity_id").cache()
    pause = F.unix_micros("begins") - F.unix_micros("last")
    first = joined.where(F.col("event_time") == F.col("begins"))
    short, long = first.where(pause <= 1800 * 1_000_000), first.where(pause > 1800 * 1_000_000)
    assert short.count() > 0
    assert long.count() > 0
    assert short.where("session_id != last_session").count() == 0
    assert long.where("array_contains(real_sessions, session_id) or not startswith(session_id, 'syn-')").count() == 0


def test_users_of_the_synthetic_table_are_new_ones_alone(done, real):
    users = done["align"][1].read_own("users")
    assert users.join(real, "user_id", "left_semi").count() == 0
    assert users.count() == users.select("user_id").distinct().count() > 0


def test_the_events_depend_on_seed_and_block_never_on_partitions(done, spark):
    step, recipe = done["sample"][1], done["sample"][1].recipe
    coded = _real_histories(step)
    content = load_bundle_files(step.workspace.output("train", "bundle"))
    codec = CodecSpec.from_json(files.read_bytes(step.workspace.output("encode", "codec")).decode())

    def events(rows, **changes):
        config = recipe.sample.model_copy(update=changes)
        return continued_blocks(rows, content, codec, 40, 7, config, of=codec.num_entities)

    expected = events(coded).cache()
    assert expected.select("block").distinct().count() == 3
    for num in (1, 5):
        spark.conf.set("spark.sql.shuffle.partitions", num)
        assert_df_equality(expected, events(coded.repartition(num, "place")), ignore_row_order=True)
    spark.conf.set("spark.sql.shuffle.partitions", 4)
    assert expected.exceptAll(events(coded, seed=1)).count() > 0

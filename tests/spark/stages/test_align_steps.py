"""align's later steps in the stage: what they do to whole logs, and that the manifest says it."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from clickweave.config.load import check_recipe
from clickweave.jobkit.cli import VARIANTS
from clickweave.stages import align, encode, ingest

NUM, USERS, DAY = 3000, 150, 86_400
FIRST_S = 1_700_000_000


def events(num=NUM):
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, USERS, num), np.minimum(rng.exponential(12, num), 60).astype(int)
    place = rng.integers(1, 5, num)
    return {
        "u": [f"u{n}" for n in user],
        "i": [f"i{n}" for n in item],
        "t": FIRST_S + rng.integers(0, 9 * DAY, num),
        "c": (rng.random(num) < 0.6 / place).astype(int),
        "pos": place,
        "price": np.round(np.exp(rng.normal(2, 0.5, num)), 4),
        "device": np.where(rng.random(num) < 0.4, "web", "mobile"),
        "q": [f"query {n}" for n in item % 5],
        "genre": [f"g{n % 4}" for n in item],
        "n": range(num),
    }


FULL = {
    "user": "u", "item": "i", "event_time": {"column": "t", "unit": "s"}, "labels": {"click": "c"}, "position": "pos",
    "features": {"price": "numeric", "device": "categorical"}, "item_features": {"genre": "categorical"},
}  # fmt: skip
ODD = {
    "no time": {key: value for key, value in FULL.items() if key != "event_time"},
    "no labels": {key: value for key, value in FULL.items() if key != "labels"},
    "no items": {"user": "u", "query": "q", "labels": {"click": "c"}, "event_time": {"column": "t", "unit": "s"}},
    "no numbers": {"user": "u", "item": "i", "event_time": {"column": "t", "unit": "s"}, "labels": {"click": "c"}},
    "no users": {"item": "i", "labels": {"click": "c"}, "features": {"price": "numeric"}},
    "a threshold": {"user": "u", "item": "i", "labels": {"dear": {"column": "price", "at_least": 8}}},
}


def recipe_of(folder, schema, grain, reference_share=0.3, **sections):
    pq.write_table(pa.table(events()), folder / "log.parquet")
    raw = {"dataset": "d", "source": {"events": str(folder / "log.parquet")}, "schema": schema, **sections}
    raw |= {"split": {"holdout_share": 0.1, "reference_share": reference_share}, "encode": {"num_bins": 16}}
    raw |= {"train": {"generator": "journey" if grain == "entity" else "autoregressive"}}
    return check_recipe(raw, VARIANTS)


def sampled(sample_again, change=lambda raw: raw, wanted=1.0):
    """A sample stage that gives the training rows back, changed, as a pool of what is wanted."""

    def run(step):
        found = sample_again.run(step)
        raw = change(step.read_own("raw")).toArrow()
        del step.outputs["raw"]
        step.attempt += "-changed"
        step.write("raw", step.spark.createDataFrame(raw))
        units = len(raw) if "entity_place" not in raw.column_names else raw.column("entity_place").combine_chunks()
        num = units if isinstance(units, int) else len(units.unique())
        return SimpleNamespace(rows=found.rows | {"wanted": round(wanted * num), "sampled": len(raw)})

    return SimpleNamespace(__name__=sample_again.__name__, run=run)


def aligned(folder, stages_in, stage, schema=FULL, grain="row", **sections):
    recipe, stage_on = recipe_of(folder, schema, grain, **sections), stages_in(folder)
    stage_on(ingest, recipe)
    stage_on(encode, recipe)
    stage_on(stage, recipe)
    return stage_on(align, recipe)


def bent(raw):
    """Prices half as high again, half of the clicks gone, more of the web, and times of their own."""
    draw = F.pmod(F.xxhash64("block", "place", "item_id"), F.lit(100))
    changes = {
        "feature_price": F.col("feature_price") * 1.5 + draw / 1000,
        "label": F.when(draw < 50, 0).otherwise(F.col("label")).cast("bigint"),
        "event_time": F.timestamp_micros(F.unix_micros("event_time") + draw * 1_000_000),
    }
    return raw.withColumns(changes)


def moved(raw):
    """Times of their own, where there are any."""
    draw = F.pmod(F.xxhash64("block", "place"), F.lit(5_000))
    if "event_time" not in raw.columns:
        return raw
    return raw.withColumn("event_time", F.timestamp_micros(F.unix_micros("event_time") + draw * 1_000_000))


@pytest.mark.parametrize("grain", ["row", "entity"])
def test_each_step_says_what_it_found_and_what_it_left(tmp_path, stages_in, sample_again, grain, monkeypatch):
    monkeypatch.setattr(align, "drop_copied_runs", lambda events, train: events)
    stage = sampled(sample_again, bent, wanted=0.5)
    more = {"sample": {"pool": 2.0}, "align": {"weigh": True}}
    result, step = aligned(tmp_path, stages_in, stage, FULL, grain, **more)
    steps = result.metrics["steps"]
    assert set(steps) == {"numbers", "labels", "refinement", "privacy", "weights"}
    before, after = (steps["numbers"][when]["feature_price"] for when in ("before", "after"))
    assert before > 0.2
    assert after < 0.06
    left = steps["labels"]["before"]["overall"]  # as refinement left it: of rows it mends most, of histories little
    assert left > (0.15 if grain == "entity" else 0.01)
    assert steps["labels"]["after"]["overall"] < left
    assert steps["labels"]["after"]["overall"] < 0.06
    assert {"before", "after", "ceiling"} <= set(steps["refinement"])
    assert steps["refinement"]["after"] <= steps["refinement"]["before"] + 0.02
    assert {"copies", "copies_any_time", "near"} <= set(steps["privacy"])
    assert json.loads(json.dumps([result.metrics, result.fitted]))
    made, train = step.read_own("synthetic"), step.read_part("train")
    assert made.columns == train.columns
    rates = [rows.agg(F.avg((F.col("label") >= 1).cast("int"))).first()[0] for rows in (made, train)]
    assert rates[0] == pytest.approx(rates[1], rel=0.1)  # bent: half as many; also after refinement and filter
    assert made.agg(F.avg("weight")).first()[0] == pytest.approx(1, abs=0.15)
    units, wanted = (
        made.select("entity_id" if grain == "entity" else "row_id").distinct().count(),
        steps["refinement"]["wanted"],
    )
    assert 0.4 * wanted < units < 1.3 * wanted  # near copies go after it
    users = step.read_own("users")
    assert users.join(made, "user_id", "left_anti").count() == 0
    genres = {row["i"]: row["genre"] for row in train.select("source.i", "source.genre").distinct().collect()}
    pairs = made.select("source.i", "source.genre", "source.price", "feature_price").collect()
    assert all(genres[row["i"]] == row["genre"] for row in pairs)
    assert all(row["price"] == row["feature_price"] for row in pairs)


def test_a_generator_that_gives_train_back_leaves_next_to_nothing(tmp_path, stages_in, sample_again):
    result, _ = aligned(tmp_path, stages_in, sampled(sample_again), ODD["no numbers"])
    privacy = result.metrics["steps"]["privacy"]
    assert privacy["copies"]["before"] > 0.5
    assert privacy["copies"]["after"] <= privacy["copies"]["reference"] + 1e-6
    assert result.rows["synthetic"] < 0.3 * result.rows["in"]


@pytest.mark.parametrize("case", ["no numbers", "no time"])
def test_without_reference_no_copy_stays(tmp_path, stages_in, sample_again, case):
    """Of a log without times only what one user alone has is a copy."""
    stage = sampled(sample_again, lambda raw: raw.unionByName(moved(raw).withColumn("block", F.col("block") + 10**6)))
    off = {"calibrate_numbers": False}
    result, step = aligned(tmp_path, stages_in, stage, ODD[case], reference_share=0, align=off)
    privacy = result.metrics["steps"]["privacy"]
    name = "copies" if case == "no numbers" else "copies_any_time"
    assert privacy[name]["before"] > (0.4 if case == "no numbers" else 0)  # prices are drawn anew inside their bins
    assert privacy[name]["dropped"] == privacy[name]["copies"] > 0
    assert privacy[name]["after"] == 0
    assert "dropped wholly" in privacy["note"]
    assert "near" not in privacy
    made, train = step.read_own("synthetic"), step.read_part("train")
    if case == "no numbers":
        assert made.join(train, ["item_id", "label", "event_time"], "left_semi").count() == 0
        assert made.count() > 0


@pytest.mark.parametrize("case", ODD)
def test_odd_logs_are_aligned_with_every_step_on(tmp_path, stages_in, sample_again, case):
    more = {"sample": {"pool": 2.0}, "align": {"weigh": True}}
    result, step = aligned(tmp_path, stages_in, sampled(sample_again, moved, wanted=0.5), ODD[case], **more)
    assert "refinement" in result.metrics["steps"]
    assert 0 < result.rows["synthetic"] < 0.6 * result.rows["in"]
    if case == "a threshold":
        wrong = step.read_own("synthetic").where("label != cast(feature_price >= 8 as bigint)")
        assert wrong.count() == 0


def test_no_generated_rows_are_fine(tmp_path, stages_in, sample_again):
    more = {"sample": {"pool": 2.0}, "align": {"weigh": True}}
    result, _ = aligned(tmp_path, stages_in, sampled(sample_again, lambda raw: raw.limit(0)), **more)
    assert result.rows["synthetic"] == 0
    assert result.metrics == {"steps": {}}

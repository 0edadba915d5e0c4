"""Times, vectors and texts from the raw log to its own columns again, odd ones among them, at both grains.

The generator gives the training rows back: what it must not say is stopped by the codec and by align.
"""

import datetime as dt
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from clickweave.codec.spec import ENTITY, CodecSpec
from clickweave.config.load import check_recipe
from clickweave.jobkit.cli import VARIANTS
from clickweave.stages import align, encode, ingest
from clickweave.store import files

NUM, USERS, K = 400, 40, 3
START = dt.datetime(2023, 1, 30)
SECRET, LONG = "zq" * 150, "x" * 300
LONE_VECTOR, LONE_TIME = [77.0, -77.0], START + dt.timedelta(days=900, microseconds=123_457)
KINDS = {
    "asked": "time", "promo": "time", "late": "time", "never": "time", "lone_time": "time",
    "taste": "vector", "flat": "vector", "void": "vector", "lone_vector": "vector",
    "note": "text", "same": "text", "empty": "text", "lone_text": "text", "long": "text",
}  # fmt: skip


def events():
    rng = np.random.default_rng(0)
    user, item = rng.integers(0, USERS, NUM), rng.integers(0, 30, NUM)
    time = [START + dt.timedelta(seconds=int(s)) for s in np.sort(rng.integers(0, 9 * 86_400, NUM))]
    tastes = rng.integers(0, 3, (NUM, 1)) + 0.01 * rng.normal(size=(NUM, 4))
    stamp = pa.timestamp("us")
    lone, again = (int(n) for n in np.flatnonzero(user == user[7])[:2])
    item[[lone, again]] = 99  # an item that one user has, and what it is called
    return pa.table(
        {
            "uid": pa.array(user, pa.int64()),
            "iid": item,
            "at": pa.array(time, stamp),
            "q": [f"red shoe {n % 150}" if n % 2 else "blue hat" for n in range(NUM)],
            "asked": pa.array([int((t - dt.timedelta(seconds=n % 40)).timestamp()) for n, t in enumerate(time)]),
            "promo": ["01.02.2023"] * NUM,
            "late": pa.array([t + dt.timedelta(days=n % 3, milliseconds=n) for n, t in enumerate(time)], stamp),
            "never": pa.nulls(NUM, stamp),
            "lone_time": pa.array([LONE_TIME if n == lone else None for n in range(NUM)], stamp),
            "launched": pa.array([dt.date(2020, 1, 1) + dt.timedelta(days=int(i)) for i in item]),
            "title": [f"title {i}" for i in item],
            "taste": pa.array(tastes.astype("float32").tolist(), pa.list_(pa.float32())),
            "flat": pa.array([[0.5, 1.5]] * NUM),
            "void": pa.nulls(NUM, pa.list_(pa.float64())),
            "lone_vector": pa.array([LONE_VECTOR if n == lone else [float(n % 2), 1.0] for n in range(NUM)]),
            "look": pa.array([[int(i), 7] for i in item], pa.list_(pa.int32())),
            "note": [(None, "hello there", f"note {n % 9} of {u}")[n % 3] for n, u in enumerate(user)],
            "same": ["always"] * NUM,
            "empty": pa.nulls(NUM, pa.string()),
            "lone_text": [SECRET if n == lone else "plain" for n in range(NUM)],
            "long": [LONG if n % 2 else f"{LONG}{n}" for n in range(NUM)],
        }
    )  # fmt: skip


def recipe_in(folder, grain):
    pq.write_table(events(), folder / "events.parquet")
    numbers = np.arange(USERS)
    users = {
        "uid": numbers,
        "born": pa.array([dt.date(1980, 1, 1) + dt.timedelta(days=int(n) * 30) for n in numbers]),
        "mood": pa.array([[float(n % 2), 0.25] for n in numbers]),
        "bio": [f"likes {'shoes' if n % 2 else f'hat{n}'}" for n in numbers],
    }
    pq.write_table(pa.table(users), folder / "users.parquet")
    features = KINDS | {
        "asked": {"kind": "time", "unit": "s"},
        "promo": {"kind": "time", "format": "dd.MM.yyyy"},
        "launched": "time",
        "look": "vector",
        "title": "text",
    }
    raw = {
        "dataset": "d",
        "source": {"events": str(folder / "events.parquet"), "users": str(folder / "users.parquet")},
        "schema": {
            "user": "uid",
            "item": "iid",
            "query": "q",
            "event_time": {"column": "at"},
            "features": features,
            "user_features": {"born": "time", "mood": "vector", "bio": "text"},
        },
        "encode": {"min_users": K},
        "split": {"holdout_share": 0.2, "reference_share": 0.0},
        "align": {"privacy_filter": False},  # here all rows are copies
    }
    recipe = check_recipe(raw, VARIANTS)
    return recipe.model_copy(update={"encode": recipe.encode.model_copy(update={"grain": grain})})


@pytest.fixture(scope="module", params=["row", ENTITY])
def aligned(request, tmp_path_factory, stages_in, sample_again):
    """grain, the codec, real/train and synthetic as pandas in the log's own columns, align's run and its result."""
    folder = tmp_path_factory.mktemp(request.param)
    recipe, stage_on = recipe_in(folder, request.param), stages_in(folder)
    stage_on(ingest, recipe)
    _, encoded = stage_on(encode, recipe)
    stage_on(sample_again, recipe)
    with pytest.MonkeyPatch.context() as patch:  # what comes back here is nothing but copies
        patch.setattr(align, "drop_copied_runs", lambda events, train: events)
        result, step = stage_on(align, recipe)
    codec = CodecSpec.from_json(files.read_bytes(encoded.workspace.output("encode", "codec")).decode())
    frames = [frame.select("source.*").toPandas() for frame in (step.read_part("train"), step.read_own("synthetic"))]
    return request.param, codec, *frames, step, result


def test_what_comes_back_has_the_logs_own_columns_and_types(aligned):
    _, _, train, made, step, _ = aligned
    real, found = step.read_part("train"), step.read_own("synthetic")
    assert real.schema.simpleString() == found.schema.simpleString()
    assert len(made) == len(train)
    for name in ("iid", "at"):
        assert sorted(made[name]) == sorted(train[name])


def test_times_keep_their_distance_from_the_event_and_constants_stay(aligned):
    _, codec, train, made, _, _ = aligned
    kinds = {each.name: each.kind for each in codec.parts}
    assert (kinds["feature_asked"], kinds["feature_late"], kinds["feature_promo"]) == ("since", "since", "time")
    distances = [sorted(frame["at"].astype("int64") // 10**6 - frame["asked"]) for frame in (train, made)]
    assert distances[0] == distances[1]
    assert set(made["promo"]) == {"01.02.2023"}
    assert made["never"].isna().all()
    assert made["late"].notna().all()
    assert (made["late"] > made["at"]).mean() > 0.99


def test_what_is_a_function_of_the_item_is_joined(aligned):
    _, codec, train, made, _, _ = aligned
    assert {("feature_launched", "item_id"), ("feature_look", "item_id")} <= {(d.name, d.by) for d in codec.derived}
    pairs = [set(zip(f["iid"], f["launched"], f["look"].map(tuple), strict=True)) for f in (train, made)]
    assert pairs[0] == pairs[1]
    assert ("feature_title", "item_id") in {(each.name, each.by) for each in codec.derived}
    known = made["iid"] != 99
    assert (made["title"][known] == "title " + made["iid"][known].astype(str)).all()
    assert made["title"][~known].isna().all()


def test_vectors_come_back_from_centroids_and_none_is_a_real_one(aligned):
    _, _, train, made, _, _ = aligned
    real, found = (np.stack(frame["taste"]) for frame in (train, made))
    assert np.abs(found[:, None] - real[None]).max(2).min(1).max() < 0.1
    assert not {tuple(row) for row in found} & {tuple(row) for row in real}
    assert {tuple(row) for row in made["flat"]} == {(0.5, 1.5)}
    assert made["void"].isna().all()


def test_what_one_user_has_comes_back_nowhere(aligned):
    _, _, train, made, step, _ = aligned
    assert SECRET in set(train["lone_text"])
    assert LONE_VECTOR in [list(row) for row in train["lone_vector"]]
    assert not made["lone_text"].str.contains("zq").any()
    assert np.abs(np.stack(made["lone_vector"]) - LONE_VECTOR).max(1).min() > 10
    for name in ("q", "note", "long"):
        owners = train.assign(same=train[name].str.lower().str.split().str.join(" ")).groupby("same")["uid"].nunique()
        private = set(owners[owners < K].index)
        assert private
        assert not private & set(made[name].dropna().str.lower()), name
    bios = step.read_own("users").select("feature_bio").toPandas()["feature_bio"]
    assert "likes shoes" in set(bios)
    assert not set(bios) & {f"likes hat{n}" for n in range(USERS)}


def test_encode_of_columns_with_parts_leaves_nothing_on_the_executors_disks(aligned):
    *_, step, _ = aligned
    levels = [held.getStorageLevel() for held in step.spark.sparkContext._jsc.getPersistentRDDs().values()]
    assert [level for level in levels if not level.useMemory()] == []


def test_whole_values_stay_and_other_texts_are_of_their_pieces(aligned):
    _, codec, train, made, _, result = aligned
    assert (made["q"] == "blue hat").sum() >= (train["q"] == "blue hat").sum() > 0
    assert set(made["same"]) == {"always"}
    assert made["empty"].isna().all()
    assert made["note"].isna().sum() == train["note"].isna().sum()
    assert {each.name for each in codec.parts if each.kind == "text"} >= {"query", "feature_note", "feature_long"}
    # the generator said every private text that pieces can say: each was caught
    assert result.metrics["replaced_texts"]["query"] > 0
    assert json.dumps(result.metrics)


def test_attributes_of_users_are_there_for_each_new_user(aligned):
    grain, codec, _, _, step, _ = aligned
    real, users = step.read("ingest", "users"), step.read_own("users").toPandas()
    assert step.read_own("users").schema == real.schema
    assert users["feature_born"].notna().all()
    assert {tuple(row) for row in users["feature_mood"]} == {(0.0, 0.25), (1.0, 0.25)}
    born = {row[0] for row in real.select(F.col("feature_born").cast("date")).collect()}
    assert set(users["feature_born"].dt.date) <= born
    assert (grain == ENTITY) == any(each.name == "profile_bio" for each in codec.parts)

"""encode and align at both grains, around a sample that gives the training rows back: all that is lost is theirs."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.numpy
from pyspark.sql import functions as F

from clickweave.codec.spec import ENTITY, CodecSpec
from clickweave.config.load import check_recipe
from clickweave.frames.align import keys
from clickweave.jobkit.cli import VARIANTS
from clickweave.stages import align, encode, ingest
from clickweave.store import files

USERS, ITEMS = 60, 40
GENRES = [f"genre {n % 6}" for n in range(ITEMS)]


def recipe_in(folder, grain):
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(USERS), rng.integers(1, 30, USERS))
    item = rng.integers(0, ITEMS, len(user))
    second = 1_675_000_000 + rng.integers(0, 20 * 86_400, len(user))
    genre = [None if GENRES[i] == "genre 5" else GENRES[i] for i in item]
    events = {
        "uid": user.astype("int32"),
        "iid": item,
        "at": second,
        "genre": genre,
        "home": [f"h{u % 4}" for u in user],
    }
    pq.write_table(pa.table(events | {"click": rng.integers(0, 2, len(user))}), folder / "events.parquet")
    users = {
        "uid": np.arange(USERS, dtype="int32"),
        "age": 20 + np.arange(USERS) % 50,
        "sex": ["f", "m"] * (USERS // 2),
    }
    pq.write_table(pa.table(users), folder / "users.parquet")
    raw = {
        "dataset": "d",
        "source": {"events": str(folder / "events.parquet"), "users": str(folder / "users.parquet")},
        "schema": {
            "user": "uid",
            "item": "iid",
            "event_time": {"column": "at", "unit": "s"},
            "labels": {"click": "click"},
            "features": {"genre": "categorical", "home": "categorical"},
            "user_features": {"age": "numeric", "sex": "categorical"},
        },
        "encode": {"direct_ids": 30, "min_users": 2},
        "split": {"holdout_share": 0.2, "reference_share": 0.0},
        "align": {"calibrate_labels": False, "privacy_filter": False},  # what comes back here is nothing but copies
    }
    recipe = check_recipe(raw, VARIANTS)
    return recipe.model_copy(update={"encode": recipe.encode.model_copy(update={"grain": grain})})


CONTENT = ["item_id", "label", "feature_genre", "feature_home", "event_time"]


@pytest.fixture(scope="module", params=["row", ENTITY])
def aligned(request, tmp_path_factory, stages_in, sample_again):
    """grain, the encode stage's run, and align's."""
    folder = tmp_path_factory.mktemp(request.param)
    recipe, stage_on = recipe_in(folder, request.param), stages_in(folder)
    stage_on(ingest, recipe)
    _, encoded = stage_on(encode, recipe)
    stage_on(sample_again, recipe)
    with pytest.MonkeyPatch.context() as patch:  # what comes back here is nothing but copies
        patch.setattr(align, "drop_copied_runs", lambda events, train: events)
        return request.param, encoded, stage_on(align, recipe)[1]


def test_rows_go_through_the_codec_and_come_back_under_new_ids(aligned):
    grain, encoded, step = aligned
    train, made = step.read_part("train"), step.read_own("synthetic")
    codec = CodecSpec.from_json(files.read_bytes(encoded.workspace.output("encode", "codec")).decode())
    by = [("feature_genre", "item_id")] + ([("feature_home", "user_id")] if grain == "row" else [])
    assert [(each.name, each.by) for each in codec.derived] == by
    content = [train.select(CONTENT).toPandas(), made.select(CONTENT).toPandas()]
    real, found = (frame.sort_values(CONTENT).reset_index(drop=True).astype(str) for frame in content)
    assert real.equals(found)
    assert made.select("user_id").distinct().count() == train.select("user_id").distinct().count()
    assert made.where(F.col("user_id").cast("bigint") < keys.INT_FROM).count() == 0
    assert made.select("row_id").distinct().count() == train.count()
    lengths = [
        sorted(row[0] for row in frame.groupBy("user_id").count().select("count").collect()) for frame in (train, made)
    ]
    assert lengths[0] == lengths[1]
    sessions = [frame.select("session_id").distinct().count() for frame in (train, made)]
    assert sessions[0] == sessions[1]


def test_attributes_of_new_users_are_those_of_whom_they_stand_for(aligned):
    _, _, step = aligned
    train, made = step.read_part("train"), step.read_own("synthetic")
    users, new_users = step.read("ingest", "users"), step.read_own("users")
    assert new_users.schema == users.schema
    assert new_users.select("user_id").distinct().count() == new_users.count()
    counted = [
        frame.groupBy("user_id").count().join(table, "user_id").select("count", "feature_age", "feature_sex").toPandas()
        for frame, table in ((train, users), (made, new_users))
    ]
    assert sorted(map(tuple, counted[0].to_numpy().tolist())) == sorted(map(tuple, counted[1].to_numpy().tolist()))


def test_time_never_runs_backwards_inside_a_file(aligned):
    _, _, step = aligned
    for file in files.list_files(step.workspace.output("align", "synthetic"), ".parquet"):
        rows = pq.read_table(file, columns=["entity_id", "event_time"]).to_pandas()
        for _, times in rows.groupby("entity_id", sort=False)["event_time"]:
            assert times.is_monotonic_increasing


def test_shards_hold_whole_histories_in_order_and_tables_fit_the_codec(aligned):
    grain, step, _ = aligned
    codec = CodecSpec.from_json(files.read_bytes(step.workspace.output("encode", "codec")).decode())
    tables = safetensors.numpy.load(files.read_bytes(step.workspace.output("encode", "tables")))
    wide = {"item_id"} if grain == ENTITY else {"item_id", "entity_id"}
    assert {column.name for column in codec.columns if column.num_digits} == wide
    kinds = {f"{name}.{part}" for name in wide for part in ("digits", "vectors")}
    more = {"item_id.neighbours", "item_id.neighbour_users"} if grain == ENTITY else set()
    assert set(tables) == kinds | more
    names = [*codec.code_columns, *codec.position_columns, *codec.history_columns]
    parts, num_histories = {}, 0
    for file in files.list_files(step.workspace.output("encode", "shards"), ".parquet"):
        rows = pq.ParquetFile(file).read().to_pandas()
        assert list(rows.columns) == [*names, *(["entity_id"] if grain == ENTITY else [])]
        part = "validation" if "part=validation" in file else "train"
        parts[part] = parts.get(part, 0) + len(rows)
        for column in codec.columns:
            assert rows[f"code_{column.name}"].between(0, column.num_codes - 1).all()
        if grain == ENTITY:
            starts = (rows["place"] == 0).to_numpy()
            assert starts[0]
            num_histories += starts.sum()
            assert (np.diff(rows["place"])[~starts[1:]] == 1).all()
            assert (np.diff(rows["time_us"])[~starts[1:]] >= 0).all()
    assert sum(parts.values()) == codec.num_rows
    assert num_histories == codec.num_entities, "a history begins twice"
    assert 0 < parts["validation"] < parts["train"]


def test_encode_leaves_nothing_on_the_executors_disks(aligned):
    _, step, _ = aligned
    levels = [held.getStorageLevel() for held in step.spark.sparkContext._jsc.getPersistentRDDs().values()]
    assert [level for level in levels if not level.useMemory()] == []

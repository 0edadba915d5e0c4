"""sample.targets: from the plan over the draws to rows of the log, for generators of rows and of histories."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import toys
from papers import judged, rekeyed
from pyspark.sql import functions as F

from clickweave.codec.spec import CodecSpec, ColumnSpec
from clickweave.config.load import check_recipe
from clickweave.config.log import SchemaConfig
from clickweave.errors import ConfigError, ContractError
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.evaluation.rules import Window, count_broken
from clickweave.jobkit.cli import VARIANTS
from clickweave.sampling.targets import blocks
from clickweave.sampling.targets.conditions import conditions, level_codes
from clickweave.stages import align, augment, encode, ingest, mix, publish, sample, train
from clickweave.store import files
from clickweave.store.export import export_table
from clickweave.store.publish import current_version

START = 1_700_438_400  # 2023-11-20 00:00 UTC
COLD = [f"cold{kind}" for kind in range(3)] + [f"new{kind}" for kind in range(3)]
TARGETS = [
    {"name": "cold_items", "c": 5, "events": 7},
    {"name": "items", "items": ["new1", "cold2", "k0-1"], "events": 50},
    {"name": "where", "columns": {"device": "mobile", "hour": [18, 23]}, "events": 90},
    {"name": "balance", "column": "label"},
]
HATS = [f"hat{kind}" for kind in range(3)]  # of the what-if target: in no catalogue
SPARSE = {"name": "sparse_users", "floor": 4, "events": 2}


def write_log(folder):
    """Users of one kind of items each; three items with one event, and three of the catalogue with none."""
    rng, rows = np.random.default_rng(0), []
    for user in range(90):
        kind, at = user % 3, START + int(rng.integers(0, 86_400 * 10))
        for _ in range(3 if user < 9 else 24):
            at += int(rng.integers(60, 40_000))
            item = f"k{kind}-{int(rng.integers(0, 8))}"
            rows.append((f"u{user}", item, at, int(rng.random() < 0.2), ("web", "mobile")[int(rng.random() < 0.3)]))
    rows += [(f"u{30 + kind}", f"cold{kind}", START + 86_400 * 12, 0, "web") for kind in range(3)]
    events = pd.DataFrame(rows, columns=["user", "item", "ts", "click", "device"])
    events.assign(kind=events["item"].map(kind_of)).to_parquet(folder / "events.parquet")
    names = sorted({row[1] for row in rows} | {f"new{kind}" for kind in range(3)})
    pd.DataFrame({"item": names, "kind": map(kind_of, names)}).to_parquet(folder / "items.parquet")
    pd.DataFrame({"id": HATS, "kind": map(kind_of, HATS)}).to_csv(folder / "hats.csv", index=False)


def kind_of(item):
    return f"kind{item[1] if item[0] == 'k' else item[-1]}"


def what_if(folder):
    return {"name": "what_if", "items": {"path": str(folder / "hats.csv"), "key": "id"}, "events": 9}


def recipe_of(folder, generator, targets, entities=40, strategy="share"):
    raw = {
        "dataset": "targets",
        "source": {"events": str(folder / "events.parquet"), "items": str(folder / "items.parquet")},
        "schema": {
            "user": "user",
            "item": "item",
            "event_time": {"column": "ts", "unit": "s"},
            "labels": {"click": "click"},
            "features": {"device": "categorical"},
            "item_features": {"kind": "categorical"},
        },
        "split": {"holdout_share": 0, "reference_share": 0},
        "encode": {"min_users": 1},
        "train": {"generator": generator, "epochs": 8, "batch_size": 64},
        "sample": {"entities": entities, "block_rows": 64, "targets": targets},
        "mix": {"strategy": strategy},
    }
    return check_recipe(toys.merged(toys.COMMON, raw), VARIANTS)


@pytest.fixture(scope="module", params=["autoregressive", "journey"])
def done(stages_in, tmp_path_factory, request):
    """generator, folder, stage runner, stage -> result and run."""
    folder = tmp_path_factory.mktemp(request.param)
    write_log(folder)
    targets = [*TARGETS, what_if(folder), *([SPARSE] if request.param == "journey" else [])]
    recipe, run = recipe_of(folder, request.param, targets), stages_in(folder)
    found = {m.__name__.rpartition(".")[2]: run(m, recipe) for m in (ingest, encode, train, sample, align)}
    plans = [found["sample"][1].read_own(f"plan_{number}").toPandas() for number in range(len(TARGETS) + 1)]
    return request.param, folder, run, found, plans


@pytest.fixture(scope="module")
def raw(done):
    return done[3]["sample"][1].read_own("raw").toPandas()


def of(raw, number):
    return raw[raw["target"] == number]


@pytest.mark.parametrize(("number", "items", "each"), [(0, COLD, 7), (4, HATS, 9)])
def test_cold_items_and_new_ones_get_what_was_asked_from_users_of_their_kind(done, raw, number, items, each):
    made = of(raw, number)
    assert made["item_id"].value_counts().to_dict() == dict.fromkeys(items, each)
    if done[0] == "journey":
        kinds = made["continues"].str[1:].astype(int) % 3
    else:
        values = next(c.values for c in _codec(done).columns if c.is_entity)
        kinds = made["entity_code"].map(lambda code: int(values[int(code) - 2][1:]) % 3)
    assert (kinds == made["item_id"].str[-1].astype(int)).mean() > 0.8  # a third, if users came evenly


def test_named_items_share_the_events(raw):
    made = of(raw, 1)
    assert made["item_id"].value_counts().to_dict() == {"cold2": 17, "k0-1": 17, "new1": 16}


def test_items_of_long_histories_alone_get_their_events_too(done, monkeypatch):
    generator, folder, run, _, _ = done
    if generator != "journey":
        pytest.skip("no history is read")
    monkeypatch.setattr(blocks, "MOST_READ", 5)
    log = pd.read_parquet(folder / "events.parquet")
    events = log.groupby("user")["item"].size()
    held = log.assign(short=log["user"].map(events) <= 5).groupby("item")["short"].agg(["any", "size"])
    lone = sorted(held[~held["any"] & (held["size"] >= 5)].index)[:2]
    both = [*lone, held[held["any"]].index[0]]
    made = run(sample, recipe_of(folder, generator, [{"name": "items", "items": both, "events": 30}], 1))[1]
    rows = of(made.read_own("raw").toPandas(), 0)
    assert rows["item_id"].value_counts().to_dict() == dict.fromkeys(both, 10)
    long = rows["continues"].map(events) > 5
    assert (long == rows["item_id"].isin(lone)).all()  # a short history where there is one
    last = log.groupby("user")["ts"].max()
    assert (rows["event_time"].astype("int64") // 10**6 >= rows["continues"].map(last)).all()


def test_conditions_hold_for_every_row(raw):
    made = of(raw, 2)
    assert len(made) >= 85  # of 90; bounded tries
    assert set(made["feature_device"]) == {"mobile"}
    assert made["event_time"].dt.hour.between(18, 23).all()


def test_rare_labels_come_up_to_the_frequent_one(done, raw):
    real = done[3]["sample"][1].read("ingest", "real").groupBy("label").count().toPandas().set_index("label")["count"]
    made = of(raw, 3)
    assert set(made["label"].astype(int)) == {1}
    assert len(made) == real[0] - real[1]


@pytest.mark.parametrize("done", ["journey"], indirect=True, scope="module")
def test_histories_of_sparse_users_go_on(done, raw):
    made = of(raw, 5)
    assert set(made["continues"]) == {f"u{user}" for user in range(9)}
    assert made.groupby("continues").size().max() <= 2


def test_the_manifest_tells_what_was_asked_drawn_and_accepted(done, raw):
    told = done[3]["sample"][0].metrics["targets"]
    assert [each["accepted"] for each in told] == [len(of(raw, number)) for number in range(len(told))]
    assert told[0]["asked"] == 42
    assert told[2]["drawn"] >= told[2]["accepted"]
    assert told[4] == {
        **{"name": "what_if", "asked": 27, "drawn": 27, "accepted": 27},
        **{"values": 3, "real": 0, "real_least": 0, "real_most": 0},
    }
    plan = done[4][0].set_index("value")
    assert plan["real"].to_dict() == {f"cold{k}": 1 for k in range(3)} | {f"new{k}": 0 for k in range(3)}
    assert [plan["asked"].sum() for plan in done[4][:3]] == [42, 50, 90]


def test_the_plain_sample_is_as_without_targets(done, raw):
    _, folder, run, _, _ = done
    recipe = recipe_of(folder, done[0], [])
    alone = run(sample, recipe)[1].read_own("raw").toPandas()
    rest = raw[raw["target"].isna()][alone.columns]
    assert sorted(map(repr, alone.itertuples(index=False))) == sorted(map(repr, rest.itertuples(index=False)))


def test_the_same_events_come_out_on_any_partitioning(done, raw, spark):
    run, found = done[2:4]
    for num in ("1", "5"):
        spark.conf.set("spark.sql.shuffle.partitions", num)
        again = run(sample, found["sample"][1].recipe)[1].read_own("raw").toPandas()[raw.columns]
        assert sorted(map(repr, again.itertuples(index=False))) == sorted(map(repr, raw.itertuples(index=False)))
    spark.conf.set("spark.sql.shuffle.partitions", "4")


def test_events_of_new_items_are_rows_of_the_log_with_their_attributes(done):
    found = done[3]
    made = found["align"][1].read_own("synthetic").where("op like '%:target%'").toPandas()
    asked = made[made["item_id"].str.contains("new|cold")]
    assert len(asked) >= 60
    real = found["align"][1].read("ingest", "real").select("user_id").distinct().toPandas()["user_id"]
    continues = made["user_id"].isin(real)
    assert continues.all() if done[0] == "journey" else not continues.any()
    assert (made["op"].str.endswith(":continue") == continues).all()


def test_events_of_items_that_do_not_exist_say_so_and_have_their_attributes(done):
    made = done[3]["align"][1].read_own("synthetic").select("item_id", "op", "source.item", "source.kind").toPandas()
    hats = made[made["item_id"].isin(HATS)]
    assert len(hats) >= 20  # of 27
    continues = ":continue" if done[0] == "journey" else ""
    assert set(hats["op"]) == {f"{done[0]}:target{len(TARGETS)}:what_if{continues}"}
    assert not made[~made["item_id"].isin(HATS)]["op"].str.contains("what_if").any()
    assert (hats["item"] == hats["item_id"]).all()
    assert (made["kind"] == made["item_id"].map(kind_of)).all()


def test_items_that_do_not_exist_count_as_known_where_they_were_asked_for_alone(done):
    step = done[3]["align"][1]
    train, made = step.read("ingest", "real").drop("part"), step.read_own("synthetic")
    rule = "item exists in the catalogue"
    for rows, broken in ((made, 0), (made.withColumn("op", F.regexp_replace("op", ":what_if", "")), None)):
        inputs = EvaluationInputs(
            train, train.limit(0), rows, rows, step.read_items(), None, step.recipe.log, step.recipe.evaluate
        )
        counted = count_broken(rows, inputs, Window(None, None), is_synthetic=True)
        assert counted[rule] == (made.where(F.col("item_id").isin(HATS)).count() if broken is None else broken)


@pytest.mark.parametrize("strategy", ["concat", "replace"])
def test_a_version_holds_items_that_do_not_exist_and_tells_them_apart(done, strategy, tmp_path):
    generator, folder, run, found, _ = done
    recipe = recipe_of(folder, generator, found["sample"][1].recipe.sample.model_dump()["targets"], strategy=strategy)
    for module in (augment, mix, SimpleNamespace(__name__="clickweave.stages.evaluate", run=judged)):
        run(module, recipe)
    key = SimpleNamespace(__name__="clickweave.stages.publish", run=lambda step: publish.run(rekeyed(step, strategy)))
    _, step = run(key, recipe)
    place = step.workspace.path(current_version(step.workspace).path)
    items = pd.read_parquet(f"{place}/items").set_index("item_id")
    assert set(items.index[items["what_if"]]) == set(HATS)
    assert "3 items do not exist" in files.read_bytes(f"{place}/DATA_CARD.md").decode()
    assert files.read_json(f"{place}/manifest.json")["stages"]["sample"]["metrics"]["targets"][4]["asked"] == 27
    out = str(tmp_path / "out.parquet")
    export_table(step.workspace, "published", out, part=None, adds_label=False)
    hats = pd.read_parquet(out).query("item in @HATS")
    # with histories that go on no shareable set holds the events; re-enacted users are nobody
    assert (len(hats) > 0) == (strategy == "concat" or generator == "autoregressive")
    assert (hats["kind"] == hats["item"].map(kind_of)).all()
    assert hats["ts"].notna().all()


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        ([{"name": "items", "items": ["k0-1", "nope"], "events": 5}], "item 'nope' is neither in the catalogue nor"),
        ([{"name": "where", "columns": {"device": "tablet"}, "events": 5}], "no real event with device = 'tablet'"),
        (
            [{"name": "where", "columns": {"item": "cold1", "device": "mobile"}, "events": 5}],
            "no real event meets item",
        ),
    ],
)
def test_what_cannot_be_met_is_named(done, targets, said):
    with pytest.raises(ContractError, match=said):
        done[2](sample, recipe_of(done[1], done[0], targets))


@pytest.mark.parametrize(
    ("generator", "target", "said"),
    [
        ("autoregressive", SPARSE, "sparse_users needs a generator of histories"),
        ("journey", {"name": "rare_queries"}, "rare_queries needs schema.query"),
        ("journey", {"name": "balance", "column": "kind"}, "'kind' is neither label nor a categorical feature"),
        ("journey", {"name": "where", "columns": {"size": 4}, "events": 1}, "unknown column 'size'; there are label"),
        ("journey", {"name": "where", "columns": {"hour": [3, 25]}, "events": 1}, "hour: must be .lowest, highest."),
        ("journey", {"name": "cold_item"}, "sample.targets"),
    ],
)
def test_a_target_that_the_log_does_not_allow_is_refused_when_the_recipe_is_read(tmp_path, generator, target, said):
    with pytest.raises(ConfigError, match=said):
        recipe_of(tmp_path, generator, [target])


def test_a_label_that_a_threshold_makes_is_a_range_of_its_column():
    log = SchemaConfig.model_validate({"item": "i", "labels": {"like": {"column": "rating", "at_least": 4}}})
    bins = tuple(float(value) for value in range(1, 6))
    rating = ColumnSpec("feature_rating", "bins", "double", lows=bins, highs=bins, counts=(1, 1, 1, 1, 1))
    spec = CodecSpec((rating,), 5, "key")
    rows = pa.record_batch({"feature_rating": [3.0, 4.0, 5.0, None]})
    for label, codes, holds in ((1, (4, 5), [False, True, True, False]), (0, (1, 2, 3), [True, False, False, False])):
        found = conditions({"label": label}, spec, log)
        assert found.codes == {"feature_rating": codes}
        assert found.checks[0].holds(rows).tolist() == holds
    with pytest.raises(ContractError, match="label must be 0 or one of 1"):
        conditions({"label": 2}, spec, log)


LOVE = {"click": {"column": "rating", "at_least": 3}, "love": {"column": "rating", "at_least": 5}}
FUNNEL = {"click": {"column": "seen", "at_least": 10}, "buy": {"column": "paid", "at_least": 1}}


def test_levels_of_several_thresholds_are_the_codes_between_them():
    bins = tuple(float(value) for value in range(1, 6))
    columns = [ColumnSpec(f"feature_{name}", "bins", "double", lows=bins, highs=bins) for name in ("rating", "paid")]
    seen = ColumnSpec("feature_seen", "bins", "double", lows=(0.0, 8.0, 12.0), highs=(8.0, 12.0, 90.0))
    spec = CodecSpec((*columns, seen), 5, "key")
    log = SchemaConfig.model_validate({"item": "i", "labels": LOVE})
    codes = [level_codes(level, spec, log)["feature_rating"] for level in range(3)]
    assert codes == [(1, 2), (3, 4), (5,)]
    log = SchemaConfig.model_validate({"item": "i", "labels": FUNNEL})
    # the bin from 8 to 12 lies on both sides of 10; no payment is below 1
    assert level_codes(2, spec, log) == {"feature_seen": (3,), "feature_paid": (1, 2, 3, 4, 5)}
    with pytest.raises(ContractError, match="label 1: no bin of 'feature_paid' lies inside"):
        level_codes(1, spec, log)


def test_balance_raises_each_level_of_several_thresholds(tmp_path, stage_on):
    rng = np.random.default_rng(0)
    rating = rng.choice([1, 2, 3, 4, 5], 900, p=[0.3, 0.3, 0.15, 0.1, 0.15])
    users = [f"u{n % 60}" for n in range(900)]
    log = {"user": users, "item": [f"i{n}" for n in rng.integers(0, 9, 900)], "rating": rating}
    pd.DataFrame(log).to_parquet(tmp_path / "events.parquet")
    raw = {
        "dataset": "levels",
        "source": {"events": str(tmp_path / "events.parquet")},
        "schema": {"user": "user", "item": "item", "labels": LOVE},
        "ingest": {"duplicates": "keep"},
        "split": {"holdout_share": 0, "reference_share": 0},
        "train": {"generator": "autoregressive", "epochs": 2},
        "sample": {"entities": 20, "targets": [{"name": "balance"}]},
        "align": {"privacy_filter": False},
    }
    recipe = check_recipe(toys.merged(toys.COMMON, raw), VARIANTS)
    found = {m.__name__.rpartition(".")[2]: stage_on(m, recipe) for m in (ingest, encode, train, sample, align)}
    result, step = found["align"]
    made = step.read_own("synthetic").where("op like '%:target0'").groupBy("label").count().toPandas()
    real = {level: int(((rating >= 3).astype(int) + (rating >= 5) == level).sum()) for level in range(3)}
    assert made.set_index("label")["count"].to_dict() == {level: real[0] - real[level] for level in (1, 2)}
    told = found["sample"][0].metrics["targets"][0]
    assert result.metrics["targets"] == {"0": told["accepted"]}
    assert (told["asked"], told["real"]) == (2 * real[0] - real[1] - real[2], real[1] + real[2])


def _codec(done):
    step = done[3]["sample"][1]
    return CodecSpec.from_json(files.read_bytes(step.workspace.output("encode", "codec")).decode())

"""The mix stage: every strategy through files, what the manifest tells, and what it refuses."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from mall import MALL, MALL_TYPE, mall_rows
from mixes import augmented, generated
from papers import drawn_report, judged, rekeyed
from pyspark.sql import functions as F

from clickweave.config.load import check_recipe
from clickweave.contracts.tables import event_columns
from clickweave.errors import ContractError
from clickweave.frames.mix.registry import STRATEGIES
from clickweave.jobkit.cli import VARIANTS
from clickweave.stages import ingest, mix, publish
from clickweave.store import files
from clickweave.store.publish import current_version

SHOP = {"user": "user", "item": "item", "labels": {"click": "click"}}


def recipe_of(folder, schema, split=None, **how):
    raw = {"dataset": "mall", "source": {"events": str(folder / "events.parquet")}, "schema": schema, "mix": how}
    return check_recipe(raw | {"split": {"holdout_share": 0} | (split or {})}, VARIANTS)


def fake(stage, name, make):
    """A stage that writes what `make` makes of the real rows."""

    def run(step):
        made = make(step.read("ingest", "real").drop("part"))
        step.write(name, made.select(*event_columns(tuple(step.recipe.log.event_features))))
        if stage == "align":
            users = step.read("ingest", "users")
            new = users.withColumn("user_id", F.concat(F.lit("syn-"), "user_id"))
            step.write("users", new.unionByName(new.limit(1).withColumn("user_id", F.lit("syn-left out"))))
        fitted = {"window": {"first_us": 1_234_567_890, "of": "u3"}}
        return SimpleNamespace(rows={name: step.outputs[name].rows}, fitted=fitted)

    return SimpleNamespace(__name__=f"clickweave.stages.{stage}", run=run)


@pytest.fixture(scope="module")
def mall_folder(stages_in, tmp_path_factory):
    """The mall, ingested, with copies and generated rows."""
    folder = tmp_path_factory.mktemp("mix")
    names = [part.split()[0] for part in MALL_TYPE.split(", ")]
    pd.DataFrame(mall_rows(), columns=names).to_parquet(folder / "events.parquet")
    stage, recipe = stages_in(folder), recipe_of(folder, MALL.model_dump(exclude_defaults=True))
    for module in (ingest, fake("augment", "augmented", augmented), fake("align", "synthetic", as_made(MALL))):
        stage(module, recipe)
    stage(SimpleNamespace(__name__="clickweave.stages.sample", run=lambda step: SimpleNamespace(rows={})), recipe)
    return folder


def as_made(log):
    return lambda real: generated(real, log)


@pytest.fixture
def mixed_by(stages_in, mall_folder):
    """strategy, parameters -> result and run of the stage on the mall; `sides` are stages to run anew before."""

    def make(*sides, **how):
        stage, recipe = stages_in(mall_folder), recipe_of(mall_folder, MALL.model_dump(exclude_defaults=True), **how)
        for module in sides:
            stage(module, recipe)
        return stage(mix, recipe)

    return make


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_writes_its_mix_and_says_what_it_did(mixed_by, name):
    result, step = mixed_by(strategy=name)
    rows = step.read_own("mixed")
    num_real = len(mall_rows())
    assert result.rows["in"] == result.rows["synthetic"] == num_real
    assert result.rows.get("real", 0) == (0 if name == "replace" else num_real)
    assert rows.count() == sum(result.rows.get(origin, 0) for origin in ("real", "augmented", "generated", "blended"))
    assert result.metrics["shareable"] == (name == "replace")
    assert ("real" in result.fitted) == (name != "replace")
    assert (name in result.fitted) == (name in ("balance", "blend", "replace", "curriculum", "upweight"))
    assert ("order" in rows.columns) == (name == "curriculum")
    if name == "blend":
        assert {row[0] for row in rows.where("origin = 'blended'").select("run_id").distinct().collect()} == {"mix key"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda made, real: made.unionByName(made.limit(2)), "2 row ids stand more than once, in 4 generated rows"),
        (
            lambda made, real: made.withColumn("row_id", real.first()["row_id"] + F.lit(0)),
            "row ids stand more than once",
        ),
        (
            lambda made, real: made.withColumn("source", F.col("source").withField("pos", F.lit(1.5))),
            r"source has 'pos' \(double\) in synthetic where real has 'pos' \(bigint\)",
        ),
    ],
    ids=["twice", "collision", "drift"],
)
def test_sources_that_do_not_fit_end_with_exit_code_3(mixed_by, make, said):
    bad = fake("align", "synthetic", lambda real: make(generated(real, MALL), real))
    try:
        with pytest.raises(ContractError, match=said) as caught:
            mixed_by(bad, strategy="concat")
        assert caught.value.exit_code == 3
    finally:
        mixed_by(fake("align", "synthetic", as_made(MALL)), strategy="concat")


@pytest.fixture(scope="module")
def law_folder(stages_in, tmp_path_factory):
    """A log whose items are liked by nine in ten or by one; T knows each item from two events or so, and reference
    holds most users.
    """
    folder, rng = tmp_path_factory.mktemp("law"), np.random.default_rng(0)
    item = rng.integers(0, 200, 1200)
    click = rng.random(1200) < np.where(item % 2, 0.9, 0.1)
    rows = {"user": [f"u{n // 4}" for n in range(1200)], "item": [f"i{n}" for n in item], "click": click.astype(int)}
    pd.DataFrame(rows).to_parquet(folder / "events.parquet")
    stage = stages_in(folder)
    for module in (ingest, fake("augment", "augmented", lambda real: real.limit(0))):
        stage(module, recipe_of(folder, SHOP, {"reference_share": 0.7}))
    return folder


def planted(label):
    """Two rows for each real one, with labels by the law of the items, or where `label` is 0 against it."""

    def make(real):
        parts = [generated(real, check_log(), salt=str(number)) for number in range(2)]
        made = parts[0].unionByName(parts[1])
        law = F.when(F.substring("item_id", 2, 9).cast("int") % 2 == 1, 0.9).otherwise(0.1)
        drawn = F.pmod(F.xxhash64("row_id"), F.lit(1000)) / 1000 < law
        return made.withColumn("label", F.when(drawn, label).otherwise(1 - label).cast("bigint"))

    return fake("align", "synthetic", make)


def check_log():
    return check_recipe({"dataset": "d", "source": {"events": "x"}, "schema": SHOP}, VARIANTS).log


@pytest.mark.parametrize(("label", "helps"), [(1, True), (0, False)], ids=["helpful", "harmful"])
def test_auto_takes_what_helps_on_reference_and_leaves_what_harms(stages_in, law_folder, label, helps):
    stage = stages_in(law_folder)
    recipe = recipe_of(law_folder, SHOP, strategy="share", synthetic_per_real="auto")
    stage(planted(label), recipe)
    result, step = stage(mix, recipe)
    told = result.metrics["ratio"]
    assert told["metric"] == "auc"
    assert [row["ratio"] for row in told["tried"]] == [0, 0.1, 0.25, 0.5, 1, 2]
    assert (told["chosen"] > 0) == helps, told
    assert result.rows.get("generated", 0) == pytest.approx(told["chosen"] * result.rows["in"], rel=0.2)
    assert step.read_own("mixed").where("origin = 'real'").count() == result.rows["in"]


def test_auto_of_a_log_without_labels_is_zero_and_says_why(stages_in, tmp_path):
    rows = {"user": [f"u{n // 4}" for n in range(200)], "item": [f"i{n % 9}" for n in range(200)]}
    pd.DataFrame(rows).to_parquet(tmp_path / "events.parquet")
    stage, schema = stages_in(tmp_path), {"user": "user", "item": "item"}
    recipe = recipe_of(tmp_path, schema, strategy="share", synthetic_per_real="auto")
    log = recipe.log
    for module in (
        ingest, fake("augment", "augmented", lambda real: real.limit(0)), fake("align", "synthetic", as_made(log))
    ):  # fmt: skip
        stage(module, recipe)
    result, _ = stage(mix, recipe)
    assert result.metrics["ratio"]["chosen"] == 0
    assert "every row is a positive" in result.metrics["ratio"]["reason"]
    assert "generated" not in result.rows


PAPERS = ("report.json", "report.html", "manifest.json", "DATA_CARD.md")


@pytest.mark.parametrize("name", ["replace", "concat"])
def test_a_shareable_version_holds_no_real_user_and_says_so(mixed_by, stages_in, mall_folder, name):
    mixed_by(strategy=name)
    stage, recipe = (
        stages_in(mall_folder),
        recipe_of(mall_folder, MALL.model_dump(exclude_defaults=True), strategy=name),
    )
    stage(SimpleNamespace(__name__="clickweave.stages.evaluate", run=judged), recipe)
    key = SimpleNamespace(__name__="clickweave.stages.publish", run=lambda step: publish.run(rekeyed(step, name)))
    _, step = stage(key, recipe)
    place = step.workspace.path(current_version(step.workspace).path)
    users = {row[0] for row in step.spark.read.parquet(f"{place}/users").collect()}
    real = {f"u{n}" for n in range(12)}
    new = {f"syn-{user}" for user in real}
    assert users == (new if name == "replace" else new | real | {"syn-left out"})
    card = files.read_bytes(f"{place}/DATA_CARD.md").decode()
    assert ("This mix is shareable" in card) == (name == "replace")
    papers = {paper: files.read_bytes(f"{place}/{paper}").decode() for paper in PAPERS}
    assert ("points of single rows" in papers["report.html"]) == (name == "replace")
    told = {"0.123", "dots k-real", '"u3"', "1234567890", ">u3<", "-9.87654321"}
    found = {text for text in told for paper in papers.values() if text in paper}
    assert found == (set() if name == "replace" else told)
    assert ">often<" in papers["report.html"].replace("<title>often</title>", "")  # what many have is told
    kept = files.read_json(f"{step.workspace.output('evaluate', 'report')}/report.json")
    assert kept == drawn_report()

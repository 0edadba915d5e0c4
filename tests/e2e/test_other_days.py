"""A bundle of some days serves others: no training, all generated rows in the new days, nothing invented."""

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import toys

from clickweave.config.load import load_recipe
from clickweave.jobkit.cli import VARIANTS
from clickweave.jobkit.pipeline import Pipeline
from clickweave.jobkit.progress import Progress
from clickweave.store.workspace import Workspace

FIRST = datetime.fromtimestamp(toys.FIRST_S, UTC).date().toordinal()
BEFORE, NOW = range(12), (12, 13, 15)  # days of the log: what the bundle is trained on, and what it serves


def with_days(recipe_path, days, change=lambda table: table):
    """Writes the events of these days of the log where the recipe reads them."""
    folder = Path(recipe_path).parent
    table = pq.read_table(folder / "whole.parquet")
    number = pa.array([at.toordinal() - FIRST for at in pc.cast(table["at"], pa.date32()).to_pylist()])
    kept = table.filter(pc.is_in(number, pa.array(days, number.type)))
    pq.write_table(change(kept), folder / "events.parquet")


def run(recipe, place, days=None, last="align"):
    found = Workspace(str(place))
    pipeline = Pipeline(load_recipe(str(recipe), VARIANTS), found, Progress(found.path("log.jsonl")), days)
    try:
        return pipeline.run(last=last)
    finally:
        pipeline.close()


@pytest.fixture(scope="module", params=["journey", "vae"])
def served(request, tmp_path_factory):
    """A run on NOW after one on BEFORE; what the first one left, and which stages ran."""
    folder = tmp_path_factory.mktemp(request.param)
    recipe = toys.write_recipe(folder, toys.flattened(folder), train={"generator": request.param})
    (folder / "events.parquet").rename(folder / "whole.parquet")
    with_days(recipe, BEFORE)
    run(recipe, folder / "w", last="train")
    found = toys.Run(recipe, folder / "w")
    before = found.manifests()
    with_days(recipe, NOW)
    last = "publish" if request.param == "journey" else "align"
    ran = run(recipe, folder / "w", tuple(date.fromordinal(FIRST + day) for day in NOW), last)
    return found, before, ran


def test_nothing_is_trained_and_the_manifests_say_whose_rows_these_are(served):
    found, before, ran = served
    assert ran in (["ingest", "augment", "sample", "align", *rest] for rest in (["mix", "evaluate", "publish"], []))
    after = found.manifests()
    assert after["encode"] == before["encode"]
    assert after["train"] == before["train"]
    told = after["align"]["metrics"]["older_bundle"]
    assert told["bundle"] == before["train"]["key"]
    assert max(told["columns"].values()) <= 0.1
    assert {"item_id", "label", "event_clock"} <= set(told["columns"])
    assert len(found.versions()) == ("publish" in ran)  # the hard rules hold, or nothing is published


def test_all_generated_rows_lie_in_the_new_days_and_are_about_as_many_as_the_real_ones(served):
    found, _, _ = served
    synthetic, real = found.table("align", "synthetic"), found.table("ingest", "real")
    train = real.filter(pc.equal(real["part"].cast(pa.string()), "train"))
    days = [{at.toordinal() - FIRST for at in side["event_time"].to_pylist()} for side in (synthetic, train)]
    assert days == [set(NOW), set(NOW)]
    moved = found.table("align", "within_days").num_rows
    assert 0.8 * train.num_rows < moved < 1.25 * train.num_rows
    assert 0.6 * moved < synthetic.num_rows <= moved  # a generator of one epoch leaves the window's hours
    assert found.manifest("align")["metrics"]["days"]["apart"] < 0.1


def test_no_item_and_no_attribute_is_invented(served):
    found, _, _ = served
    rows = found.table("align", "synthetic")["source"].combine_chunks().flatten()
    names = [field.name for field in found.table("align", "synthetic").schema.field("source").type]
    made = dict(zip(names, rows, strict=True))
    real = found.table("ingest", "real").filter(pc.equal(found.table("ingest", "real")["part"].cast("string"), "train"))
    whole = pq.read_table(found.recipe.parent / "whole.parquet").to_pydict()
    assert set(made["what"].to_pylist()) <= {int(item) for item in real["item_id"].to_pylist()}
    brands = dict(zip(whole["what"], whole["brand"], strict=True))
    assert made["brand"].to_pylist() == [brands[item] for item in made["what"].to_pylist()]
    assert set(made["city"].to_pylist()) <= set(whole["city"])


def test_days_of_another_law_are_trained_on(served):
    found, before, _ = served
    with_days(found.recipe, NOW, lambda t: t.set_column(2, "what", pc.add(t["what"], 1000)))
    ran = run(found.recipe, found.place, tuple(date.fromordinal(FIRST + day) for day in NOW), "encode")
    assert ran == ["ingest", "augment", "encode"]
    assert found.manifest("encode")["key"] != before["encode"]["key"]
    assert [event["serves"] for event in found.events() if event["event"] == "drift"] == [True, False]

"""Which stages run again: keys alone, no stage runs and no session starts."""

import json
from datetime import date

import pytest

from clickweave.codec.drift import Drift
from clickweave.config.load import check_recipe
from clickweave.contracts.days import RunDays, SourceDay
from clickweave.contracts.manifest import Manifest, Output
from clickweave.errors import ConfigError, ContractError, TrainingError
from clickweave.jobkit import pipeline
from clickweave.jobkit.cli import VARIANTS
from clickweave.jobkit.pipeline import STAGES, Pipeline, stages_between
from clickweave.jobkit.progress import Progress
from clickweave.stages.context import StageResult
from clickweave.store import files
from clickweave.store.workspace import Workspace


class Fake:
    """Stands for a stage's module: same inputs and sections, writes one file."""

    def __init__(self, real, ran, fails):
        self.INPUTS, self.SECTIONS, self._ran, self._fails = real.INPUTS, real.SECTIONS, ran, fails

    def run(self, run):
        self._ran.append(run.stage)
        files.write_text(run.file("out"), run.stage)
        if run.stage in self._fails:
            raise TrainingError("rank 1 failed")
        return StageResult({"rows": 1})


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A function that runs the pipeline on fake stages and returns the names of those that ran."""
    (tmp_path / "x.csv").write_text("u,i\n1,2\n")
    ran, fails = [], set()
    real = pipeline._module
    monkeypatch.setattr(pipeline, "_module", lambda stage: Fake(real(stage), ran, fails))
    monkeypatch.setattr(Pipeline, "_spark", lambda self: None)
    monkeypatch.setattr(pipeline, "code_version", lambda: "1")

    def run(first=STAGES[0], last=STAGES[-1], **sections):
        raw = {"dataset": "d", "source": {"events": str(tmp_path / "x.csv")}, "schema": {"user": "u", "item": "i"}}
        place = Workspace(str(tmp_path / "w"))
        ran.clear()
        names = Pipeline(check_recipe(raw | sections, VARIANTS), place, Progress(place.path("log.jsonl"))).run(
            first, last
        )
        assert names == ran
        return tuple(ran)

    run.root, run.fails, run.source = tmp_path / "w", fails, tmp_path / "x.csv"
    run.set_code = lambda version: monkeypatch.setattr(pipeline, "code_version", lambda: version)
    return run


def test_a_second_run_does_nothing(world):
    assert world() == STAGES
    assert world() == ()


@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ({"mix": {"seed": 1}}, ("mix", "evaluate", "publish")),
        ({"mix": {"synthetic_per_real": 0.1}}, ("mix", "evaluate", "publish")),
        ({"sample": {"seed": 1}}, ("sample", "align", "mix", "evaluate", "publish")),
        ({"evaluate": {"utility_seeds": 1}}, ("evaluate", "publish")),
        ({"train": {"any_order": 0.5}}, ("train", "sample", "align", "mix", "evaluate", "publish")),
        ({"split": {"seed": 1}}, STAGES),
        ({"spark": {"shuffle_partitions": 3}}, ()),
    ],
)
def test_a_changed_key_reruns_the_stages_that_see_it_and_those_after(world, changed, again):
    world()
    assert world(**changed) == again
    assert world(**changed) == ()


def test_changed_data_or_code_reruns_everything(world):
    world()
    world.source.write_text("u,i\n1,2\n3,4\n")
    assert world() == STAGES
    world.set_code("2")
    assert world() == STAGES


def test_other_items_of_a_what_if_target_rerun_sample_and_missing_ones_stop_the_run_before_it_starts(world, tmp_path):
    hats = tmp_path / "hats.csv"
    target = {"name": "what_if", "items": str(hats)}
    schema = {"user": "u", "item": "i", "item_features": {"kind": "categorical"}}
    told = {"sample": {"targets": [target]}, "schema": schema}
    with pytest.raises(
        ContractError, match=r"sample.targets\[0\]: what_if: no items at .*hats.csv.*targets\[0\].items$"
    ):
        world(**told)
    assert not world.root.exists()
    hats.write_text("i,kind\n7,a\n")
    assert world(**told) == STAGES
    hats.write_text("i,kind\n7,a\n8,b\n")
    assert world(**told) == STAGES[STAGES.index("sample") :]


def test_a_removed_or_damaged_output_is_made_again(world):
    world()
    files.delete_dir(str(next(path for path in (world.root / "train").iterdir() if path.is_dir())))
    assert world() == ("train",)
    (world.root / "align/manifest.json").write_text("{")
    assert world() == ("align",)


def test_a_failed_stage_leaves_no_files_and_the_rerun_resumes_there(world):
    world.fails.add("train")
    with pytest.raises(TrainingError):
        world()
    assert not files.list_files(str(world.root / "train"))
    assert json.loads((world.root / "log.jsonl").read_text().splitlines()[-1])["event"] == "failed"
    world.fails.clear()
    assert world() == STAGES[STAGES.index("train") :]


def test_a_stage_needs_those_before_it_with_this_recipe(world):
    with pytest.raises(ContractError, match="stage ingest has not run with this recipe here; start with --from ingest"):
        world(first="mix")
    assert world(last="encode") == ("ingest", "augment", "encode")
    assert world(first="train", last="train") == ("train",)
    with pytest.raises(ContractError, match="stage encode"):
        world(first="train", encode={"num_bins": 8})


def test_every_event_is_one_json_line(world):
    world(last="augment")
    world(last="ingest")
    lines = [json.loads(line) for line in (world.root / "log.jsonl").read_text().splitlines()]
    events = [(line["stage"], line["event"]) for line in lines]
    assert events == [
        ("ingest", "start"),
        ("ingest", "done"),
        ("augment", "start"),
        ("augment", "done"),
        ("ingest", "skip"),
    ]
    assert all(line["time"] and line["key"] for line in lines)


def test_the_manifest_says_what_the_stage_read_and_made(world):
    world(last="augment")
    found = Workspace(str(world.root)).manifest("augment")
    assert isinstance(found, Manifest)
    assert found.inputs == {"ingest": Workspace(str(world.root)).manifest("ingest").key}
    assert found.rows == {"rows": 1}
    assert isinstance(found.outputs["out"], Output)


def test_stages_between():
    assert stages_between("encode", "sample") == ("encode", "train", "sample")
    assert stages_between("mix", "mix") == ("mix",)
    with pytest.raises(ConfigError, match="--from mix comes after --to ingest"):
        stages_between("mix", "ingest")
    with pytest.raises(ConfigError, match="stage 'mxi' is unknown; there are ingest, "):
        stages_between("mxi", "mix")


@pytest.fixture
def days(world, monkeypatch):
    """world with days; its calls measure these columns, and it counts how often."""
    measured, plain = [], Pipeline.__init__

    def init(self, recipe, workspace, progress):
        plain(self, recipe, workspace, progress, (date(2024, 1, 2),))

    def run(log, drift, *args, **sections):
        def measure(step):
            measured.append(step.key)
            return Drift(drift, dict.fromkeys(drift, 0.02))

        if world.source.read_text() != log:
            world.source.write_text(log)
        found = RunDays(("2024-01-02", "2024-01-02"), {"2024-01-02": SourceDay(1, log)})
        monkeypatch.setattr(pipeline, "plan_days", lambda *args: found)
        monkeypatch.setattr(pipeline, "measured_drift", measure)
        monkeypatch.setattr(Pipeline, "__init__", init)
        return world(*args, **sections)

    run.measured, run.place, run.world = measured, Workspace(str(world.root)), world
    return run


SERVED = ("ingest", "augment", "sample", "align", "mix", "evaluate", "publish")


def test_a_bundle_of_other_days_serves_while_no_column_drifts(days, capsys):
    days.world()
    before = [days.place.manifest(stage) for stage in ("encode", "train")]
    assert days("u,i\n9,8\n", {"item_id": 0.05, "device": 0.11}) == SERVED
    assert f"bundle of run {before[1].key} serves: greatest drift 0.09 (column device), at most 0.1" in (
        capsys.readouterr().err
    )
    assert [days.place.manifest(stage) for stage in ("encode", "train")] == before
    sample = days.place.manifest("sample")
    assert sample.metrics["older_bundle"]["bundle"] == sample.inputs["train"] == before[1].key
    assert sample.metrics["older_bundle"]["columns"] == {"device": 0.09, "item_id": 0.03}
    lines = [json.loads(line) for line in (days.world.root / "log.jsonl").read_text().splitlines()]
    assert [line["serves"] for line in lines if line["event"] == "drift"] == [True]


def test_the_drift_of_a_bundle_and_days_is_measured_once(days):
    days.world()
    days("u,i\n9,8\n", {"device": 0.1})
    assert days("u,i\n9,8\n", {"device": 0.1}) == ()
    assert len(days.measured) == 1
    assert days("u,i\n9,8\n", {}, train={"max_drift": 0.01}) == STAGES[STAGES.index("encode") :]
    assert len(days.measured) == 1
    (days.world.root / "train/drift.json").write_text("{")
    assert days("u,i\n7,7\n", {"device": 0.1}) == SERVED


def test_a_column_that_drifts_trains_anew_and_says_so(days, capsys):
    days.world()
    assert days("u,i\n9,8\n", {"item_id": 0.05, "device": 0.31}) == STAGES
    assert "training anew: drift 0.29 from the days of bundle" in capsys.readouterr().err
    assert "older_bundle" not in days.place.manifest("sample").metrics


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train": {"max_drift": 0}}, "training anew: train.max_drift is 0"),
        ({"train": {"any_order": 0.5}}, "was made by another recipe or code"),
        ({"encode": {"num_bins": 8}}, "was made by another recipe or code"),
    ],
)
def test_no_bundle_of_another_recipe_serves(days, capsys, change, said):
    days.world()
    assert days("u,i\n9,8\n", {}, **change) == STAGES
    assert said in capsys.readouterr().err
    assert not days.measured


def test_the_drift_that_is_allowed_changes_no_key(world):
    world()
    assert world(train={"max_drift": 0.5}) == ()

"""Which days a run processes; folders tell the days apart, so no session starts."""

import datetime as dt
from dataclasses import asdict

import pytest

from clickweave.config.load import check_recipe
from clickweave.contracts.days import PublishedDay, RunDays, SourceDay
from clickweave.contracts.manifest import Manifest
from clickweave.jobkit import pipeline
from clickweave.jobkit.cli import VARIANTS
from clickweave.jobkit.day_plan import plan_days
from clickweave.jobkit.pipeline import Pipeline
from clickweave.jobkit.progress import Progress
from clickweave.stages.context import StageResult
from clickweave.store import files
from clickweave.store.publish import current_version, publish_days, publish_version
from clickweave.store.workspace import Workspace


class World:
    """A log with a folder per day, a workspace, and what was said."""

    def __init__(self, root):
        self.root, self.place, self.said = root, Workspace(str(root / "w")), []

    def lay(self, *days, name="a.csv", text="u,i,t\n1,2,3\n"):
        for day in days:
            files.write_text(f"{self.root}/log/dt={day}/{name}", text)

    def recipe(self, **ingest):
        raw = {"dataset": "d", "source": {"events": {"path": f"{self.root}/log", "partition": "dt"}}, "ingest": ingest}
        schema = {"user": "u", "item": "i", "event_time": {"column": "t", "unit": "s"}}
        return check_recipe(raw | {"schema": schema}, VARIANTS)

    def plan(self, first, last=None, **ingest) -> RunDays:
        self.said.clear()
        ends = [dt.date.fromisoformat(day) for day in (first, last or first)]
        days = [ends[0] + dt.timedelta(days=n) for n in range((ends[1] - ends[0]).days + 1)]
        return plan_days(days, self.recipe(**ingest), self.place, self.no_session, self.said.append)

    def publish(self, planned: RunDays):
        path = f"{self.root}/log"
        days = {day: PublishedDay("p", 1, "k", False, path, found) for day, found in planned.found.items()}
        publish_days(self.place, dataset="d", run_key="k", days=days, prepare=lambda *_: "papers")

    def no_session(self):
        raise AssertionError("a Spark session was asked for")


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_the_days_that_were_asked_for_are_processed_with_or_without_rows(world):
    world.lay("2026-11-01", "2026-11-03")
    found = world.plan("2026-11-01", "2026-11-02").found
    assert list(found) == ["2026-11-01", "2026-11-02"]
    assert found["2026-11-02"].rows == 0


def test_files_of_other_days_change_nothing_and_one_of_these_does(world):
    world.lay("2026-11-01", "2026-11-02")
    before = world.plan("2026-11-01")
    world.lay("2026-11-02", "2026-11-03", name="b.csv")
    assert world.plan("2026-11-01") == before
    world.lay("2026-11-01", name="b.csv")
    assert world.plan("2026-11-01") != before


@pytest.fixture
def published(world):
    """Days 1 to 9 are published; then files came to days 1, 5 and 9."""
    world.lay(*[f"2026-11-{number:02d}" for number in range(1, 10)])
    world.publish(world.plan("2026-11-01", "2026-11-09"))
    assert (world.plan("2026-11-06").reopened, world.said) == ((), [])
    world.lay("2026-11-01", "2026-11-05", "2026-11-09", name="late.csv")
    return world


def test_changed_days_are_reopened_as_far_back_as_allowed_and_the_others_named(published):
    found = published.plan("2026-11-06", "2026-11-07", reopen_days=4)
    assert found.reopened == ("2026-11-05",)
    assert list(found.found) == ["2026-11-05", "2026-11-06", "2026-11-07"]
    assert published.said == [
        "2026-11-05 is reopened: its files changed since it was published",
        "2026-11-01, 2026-11-09 changed, but are not in the 4 days before: left as published",
    ]
    assert published.plan("2026-11-06", reopen_days=5).reopened == ("2026-11-01", "2026-11-05")
    assert published.plan("2026-11-06", reopen_days=0).reopened == ()


def test_a_reopened_day_that_is_published_is_left_alone(published):
    published.publish(published.plan("2026-11-06"))
    assert published.plan("2026-11-07").reopened == ()


def test_the_same_question_keeps_the_days_that_its_run_reopened(published):
    planned = published.plan("2026-11-06")
    about = {"key": "k", "run_id": "k", "seed": 0, "config_hash": "", "code_version": "", "inputs": {}, "outputs": {}}
    told = {"days": {"asked": planned.asked, "reopened": planned.reopened}}
    published.place.commit(Manifest(stage="ingest", metrics=told, **about))
    published.publish(planned)
    assert published.plan("2026-11-06") == planned
    assert published.plan("2026-11-07").reopened == ()


def test_a_day_that_left_the_source_stays_as_it_is_published(published):
    files.delete_dir(f"{published.root}/log/dt=2026-11-04")
    assert "2026-11-04" not in published.plan("2026-11-06").found
    assert "2026-11-04 is no longer in the source: left as published" in published.said
    assert published.plan("2026-11-04").found["2026-11-04"].rows == 0


def test_days_of_another_log_or_of_a_whole_version_are_not_compared(published):
    (published.root / "log").rename(published.root / "moved")
    published.lay("2026-11-05", "2026-11-06")
    record = PublishedDay("p", 1, "k", False, "elsewhere", published.plan("2026-11-06").found["2026-11-06"])
    publish_days(published.place, dataset="d", run_key="k", days={"2026-11-05": record}, prepare=lambda *_: "papers")
    assert published.plan("2026-11-06").reopened == ()
    publish_version(published.place, dataset="d", run_key="w", path="w")
    assert (published.plan("2026-11-06").reopened, published.said) == ((), [])


def test_a_day_without_rows_is_reopened_when_some_come_and_stamps_are_not_held_against_counts(published):
    published.publish(published.plan("2026-11-10"))
    counted = PublishedDay("p", 1, "k", False, f"{published.root}/log", SourceDay(1, "1:1"))
    days = {"2026-11-05": counted, "2026-11-09": counted}
    publish_days(published.place, dataset="d", run_key="k", days=days, prepare=lambda *_: "papers")
    assert published.plan("2026-11-11").reopened == ()
    published.lay("2026-11-10")
    assert published.plan("2026-11-11").reopened == ("2026-11-10",)


def test_many_days_are_named_in_one_line(world):
    world.lay(*[f"2026-10-{number:02d}" for number in range(1, 31)])
    world.publish(world.plan("2026-10-01", "2026-10-30"))
    files.delete_dir(f"{world.root}/log")
    world.lay("2026-11-01")
    world.plan("2026-11-01")
    named = "2026-10-01, 2026-10-02, 2026-10-03, 2026-10-04, 2026-10-05 and 25 more"
    assert world.said == [f"{named} are no longer in the source: left as published"]


def test_ingest_depends_on_the_days_alone(world, monkeypatch):
    monkeypatch.setattr(pipeline, "code_version", lambda: "1")
    world.lay("2026-11-01", "2026-11-02")

    def key(*days):
        days = tuple(dt.date.fromisoformat(day) for day in days) or None
        made = Pipeline(world.recipe(), world.place, Progress(world.place.path("log.jsonl")), days)
        return str(made._source_stamps("ingest"))

    one, two, whole = key("2026-11-01"), key("2026-11-02"), key()
    assert len({one, two, whole}) == 3
    world.lay("2026-11-02", name="b.csv")
    assert key("2026-11-01") == one
    assert key("2026-11-02") != two
    assert key() != whole


class Fake:
    """Stands for a stage's module; publish records the days as the real one does."""

    def __init__(self, name, real, ran):
        self.INPUTS, self.SECTIONS, self._name, self._ran = real.INPUTS, real.SECTIONS, name, ran

    def run(self, run):
        self._ran.append(run.stage)
        files.write_text(run.file("out"), run.stage)
        if self._name == "publish":
            path = run.recipe.source.events.path
            days = {day: PublishedDay("p", 1, run.key, False, path, found) for day, found in run.days.found.items()}
            publish_days(run.workspace, dataset="d", run_key=run.key, days=days, prepare=lambda *_: "papers")
        return StageResult(metrics={"days": asdict(run.days)} if self._name == "ingest" else {})


def test_a_late_file_reopens_its_day_once_and_the_same_command_then_does_nothing(world, monkeypatch):
    ran, real = [], pipeline._module
    monkeypatch.setattr(pipeline, "_module", lambda stage: Fake(stage, real(stage), ran))
    monkeypatch.setattr(Pipeline, "_spark", lambda self: None)
    monkeypatch.setattr(pipeline, "code_version", lambda: "1")
    monkeypatch.setattr(pipeline, "older_bundle", lambda *_: (None, ""))

    def run(first, last):
        ran.clear()
        days = tuple(dt.date(2026, 11, number) for number in range(first, last + 1))
        Pipeline(world.recipe(), world.place, Progress(world.place.path("log.jsonl")), days).run()
        published = current_version(world.place).days
        return len(ran), {int(day[-2:]): record.run_key for day, record in published.items()}

    world.lay(*[f"2026-11-0{number}" for number in range(1, 7)])
    (_, first), (_, second) = run(1, 3), run(4, 6)
    assert len(set(second.values())) == 2
    assert {day: second[day] for day in (1, 2, 3)} == first
    world.lay("2026-11-02", name="late.csv")
    num_ran, third = run(5, 6)
    assert num_ran == len(pipeline.STAGES)
    assert {day for day in third if third[day] != second[day]} == {2, 5, 6}
    assert run(5, 6) == (0, third)

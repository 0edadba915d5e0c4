"""Killed processes, full disks and rivals: nothing published is lost, a rerun finishes."""

import multiprocessing
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import toys

from clickweave.contracts.days import PublishedDay
from clickweave.store.publish import current_version, publish_days, publish_version
from clickweave.store.workspace import Workspace

HERE = Path(__file__).parent


@pytest.fixture
def dying(process):
    """A function that runs the command line until it kills itself at a point."""

    def dying(point, *args, **env):
        return process("python", HERE / "dying.py", point, *args, env={"PYTHONPATH": path(), **env})

    return dying


def path():
    import clickweave

    return f"{HERE}:{Path(clickweave.__file__).parents[1]}"


@pytest.fixture(scope="module")
def judged(movielens, cli, tmp_path_factory):
    """A workspace with version 1, and another mix that is judged but not published."""
    place = tmp_path_factory.mktemp("judged") / "workspace"
    shutil.copytree(movielens.place, place)
    done = cli("run", movielens.recipe, "--workspace", place, "--to", "evaluate", "mix.synthetic_per_real=0.1")
    assert done.code == 0, done.err
    return toys.Run(movielens.recipe, place)


def args(run, stage):
    return (stage, run.recipe, "--workspace", run.place, "mix.synthetic_per_real=0.1")


def published(run):
    """Rows of the current version, read as an outsider would."""
    version = current_version(Workspace(str(run.place)))
    return version.number, pq.read_table(run.place / version.path / "events").num_rows


@pytest.mark.parametrize("point", ["publish: within tables", "publish: before pointer", "publish: after pointer"])
def test_a_killed_publish_leaves_whole_versions_and_a_rerun_publishes(movielens, judged, dying, cli, tmp_path, point):
    run = toys.Run(judged.recipe, tmp_path / "workspace")
    shutil.copytree(judged.place, run.place)
    before = published(run)
    wanted = (2, run.manifest("mix")["outputs"]["mixed"]["rows"])
    done = dying(point, *args(run, "publish"))
    assert done.code == -signal.SIGKILL, done.err
    assert published(run) == (wanted if point == "publish: after pointer" else before)
    again = cli(*args(run, "publish"))
    assert again.code == 0, again.err
    assert published(run) == wanted
    assert [version["number"] for version in run.versions()] == [1, 2]


def test_a_killed_stage_leaves_no_manifest_and_the_rerun_clears_its_remains(judged, dying, cli, tmp_path):
    run = toys.Run(judged.recipe, tmp_path / "workspace")
    shutil.copytree(judged.place, run.place)
    (run.place / "mix/manifest.json").unlink()
    done = dying("mix: after tables", *args(run, "mix"))
    assert done.code == -signal.SIGKILL, done.err
    assert not (run.place / "mix/manifest.json").exists()
    assert len([folder for folder in (run.place / "mix").iterdir() if folder.is_dir()]) == 2
    again = cli(*args(run, "mix"))
    assert again.code == 0, again.err
    assert [folder.name for folder in (run.place / "mix").iterdir() if folder.is_dir()] == [
        run.manifest("mix")["outputs"]["mixed"]["path"].split("/")[1]
    ]
    assert run.manifest("mix")["rows"] == judged.manifest("mix")["rows"]


def test_a_killed_worker_changes_no_sampled_row(copied, movielens, dying, tmp_path):
    (copied.place / "sample/manifest.json").unlink()
    mark = tmp_path / "mark"
    run = ("sample", copied.recipe, "--workspace", copied.place, "spark.master=local[2,3]")
    done = dying("sample: a worker", *run, DYING_MARK=str(mark))
    assert done.code == 0, done.err
    assert mark.exists()
    one, two = toys.sorted_rows(movielens.table("sample", "raw")), toys.sorted_rows(copied.table("sample", "raw"))
    assert one.equals(two)


def test_a_killed_training_goes_on_from_its_checkpoint_to_the_same_weights(copied, dying, cli, no_spark, tmp_path):
    other = toys.Run(copied.recipe, tmp_path / "undisturbed")
    shutil.copytree(copied.place, other.place)
    train = ("train.epochs=4", "train.patience=4")
    done = dying("train: after epoch 2", "train", copied.recipe, "--workspace", copied.place, *train)
    assert done.code == -signal.SIGKILL, done.err
    for run in (copied, other):
        # both read the same shards, as the job is told their full path
        assert cli("train", run.recipe, "--workspace", run.place, *train).code == 0
    resumed, straight = copied.manifest("train")["metrics"], other.manifest("train")["metrics"]
    assert (resumed["resumed_from"], straight["resumed_from"]) == (2, 0)
    assert resumed["epochs"] == straight["epochs"] == 4
    assert resumed["weights_sha256"] == straight["weights_sha256"]


def _publish(place, number, barrier):
    barrier.wait()
    publish_version(Workspace(place), dataset="toy", run_key=f"key{number}", path=f"published/data/{number}")


def test_of_publishers_at_the_same_time_each_gets_its_own_version(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    rivals = [context.Process(target=_publish, args=(str(tmp_path), number, barrier)) for number in range(4)]
    for rival in rivals:
        rival.start()
    for rival in rivals:
        rival.join(60)
    assert [rival.exitcode for rival in rivals] == [0] * 4
    versions = toys.Run(tmp_path, tmp_path).versions()
    assert [version["number"] for version in versions] == [1, 2, 3, 4]
    assert {version["run_key"] for version in versions} == {f"key{number}" for number in range(4)}
    assert not list(tmp_path.rglob("*.tmp"))


def _publish_days(place, number, barrier):
    def prepare(below, days, version):
        if barrier is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return f"published/data/{number}/v{version}"

    if barrier is not None:
        barrier.wait()
    days = {f"2026-11-0{number + 1}": PublishedDay(f"{number}", 1, f"key{number}", False, None, None)}
    publish_days(Workspace(place), dataset="toy", run_key=f"key{number}", days=days, prepare=prepare)


def test_publishers_of_other_days_lose_none_and_a_killed_one_adds_none(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    rivals = [context.Process(target=_publish_days, args=(str(tmp_path), number, barrier)) for number in range(4)]
    dying = context.Process(target=_publish_days, args=(str(tmp_path), 4, None))
    for rival in (*rivals, dying):
        rival.start()
    for rival in (*rivals, dying):
        rival.join(60)
    assert [rival.exitcode for rival in (*rivals, dying)] == [0] * 4 + [-signal.SIGKILL]
    versions = toys.Run(tmp_path, tmp_path).versions()
    assert [len(version["days"]) for version in versions] == [1, 2, 3, 4]
    assert {day: one["run_key"] for day, one in versions[-1]["days"].items()} == {
        f"2026-11-0{number + 1}": f"key{number}" for number in range(4)
    }
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.fixture
def tiny_disk(tmp_path):
    """A disk of 4 MiB; skips where mounting is not permitted."""
    place = tmp_path / "tiny"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"mount is not permitted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_told_and_the_old_version_stays(judged, cli, tiny_disk, tmp_path):
    run = toys.Run(judged.recipe, tmp_path / "workspace")
    shutil.copytree(judged.place, run.place)
    shutil.move(run.place / "published", tiny_disk / "published")
    (run.place / "published").symlink_to(tiny_disk / "published")
    before = published(run)
    with (tiny_disk / "ballast").open("wb") as ballast:  # all but 8 KiB
        free = shutil.disk_usage(tiny_disk).free
        ballast.write(b"0" * (free - 8192))
    done = cli(*args(run, "publish"))
    assert done.code == 6, done.err
    assert "No space left" in done.complaint
    assert "Traceback" not in done.err
    assert published(run) == before
    (tiny_disk / "ballast").unlink()
    again = cli(*args(run, "publish"))
    assert again.code == 0, again.err
    assert published(run)[0] == 2

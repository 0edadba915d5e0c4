"""The command line as tests call it, and one finished run that many tests look at."""

import contextlib
import fcntl
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import toys

# What tests give Spark to do is small: compiling it well would take longer than it lasts, in each JVM that is started.
# Without the last option there would be 48 MB for compiled code, which many tests in one JVM fill again and again.
os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=256m")

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of ours on standard error that says what is wrong."""
        lines = [line for line in self.err.splitlines() if line.startswith("clickweave: ")]
        assert len(lines) == 1, self.err
        return lines[0]


def call(*args) -> Outcome:
    """`clickweave ARGS` in this process, so that the JVM is started once."""
    from clickweave.jobkit.cli import app

    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app([str(arg) for arg in args])
        except SystemExit as stop:
            code = int(stop.code or 0)
    return Outcome(code, out.getvalue(), err.getvalue())


def spawn(program: str, *args, env=None, timeout_s: float = 420) -> Outcome:
    """A program of the environment in a process of its own; code -9 after SIGKILL."""
    inherited = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "PYSPARK_PYTHON": sys.executable}
    found = subprocess.run(
        [str(BIN / program), *map(str, args)],
        cwd=ROOT,
        env=inherited | (env or {}),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Outcome(found.returncode, found.stdout, found.stderr)


@pytest.fixture(scope="session")
def cli():
    return call


@pytest.fixture(scope="session")
def process():
    return spawn


@pytest.fixture
def no_spark(monkeypatch):
    """Fails the test if anything asks for a Spark session."""

    def refuse(*_):
        raise AssertionError("a Spark session was asked for")

    monkeypatch.setattr("clickweave.jobkit.pipeline.make_session", refuse)


@pytest.fixture(scope="session")
def movielens(tmp_path_factory):
    """A MovieLens-shaped log taken to a published version by spark-submit of jobs/pipeline.py; the first process that
    needs it makes it, others wait. All look at one workspace, so what changes it belongs into `copied`.
    """
    root = tmp_path_factory.getbasetemp()
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "movielens"
    folder.mkdir(exist_ok=True)
    recipe, place, told = folder / "recipe.yaml", folder / "workspace", folder / "told.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            shutil.rmtree(place, ignore_errors=True)
            toys.write_recipe(folder, toys.movielens(folder))
            done = spawn(
                "spark-submit", "--master", "local[2]", ROOT / "jobs/pipeline.py", recipe, "--workspace", place
            )
            assert done.code == 0, done.err
            told.write_text(json.dumps([done.out, done.err]))
    return toys.Run(recipe, place, *json.loads(told.read_text()))


@pytest.fixture
def copied(movielens, tmp_path):
    """The finished run in a workspace that the test may spoil."""
    place = tmp_path / "workspace"
    shutil.copytree(movielens.place, place)
    return toys.Run(movielens.recipe, place, movielens.out, movielens.err)

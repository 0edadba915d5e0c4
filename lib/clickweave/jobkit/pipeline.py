"""Runs stages in order: skips what is done, times what runs, commits what succeeded."""

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, date, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType

from pyspark.sql import SparkSession

import clickweave
from clickweave.config.load import Recipe
from clickweave.config.log import FileSource
from clickweave.contracts.days import RunDays
from clickweave.contracts.manifest import Manifest, digest
from clickweave.errors import ConfigError, ContractError, PublishError
from clickweave.jobkit.day_plan import plan_days
from clickweave.jobkit.progress import Progress
from clickweave.jobkit.serving import KEPT, Serving, older_bundle, serving
from clickweave.jobkit.session import make_session
from clickweave.stages import what_if
from clickweave.stages.context import StageRun
from clickweave.stages.drift import measured_drift
from clickweave.store import files
from clickweave.store.tables import raw_files, source_format
from clickweave.store.workspace import Workspace

STAGES = ("ingest", "augment", "encode", "train", "sample", "align", "mix", "evaluate", "publish")


class Pipeline:
    """One recipe in one workspace. The Spark session starts when the first stage asks for it.

    Args:
        days: the days of the log that are processed; None for all of it. With days, a bundle of other days may serve.
    """

    def __init__(
        self, recipe: Recipe, workspace: Workspace, progress: Progress, days: tuple[date, ...] | None = None
    ) -> None:
        self._recipe, self._workspace, self._progress, self._days = recipe, workspace, progress, days
        self._run_days: RunDays | None = None
        self._session: SparkSession | None = None
        self._serving: Serving | None = None
        self._stamps: dict[str, dict[str, str]] = {}

    def run(self, first: str = STAGES[0], last: str = STAGES[-1]) -> list[str]:
        """Runs the stages from `first` to `last` that are not done yet, and returns their names.

        Raises:
            ConfigError: no such stage, or `first` comes after `last`.
            ContractError: a stage before `first` has not run with this recipe.
            ClickweaveError: as the stages say.
        """
        chosen = stages_between(first, last)
        for stage in STAGES[: STAGES.index(last) + 1]:  # files that are missing are told before anything runs
            self._stamps[stage] = self._source_stamps(stage)
        ran = []
        for stage in STAGES[: STAGES.index(last) + 1]:
            if stage == "encode" and self._days is not None:
                self._serving = self._older_bundle()
            key, inputs = self._key(stage)
            done = self._workspace.manifest(stage)
            if done is not None and done.key == key and self._workspace.is_complete(done):
                if stage in chosen:
                    self._progress.event(stage, "skip", key=key)
            elif stage in chosen:
                self._run_stage(stage, key, inputs)
                ran.append(stage)
            else:
                raise ContractError(f"stage {stage} has not run with this recipe here; start with --from {stage}")
        return ran

    def close(self) -> None:
        """Stops the session, if one was started."""
        if self._session is not None:
            self._session.stop()

    def _run_stage(self, stage: str, key: str, inputs: dict[str, str]) -> None:
        started, clock = datetime.now(UTC), time.monotonic()
        self._progress.event(stage, "start", key=key)
        attempt = self._workspace.new_attempt(stage)
        args = stage, key, self._recipe, self._workspace, attempt, self._spark, self._say(stage)
        run = StageRun(*args, days=self._run_days)
        with self._progress.stage(stage, self._spark() if stage != "train" else None):
            try:
                result = _module(stage).run(run)
            except BaseException as error:
                files.delete_dir(self._workspace.path(attempt))
                with suppress(PublishError):  # a full disk must not hide what failed
                    self._progress.event(stage, "failed", error=type(error).__name__, message=str(error)[:500])
                raise
            seconds = round(time.monotonic() - clock, 3)
            older = {"older_bundle": asdict(self._serving)} if stage == "sample" and self._serving is not None else {}
            self._workspace.commit(
                Manifest(
                    stage=stage,
                    key=key,
                    run_id=key,
                    seed=getattr(getattr(self._recipe, stage), "seed", 0),
                    config_hash=digest(self._config(stage)),
                    code_version=code_version(),
                    inputs=inputs,
                    outputs=run.outputs,
                    rows=result.rows,
                    fitted=result.fitted,
                    metrics=result.metrics | older,
                    started_at=started.isoformat(timespec="seconds"),
                    seconds=seconds,
                )
            )
            self._progress.say(f"{_rows(result.rows)} in {seconds:.1f} s")
        self._progress.event(stage, "done", key=key, seconds=seconds, rows=result.rows)

    def _key(self, stage: str) -> tuple[str, dict[str, str]]:
        """The stage's key and what it read: keys of its input stages and stamps of files outside the workspace."""
        kept = self._workspace.manifest(stage) if self._serving is not None and stage in KEPT else None
        if kept is not None:
            return kept.key, kept.inputs
        inputs = {name: self._input_key(name) for name in _module(stage).INPUTS} | self._stamps[stage]
        return digest([stage, code_version(), self._config(stage), inputs]), inputs

    def _older_bundle(self) -> Serving | None:
        """The bundle of other days that serves these, if there is one; says why, or why not. One measurement at most
        for each pair of bundle and days.
        """
        most, place = self._recipe.train.max_drift, self._workspace
        made_by = {stage: (digest(self._config(stage)), code_version()) for stage in KEPT}
        bundle, why = older_bundle(place, made_by, most)
        if bundle is None:
            if why:
                self._say("train")(why)
            return None
        with self._progress.stage("train", None):
            run = StageRun("train", bundle, self._recipe, place, "", self._spark, self._say("train"))
            found = serving(place, bundle, lambda: measured_drift(run))
            self._progress.say(found.verdict(most))
        self._progress.event("train", "drift", most=most, serves=found.serves(most), **asdict(found))
        return found if found.serves(most) else None

    def _input_key(self, stage: str) -> str:
        manifest = self._workspace.manifest(stage)
        return "" if manifest is None else manifest.key

    def _source_stamps(self, stage: str) -> dict[str, str]:
        """Digests of sizes and change times of the files outside the workspace that a stage reads.

        Raises:
            ContractError: one of them is not there.
        """
        stamps = {}
        if stage == "ingest":
            if self._days is not None:
                say = self._say("ingest")
                self._run_days = plan_days(self._days, self._recipe, self._workspace, self._spark, say)
                stamps = {"days": ", ".join(self._run_days.found), "events": digest(list(self._run_days.found.items()))}
            for role in ("events", "items", "users"):
                source = getattr(self._recipe.source, role)
                if role not in stamps and source is not None and source_format(source, role) != "table":
                    stamps[role] = _stamp(source)
        elif stage == "sample":
            for number in what_if.numbers_of(self._recipe):
                source = what_if.source_of(self._recipe, number)
                with what_if.told_of(number):
                    if source_format(source, "items") != "table":
                        stamps[f"targets[{number}]"] = _stamp(source)
        return stamps

    def _config(self, stage: str) -> dict[str, object]:
        return {name: _dump(getattr(self._recipe, name)) for name in _module(stage).SECTIONS}

    def _spark(self) -> SparkSession:
        if self._session is None:
            self._session = make_session(self._recipe.spark, self._recipe.dataset)
        return self._session

    def _say(self, stage: str) -> Callable[[str], None]:
        def say(text: str) -> None:
            self._progress.say(text)
            self._progress.event(stage, "progress", text=text)

        return say


def stages_between(first: str, last: str) -> tuple[str, ...]:
    """The stages from `first` to `last`.

    Raises:
        ConfigError: no such stage, or the wrong order.
    """
    for name in (first, last):
        if name not in STAGES:
            raise ConfigError(f"stage {name!r} is unknown; there are {', '.join(STAGES)}")
    if STAGES.index(first) > STAGES.index(last):
        raise ConfigError(f"--from {first} comes after --to {last}")
    return STAGES[STAGES.index(first) : STAGES.index(last) + 1]


def code_version() -> str:
    """Version and hash of the package's source; the version alone where the source is not on disk."""
    root = Path(clickweave.__file__).parent
    content = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in (".py", ".j2", ".css"):
            content.update(path.read_bytes())
    return f"{clickweave.__version__}+{content.hexdigest()[:12]}"


def _stamp(source: FileSource) -> str:
    return digest([files.file_stamps(path) for path in raw_files(source.path)])


def _module(stage: str) -> ModuleType:
    return import_module(f"clickweave.stages.{stage}")


def _dump(value: object) -> object:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value


def _rows(rows: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in rows.items()) or "done"

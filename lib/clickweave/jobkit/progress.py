"""What a person sees while work runs, and the log that programs read."""

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import SparkSession
from rich.console import Console

from clickweave.store import files

POLL_S = 1.0
QUIET_S = 30.0  # without a terminal, one line about running Spark tasks at most this often


class Progress:
    """Lines for people on standard error: coloured on a terminal, plain elsewhere. Stage events as JSON lines."""

    def __init__(self, log_path: str) -> None:
        self._log_path = log_path
        terminal = sys.stderr.isatty()
        width = None if terminal else 10_000  # no wrapping in a log
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, width=width, no_color=not terminal)
        self._terminal = terminal
        self._stage = ""

    def say(self, text: str) -> None:
        """One line about the running stage."""
        stage = f"{self._stage:<8} " if self._stage else ""
        self._console.print(f"{stage}{text}", markup=False)

    def event(self, stage: str, event: str, **facts: Any) -> None:
        """One structured line: stage, event (start, done, skip, failed, progress), time and facts."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": now, "stage": stage, "event": event, **facts}, default=str)
        files.append_text(self._log_path, line + "\n")

    @contextmanager
    def stage(self, name: str, session: SparkSession | None) -> Iterator[None]:
        """Names the stage in each line, and shows its Spark tasks while it runs."""
        self._stage = name
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(done, session), daemon=True)
        if session is not None:
            watcher.start()
        try:
            yield
        finally:
            done.set()
            if session is not None:
                watcher.join()
            self._stage = ""

    def _watch(self, done: threading.Event, session: SparkSession) -> None:
        tracker = session.sparkContext.statusTracker()
        last_said = time.monotonic()
        status = self._console.status("") if self._terminal else None
        if status is not None:
            status.start()
        while not done.wait(POLL_S):
            infos = [tracker.getStageInfo(number) for number in tracker.getActiveStageIds()]
            finished = sum(info.numCompletedTasks for info in infos if info)
            total = sum(info.numTasks for info in infos if info)
            text = f"{self._stage}: Spark tasks {finished}/{total}" if total else self._stage
            if status is not None:
                status.update(text)
            elif total and time.monotonic() - last_said > QUIET_S:
                last_said = time.monotonic()
                self.say(f"Spark tasks {finished}/{total}")
        if status is not None:
            status.stop()

"""What every bench needs: a command run under a time cap with its memory watched, and figures as JSON."""

import json
import os
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from pyspark.sql import SparkSession

LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        value: None where there is none; `unit` then says why.
        ratio_to: for a ratio, the name of what stands under the line, else None.
    """

    name: str
    value: float | None
    unit: str
    ratio_to: str | None = None


@dataclass(frozen=True)
class Ended:
    """How a command ended. `problem` is empty where it did its work; peak_mib is the RSS of its process tree."""

    seconds: float
    peak_mib: float
    problem: str


class Stopwatch:
    """Around some work: `seconds` on the clock, and `cpu_s` that a process and those it has started were on a core."""

    def __init__(self, process: psutil.Process) -> None:
        self._process, self.seconds, self.cpu_s = process, 0.0, 0.0

    def __enter__(self) -> None:
        self._started = time.monotonic(), self._cpu_s()

    def __exit__(self, *_: object) -> None:
        clock_s, cpu_s = self._started
        self.seconds, self.cpu_s = time.monotonic() - clock_s, self._cpu_s() - cpu_s

    def _cpu_s(self) -> float:
        return sum(_cpu_s(process) for process in [self._process, *_children(self._process)])


def jvm_of(spark: SparkSession) -> psutil.Process:
    """The driver's JVM, which in local mode does all work that is not Python's."""
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    return psutil.Process(jvm.java.lang.ProcessHandle.current().pid())


def write_figures(path: Path | None, figures: Sequence[Figure]) -> None:
    """The list as JSON, if a path was asked for."""
    if path is not None:
        path.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")


def use_cores(count: int) -> None:
    """Ties this process and all that it starts to the first `count` of its cores, one thread of a library on each."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ[name] = str(count)


def run(command: Sequence[str | Path], *, log: Path, minutes: float) -> Ended:
    """Runs a command with its output in `log`; after `minutes` the whole process tree is killed."""
    started, peak = time.monotonic(), 0
    with log.open("w") as out:
        process = psutil.Popen([str(part) for part in command], stdout=out, stderr=subprocess.STDOUT)
        tree: dict[int, psutil.Process] = {}
        problem = ""
        while process.poll() is None:
            tree |= {child.pid: child for child in [process, *_children(process)]}
            peak = max(peak, sum(_rss(child) for child in tree.values()))
            if time.monotonic() - started > 60 * minutes:
                problem = f"did not end in {minutes:g} minutes"
                for child in tree.values():
                    _kill(child)
                process.wait()
                psutil.wait_procs(tree.values(), timeout=60)
                break
            time.sleep(LOOK_EVERY_S)
    if not problem and process.returncode:
        last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][-1:]
        problem = f"ended with code {process.returncode}: {''.join(last)[:160]} (all of it: {log})"
    return Ended(time.monotonic() - started, peak / 2**20, problem)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _cpu_s(process: psutil.Process) -> float:
    try:
        return float(sum(process.cpu_times()[:4]))  # its own, and that of children that have ended
    except psutil.NoSuchProcess:
        return 0.0


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()

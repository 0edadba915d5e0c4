"""Ranks on Spark executors: one task per rank, each with a child process that runs Horovod over Gloo."""

import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from clickweave.config.stages import TrainConfig
from clickweave.errors import ConfigError, TrainingError
from clickweave.launch.horovod_comm import rank_environment, require_horovod
from clickweave.launch.rank_main import train_rank
from clickweave.launch.watch import failure, one_line
from clickweave.training.job import TrainJob

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def run(job: TrainJob, config: TrainConfig, ranks: int, spark: "SparkSession | None") -> dict[str, Any]:
    """Trains on the session's executors, which must reach the job's folder; call it from the main thread."""
    require_horovod("horovod_spark")
    if spark is None:
        raise ConfigError("launcher horovod_spark needs a Spark session; set train.launcher=in_process")
    context = spark.sparkContext
    _check_session(context, ranks)
    local = str(context.master).startswith("local")
    with tempfile.TemporaryFile("w+") as log, _handlers_kept(), _thread_errors_hidden():
        try:
            results = _horovod_spark_run()(
                train_rank,
                args=(job.to_json(),),
                num_proc=ranks,
                start_timeout=max(1, round(config.start_timeout)),
                use_gloo=True,
                env={"PATH": os.environ.get("PATH", os.defpath), **rank_environment(config)},
                stdout=log,
                stderr=log,
                verbose=0,
                nics={"lo"} if local else None,
                executable=_python(context),
            )
        except Exception as error:
            if "Timed out waiting" in str(error):
                raise TrainingError(
                    f"{ranks} ranks did not start on {context.master} within {config.start_timeout:g} s; "
                    "lower train.ranks, free executors or raise train.start_timeout"
                ) from error
            raise failure(job.out_dir, ranks, one_line(error)) from error
    metrics: dict[str, Any] = results[0]
    return metrics


def _horovod_spark_run() -> Any:
    import horovod.spark

    return horovod.spark.run


def _check_session(context: Any, ranks: int) -> None:
    """Finds at once what would otherwise cost the whole start timeout, or start a rank twice."""
    slots = re.fullmatch(r"local(?:\[(\d+|\*)(?:,\s*\d+)?\])?", context.master)
    if slots:
        num_slots = (os.cpu_count() or 1) if slots[1] == "*" else int(slots[1] or 1)
        if num_slots < ranks:
            raise TrainingError(
                f"{ranks} ranks need {ranks} slots, {context.master} has {num_slots}; lower train.ranks"
            )
    if context.getConf().get("spark.speculation", "false").lower() == "true":
        raise ConfigError("spark.speculation=true would start ranks twice; set it to false in spark.conf")


def _python(context: Any) -> str:
    """The Python of the executors: the same as their workers'."""
    python = context.getConf().get("spark.pyspark.python") or os.environ.get("PYSPARK_PYTHON")
    return str(python or sys.executable)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Horovod puts its own handlers on SIGINT and SIGTERM and leaves them there; this puts the caller's back."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@contextmanager
def _thread_errors_hidden() -> Iterator[None]:
    """Horovod's own thread dies with a long trace when its job is cancelled; the failure is raised here anyway."""
    kept = threading.excepthook
    threading.excepthook = lambda error: None
    try:
        yield
    finally:
        threading.excepthook = kept

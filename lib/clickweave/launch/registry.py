"""Launchers by name. Each has `run(job, config, ranks, spark) -> metrics of rank 0`; all fail in the same way."""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from clickweave.config.stages import TrainConfig
from clickweave.config.variants import unknown_variant
from clickweave.errors import ConfigError
from clickweave.launch.watch import clear, following
from clickweave.training.job import TrainJob

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LAUNCHERS = {
    "horovod_spark": "clickweave.launch.horovod_spark",
    "horovod_run": "clickweave.launch.horovod_run",
    "in_process": "clickweave.launch.in_process",
}
MOST_RANKS = 8  # where the recipe names no number; more rarely pays for networks of this size


def launch(
    job: TrainJob,
    config: TrainConfig,
    ranks: int,
    on_progress: Callable[[dict[str, Any]], None],
    spark: "SparkSession | None" = None,
) -> dict[str, Any]:
    """Trains `job` with `ranks` ranks and returns rank 0's metrics; the bundle is then in <out_dir>/bundle.

    `on_progress` gets each epoch's figures (or a `note`) while the training runs, from another thread.

    Raises:
        ConfigError: the launcher is unknown, needs horovod or a session that is not there, or other ranks.
        TrainingError: a rank failed, stalled or never came; names the rank and says what it said.
    """
    if config.launcher not in LAUNCHERS:
        raise unknown_variant("train.launcher", config.launcher, tuple(LAUNCHERS))
    if ranks != job.plan.ranks:
        raise ConfigError(f"train: the plan is for {job.plan.ranks} ranks, the launch for {ranks}; plan again")
    clear(job.out_dir)
    with following(job.out_dir, on_progress):
        metrics: dict[str, Any] = import_module(LAUNCHERS[config.launcher]).run(job, config, ranks, spark)
    return metrics


def num_ranks(config: TrainConfig, slots: int) -> int:
    """The recipe's ranks, else one per slot of the cluster, at most MOST_RANKS; one in this process."""
    if config.ranks is not None:
        return config.ranks
    return 1 if config.launcher == "in_process" else max(1, min(slots, MOST_RANKS))

"""One rank in this process: needs no Horovod."""

from typing import Any

from clickweave.config.stages import TrainConfig
from clickweave.errors import ConfigError, TrainingError
from clickweave.launch.watch import failure, report_error
from clickweave.training.comms import NullComm
from clickweave.training.job import TrainJob, run_rank


def run(job: TrainJob, config: TrainConfig, ranks: int, spark: Any) -> dict[str, Any]:
    """Trains here and now; torch's thread count of this process becomes train.threads."""
    if ranks != 1:
        raise ConfigError(f"train.launcher in_process has one rank, got train.ranks={ranks}; set it to 1 or null")
    try:
        return run_rank(job, NullComm())
    except TrainingError:
        raise
    except Exception as error:
        report_error(job.out_dir, 0, error)
        raise failure(job.out_dir, 1, "") from error

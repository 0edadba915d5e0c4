"""What a Horovod rank executes: `python -m clickweave.launch.rank_main JOB.json`, or `train_rank` in a Spark task."""

import json
import os
import sys
from typing import Any

from clickweave.launch.horovod_comm import HorovodComm
from clickweave.launch.watch import report_error
from clickweave.store import files
from clickweave.training.job import TrainJob, run_rank


def train_rank(job_json: str) -> dict[str, Any]:
    """Runs this rank's part of the job; an error is left for the launcher before it is raised."""
    job = TrainJob.from_json(job_json)
    try:
        return run_rank(job, HorovodComm())
    except BaseException as error:
        report_error(job.out_dir, int(os.environ.get("HOROVOD_RANK", "0")), error)
        raise


def main() -> None:
    """Rank 0 leaves the metrics in <out_dir>/metrics.json."""
    job_json = files.read_bytes(sys.argv[1]).decode()
    metrics = train_rank(job_json)
    if os.environ.get("HOROVOD_RANK", "0") == "0":
        files.write_text(f"{TrainJob.from_json(job_json).out_dir}/metrics.json", json.dumps(metrics))


if __name__ == "__main__":
    main()

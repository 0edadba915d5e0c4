"""A rank whose first weight changes by itself on rank 1 before the ends are compared. Run by the drift test."""

import os

from clickweave.launch.rank_main import main
from clickweave.training import job

honest = job.train


def drift(run, *rest):
    """Trains, then shifts the best weights of rank 1."""
    honest(run, *rest)
    if os.environ["HOROVOD_RANK"] == "1":
        rest[1][0] += 1.0


job.train = drift
main()

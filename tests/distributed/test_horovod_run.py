"""Two real ranks on this host: the same law is learnt, and every kind of failure ends with a name."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from clickweave.errors import ConfigError, TrainingError
from clickweave.launch.horovod_run import run_ranks
from clickweave.launch.registry import launch
from clickweave.models.autoregressive.params import Params
from clickweave.store import files
from clickweave.training.bundle import load_bundle_files

pytestmark = pytest.mark.horovod
HERE = Path(__file__).parent
NUM_ROWS = 4000  # of the training shards in conftest.py
LOSS_TOLERANCE = 0.005  # relative; each step takes all rows and the generator has no noise, so only rounding differs


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))


def ignore(progress):
    """For launches whose progress nobody asks for."""


def num_rank_processes(marker):
    return sum(marker in " ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))


def test_two_ranks_reach_the_loss_of_one_at_the_same_global_batch(make):
    whole = {"batch_size": NUM_ROWS, "epochs": 40, "patience": 40, "learning_rate": 0.005}
    whole |= {"generator": "autoregressive", "model": Params(any_order=0.0, dropout=0.0)}
    alone = launch(*make("in_process", 1, **whole), 1, ignore)
    told = []
    together = launch(*make("horovod_run", 2, **whole), 2, told.append)
    assert together["ranks"] == 2
    for loss in ("train_loss", "validation_loss"):
        both = [[entry[loss] for entry in metrics["history"]] for metrics in (together, alone)]
        assert both[0] == pytest.approx(both[1], rel=LOSS_TOLERANCE)
        assert both[0][-1] < both[0][0] - 1.0
    assert [entry["epoch"] for entry in told] == list(range(1, 41))
    for entry in together["history"]:
        assert len(entry["rank_losses"]) == 2
        assert sum(entry["rank_losses"]) / 2 == pytest.approx(entry["train_loss"], rel=1e-5)
    assert [entry["train_loss"] for entry in told] == [entry["train_loss"] for entry in together["history"]]


def test_ranks_with_unequal_rows_finish_alike(make, shards, tmp_path):
    """The mixture of the vae is fitted by all ranks together, after the last step."""
    folder = tmp_path / "uneven"
    shutil.copytree(shards[1], folder)
    sorted((folder / "part=train").glob("*.parquet"))[0].unlink()
    told = launch(*make("horovod_run", 2, folder=folder, epochs=1), 2, ignore)
    assert told["ranks"] == 2


def test_ranks_that_drift_apart_are_found(make):
    job, config = make("horovod_run", 2, epochs=1)
    job_path = f"{job.out_dir}/job.json"
    files.write_text(job_path, job.to_json())
    with pytest.raises(TrainingError, match="rank 1 ended with other weights than rank 0"):
        run_ranks([sys.executable, str(HERE / "drifting_rank.py"), job_path], config, 2, job.out_dir)


def test_one_horovod_rank_gives_the_bits_of_in_process(make):
    job, config = make("in_process", 1, epochs=2)
    alone = launch(job, config, 1, ignore)
    other, config = make("horovod_run", 1, epochs=2)
    assert launch(other, config, 1, ignore)["weights_sha256"] == alone["weights_sha256"]
    assert load_bundle_files(f"{other.out_dir}/bundle") == load_bundle_files(f"{job.out_dir}/bundle")


def test_failing_rank_is_named_with_its_own_words(make, shards, tmp_path):
    shutil.copytree(shards[1], tmp_path / "shards")
    job, config = make("horovod_run", 2, folder=tmp_path / "shards")
    shard = Path(job.plan.train[1][0].file)
    data = bytearray(shard.read_bytes())
    data[60] ^= 0xFF
    shard.write_bytes(data)
    with pytest.raises(TrainingError, match=rf"rank 1 of 2 failed: .*{shard.name}.*encode again") as caught:
        launch(job, config, 2, ignore)
    assert "\n" not in str(caught.value)


def test_rank_that_never_comes_ends_the_run_within_the_stall_timeout(make):
    job, config = make("horovod_run", 2, stall_timeout="9s")
    job_path = f"{job.out_dir}/job.json"
    files.write_text(job_path, job.to_json())
    started = time.monotonic()
    with pytest.raises(TrainingError, match=r"rank 1 of 2 was killed or did not come within train.stall_timeout"):
        run_ranks([sys.executable, str(HERE / "absent_rank.py"), job_path], config, 2, job.out_dir)
    assert time.monotonic() - started < 45  # 9 s of stall, the check's own period, start and end of the ranks
    assert num_rank_processes(job_path) == 0


def test_killed_launch_leaves_no_rank_behind(make):
    job, config = make("horovod_run", 2, epochs=10_000, patience=10_000)
    timer = threading.Timer(12, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            launch(job, config, 2, ignore)
    finally:
        timer.cancel()
    assert files.exists(f"{job.out_dir}/progress/epoch-0001.json")
    deadline = time.monotonic() + 10
    while num_rank_processes(job.out_dir) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert num_rank_processes(job.out_dir) == 0


def test_hosts_without_enough_slots_are_refused_at_once(make):
    job, config = make("horovod_run", 2, hosts="localhost:1")
    with pytest.raises(ConfigError, match=r"has 1 slots for 2 ranks; lower train.ranks"):
        launch(job, config, 2, ignore)
    job, config = make("horovod_run", 2, hosts="localhost")
    with pytest.raises(ConfigError, match="host1:slots"):
        launch(job, config, 2, ignore)


def test_horovod_that_is_not_there_is_said_so():
    code = (
        "import importlib.util; importlib.util.find_spec = lambda name: None\n"
        "from clickweave.launch.horovod_comm import require_horovod; require_horovod('horovod_spark')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "launcher horovod_spark needs horovod; run scripts/build_horovod" in done.stderr

"""Ranks on this or several hosts, started by horovodrun: local ones directly, others by ssh."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from clickweave.config.stages import TrainConfig
from clickweave.errors import ConfigError
from clickweave.launch.horovod_comm import rank_environment, require_horovod
from clickweave.launch.watch import failure
from clickweave.store import files
from clickweave.training.job import TrainJob

LOCAL = ("localhost", "127.0.0.1")
GRACE_S = 10  # for horovodrun to end its ranks before it is killed; they then end by themselves


def run(job: TrainJob, config: TrainConfig, ranks: int, spark: Any) -> dict[str, Any]:
    """Trains on train.hosts; every host needs this Python environment and reaches the job's folder."""
    require_horovod("horovod_run")
    job_path = f"{job.out_dir}/job.json"
    files.write_text(job_path, job.to_json())
    command = [sys.executable, "-m", "clickweave.launch.rank_main", job_path]
    run_ranks(command, config, ranks, job.out_dir)
    metrics: dict[str, Any] = files.read_json(f"{job.out_dir}/metrics.json")
    return metrics


def run_ranks(command: Sequence[str], config: TrainConfig, ranks: int, out_dir: str) -> None:
    """Runs the command once per rank and waits. Whatever ends the wait, no rank is left behind.

    Raises:
        TrainingError: a rank ended with an error, or never came.
        ConfigError: the hosts have fewer slots than ranks.
    """
    hosts = config.hosts or f"localhost:{ranks}"
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*_horovodrun(hosts, config, ranks), *command],
            env={**os.environ, **rank_environment(config)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait()
        finally:
            _end(process)
        if code != 0:
            raise failure(out_dir, ranks, f"horovodrun ended with code {code}: {_last_line(log)}")


def _horovodrun(hosts: str, config: TrainConfig, ranks: int) -> list[str]:
    slots = _slots(hosts)
    if sum(slots.values()) < ranks:
        raise ConfigError(
            f"train.hosts {hosts!r} has {sum(slots.values())} slots for {ranks} ranks; lower train.ranks or add hosts"
        )
    local = ["--network-interfaces", "lo"] if set(slots) <= set(LOCAL) else []
    start_s = str(max(1, round(config.start_timeout)))
    start = [sys.executable, "-m", "horovod.runner.launch", "-np", str(ranks), "-H", hosts, "--gloo"]
    return [*start, "--start-timeout", start_s, "--gloo-timeout-seconds", start_s, *local]


def _slots(hosts: str) -> dict[str, int]:
    slots = {}
    for entry in hosts.split(","):
        name, _, count = entry.strip().partition(":")
        if not name or not count.isdigit():
            raise ConfigError(f"train.hosts {hosts!r} is not of the form host1:slots,host2:slots")
        slots[name] = int(count)
    return slots


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ends horovodrun and with it its ranks: asked first, then killed."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _last_line(log: Any) -> str:
    log.seek(0)
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:500] if lines else "no output"

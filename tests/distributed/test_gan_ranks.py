"""Two networks on two real ranks: the same schedule everywhere, so that nobody waits for a message that never comes."""

import pytest

from clickweave.launch.registry import launch
from clickweave.models.gan.params import Params
from clickweave.training.bundle import load_bundle_files, open_bundle

pytestmark = pytest.mark.horovod


def test_two_ranks_train_both_networks_without_hanging_or_drifting(make):
    told = []
    gan = {"generator": "gan", "model": Params(pac=4, critic_steps=2), "learning_rate": 0.004, "stall_timeout": "60s"}
    job, config = make("horovod_run", 2, epochs=5, **gan)
    assert job.plan.steps % 3 != 0  # epochs begin at other places of the schedule
    metrics = launch(job, config, 2, told.append)  # compares the bits of all networks on both ranks
    assert metrics["ranks"] == 2 and len(told) == 5
    assert {"train_loss_critic", "train_loss_generator", "nats", "columns", "pairs"} <= set(metrics["history"][0])
    assert metrics["history"][-1]["nats"] < metrics["history"][0]["nats"] - 0.2
    assert open_bundle(load_bundle_files(f"{job.out_dir}/bundle")).training["ranks"] == 2


def test_the_same_two_ranks_give_the_same_bits_again(make):
    gan = {"generator": "gan", "model": Params(pac=4), "epochs": 1}
    jobs = [make("horovod_run", 2, out=name, **gan) for name in ("a", "b")]
    bits = [launch(job, config, 2, print)["weights_sha256"] for job, config in jobs]
    assert bits[0] == bits[1]

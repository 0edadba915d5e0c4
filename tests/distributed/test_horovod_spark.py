"""Two real ranks in the tasks of a local session."""

import os
import signal
import sys

import pytest

from clickweave.errors import ConfigError, TrainingError
from clickweave.launch.registry import launch
from clickweave.training.bundle import load_bundle_files, open_bundle

pytestmark = pytest.mark.horovod


@pytest.fixture(scope="module")
def session():
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    made = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
    yield made
    made.stop()


def test_two_ranks_train_on_executors_and_leave_a_bundle(session, make, capfd):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    told = []
    job, config = make("horovod_spark", 2)
    metrics = launch(job, config, 2, told.append, session)
    assert metrics["ranks"] == 2
    assert metrics["validation_loss"] < 2.5  # independent columns cannot go below 3.5: three times log 4, minus 0.6
    assert len(told) == 6
    assert open_bundle(load_bundle_files(f"{job.out_dir}/bundle")).training["ranks"] == 2
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert "[0]<" not in capfd.readouterr().out  # horovod's marks before ranks' output


def test_failing_rank_is_named_and_the_session_stays_usable(session, make):
    job, config = make("horovod_spark", 2, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"rank \d of 2 failed: train: .* not finite at epoch 1"):
        launch(job, config, 2, print, session)
    assert session.range(10).count() == 10


def test_more_ranks_than_slots_are_refused_at_once(session, make):
    job, config = make("horovod_spark", 3)
    with pytest.raises(TrainingError, match=r"3 ranks need 3 slots, local\[2(,4)?\] has 2; lower train.ranks"):
        launch(job, config, 3, print, session)


def test_launch_without_a_session_is_refused(make):
    job, config = make("horovod_spark", 2)
    with pytest.raises(ConfigError, match="needs a Spark session"):
        launch(job, config, 2, print, None)

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clickweave import errors
from clickweave.jobkit.failures import translate

IN_A_TASK = """An error occurred while calling o99.parquet.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 3.0 failed 4 times
org.apache.spark.api.python.PythonException: Traceback (most recent call last):
  File "worker.py", line 5, in process
clickweave.errors.{kind}: encode: column 'x' of the codec is missing; has ['y']

\tat org.apache.spark.api.python.BasePythonRunner$ReaderIterator.handlePythonException
"""


@pytest.mark.parametrize("kind", ["ContractError", "BundleError", "TrainingError", "PublishError", "ConfigError"])
def test_our_error_inside_a_spark_task_keeps_its_kind_and_message(kind):
    found = translate(RuntimeError(IN_A_TASK.format(kind=kind)))
    assert type(found) is getattr(errors, kind)
    assert str(found) == "encode: column 'x' of the codec is missing; has ['y']"


def test_our_own_error_stays_the_same_object():
    error = errors.GateFailed("red")
    assert translate(error) is error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("Job aborted\njava.io.IOException: No space left on device\n\tat x"), 6),
        (OSError(errno.ENOSPC, "No space left on device"), 6),
        (RuntimeError("[TASK_WRITE_FAILED] Task failed while writing rows"), 6),
        (PermissionError(13, "Permission denied"), 6),
        (RuntimeError("x\n[FAILED_READ_FILE.NO_HINT] Encountered error while reading file a.parquet\nat y"), 3),
        (RuntimeError("could not verify page integrity, CRC checksum verification failed"), 3),
        (KeyboardInterrupt(), 130),
        (ValueError("some\nthing"), 1),
        (RuntimeError(""), 1),
    ],
)
def test_every_failure_has_an_exit_code_and_one_line(error, code):
    found = translate(error)
    assert found.exit_code == code
    assert str(found)
    assert "\n" not in str(found)


def test_an_unknown_failure_says_its_kind_and_how_to_see_more():
    said = str(translate(ZeroDivisionError("division by zero")))
    assert "ZeroDivisionError: division by zero" in said
    assert "--debug" in said


def test_exit_codes_are_the_documented_ones():
    kinds = (errors.ConfigError, errors.ContractError, errors.BundleError, errors.TrainingError, errors.GateFailed)
    assert [kind.exit_code for kind in (*kinds, errors.PublishError)] == [2, 3, 3, 4, 5, 6]


def test_a_reader_who_has_stopped_is_no_unexpected_error():
    read, write = os.pipe()
    os.close(read)
    program = Path(sys.executable).parent / "clickweave"
    done = subprocess.run(
        [program, "describe", "--defaults"], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")

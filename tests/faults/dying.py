"""The command line in a process that kills itself at a chosen point: dying.py POINT CLICKWEAVE-ARGUMENTS."""

import os
import signal
import sys
from importlib import import_module

from clickweave.sampling import blocks


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_before(module, name, call=1):
    """The process dies when the function is called for the `call`-th time."""
    home = import_module(module)
    real, calls = getattr(home, name), []

    def dying(*args, **kwargs):
        calls.append(name)
        if len(calls) == call:
            die()
        return real(*args, **kwargs)

    setattr(home, name, dying)


def kill_after(module, name, call=1):
    """The process dies when the function returns for the `call`-th time."""
    home = import_module(module)
    real, calls = getattr(home, name), []

    def dying(*args, **kwargs):
        result = real(*args, **kwargs)
        calls.append(name)
        if len(calls) == call:
            die()
        return result

    setattr(home, name, dying)


class DyingGenerate(blocks._Generate):
    """Its first worker dies as one that the system killed for its memory."""

    def __call__(self, batches):
        try:
            os.close(os.open(os.environ["DYING_MARK"], os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            yield from super().__call__(batches)
        else:
            os._exit(137)


POINTS = {
    "publish: within tables": lambda: kill_before("clickweave.stages.publish", "write_table", 2),
    "publish: before pointer": lambda: kill_before("clickweave.stages.publish", "publish_version"),
    "publish: after pointer": lambda: kill_after("clickweave.stages.publish", "publish_version"),
    "mix: after tables": lambda: kill_after("clickweave.stages.context", "write_table"),
    "train: after epoch 2": lambda: kill_after("clickweave.training.job", "_after_epoch", 2),
    "sample: a worker": lambda: setattr(blocks, "_Generate", DyingGenerate),
}

if __name__ == "__main__":
    import dying  # by this name, so that Python workers can import what they unpickle

    dying.POINTS[sys.argv[1]]()
    from clickweave.jobkit.cli import app

    app(sys.argv[2:])

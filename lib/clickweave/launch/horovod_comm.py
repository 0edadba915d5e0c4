"""The ranks' Comm over Horovod."""

import importlib.util
from typing import Any

import torch

from clickweave.config.stages import TrainConfig
from clickweave.errors import ConfigError


class HorovodComm:
    """Starts Horovod in this process. Names are prefixed by the caller, so collectives never collide."""

    def __init__(self) -> None:
        import horovod.torch as hvd

        hvd.init()
        self._hvd = hvd
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()

    def allreduce_mean_(self, flat: torch.Tensor, name: str) -> None:
        self._hvd.allreduce_(flat, op=self._hvd.Average, name=name)

    def broadcast_(self, flat: torch.Tensor, name: str) -> None:
        self._hvd.broadcast_(flat, root_rank=0, name=name)

    def allgather_obj(self, value: Any, name: str) -> list[Any]:
        return list(self._hvd.allgather_object(value, name=name))

    def broadcast_obj(self, value: Any, name: str) -> Any:
        return self._hvd.broadcast_object(value, root_rank=0, name=name)

    def barrier(self) -> None:
        self._hvd.barrier()


def require_horovod(launcher: str) -> None:
    """Checks that horovod can be imported, before anything is started.

    Raises:
        ConfigError: it is not installed.
    """
    if importlib.util.find_spec("horovod") is None:
        raise ConfigError(
            f"launcher {launcher} needs horovod; run scripts/build_horovod or set train.launcher=in_process"
        )


def rank_environment(config: TrainConfig) -> dict[str, str]:
    """What Horovod and torch read from a rank's environment; times in whole seconds.

    A rank that the others wait for is named in the log after a third of the stall timeout and ends the run after it.
    """
    stall_s = max(2, round(config.stall_timeout))
    return {
        "HOROVOD_STALL_CHECK_TIME_SECONDS": str(max(1, min(60, stall_s // 3))),
        "HOROVOD_STALL_SHUTDOWN_TIME_SECONDS": str(stall_s),
        "HOROVOD_GLOO_TIMEOUT_SECONDS": str(max(1, round(config.start_timeout))),
        "OMP_NUM_THREADS": str(config.threads),
    }

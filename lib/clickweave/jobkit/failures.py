"""From any exception to the error, and so the exit code, that a user sees."""

import errno
import re

from clickweave.errors import ClickweaveError, ContractError, PublishError

_OURS = re.compile(r"clickweave\.errors\.(\w+): (.*)")
_UNREADABLE = ("FAILED_READ_FILE", "CANNOT_READ_FILE", "could not verify page integrity", "PARQUET_COLUMN_DATA_TYPE")
_STORAGE = ("No space left on device", "TASK_WRITE_FAILED", "Read-only file system", "Permission denied")


class Interrupted(ClickweaveError):
    """The user stopped the run."""

    exit_code = 130


def translate(error: BaseException) -> ClickweaveError:
    """The error itself if it is ours; else the one of ours that says best what Spark or the system reported."""
    if isinstance(error, ClickweaveError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("stopped; what was published before is untouched, a rerun resumes at the stopped stage")
    text = str(error)
    ours = _OURS.search(text)
    if ours is not None:  # raised in a Spark task
        found = _by_name().get(ours[1], ContractError)
        return found(ours[2])
    if any(sign in text for sign in _STORAGE) or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
        return PublishError(f"storage: {_line(text, _STORAGE)}")
    if any(sign in text for sign in _UNREADABLE):
        return ContractError(f"ingest: a file is unreadable: {_line(text, _UNREADABLE)}")
    first = text.splitlines()[0] if text else ""
    return ClickweaveError(
        f"unexpected {type(error).__name__}: {first[:300]}; run again with --debug for the stack trace"
    )


def _line(text: str, signs: tuple[str, ...]) -> str:
    return next(line.strip() for line in text.splitlines() if any(sign in line for sign in signs))[:300]


def _by_name() -> dict[str, type[ClickweaveError]]:
    found, todo = {}, [ClickweaveError]
    while todo:
        kind = todo.pop()
        found[kind.__name__] = kind
        todo += kind.__subclasses__()
    return found

"""From any exception to the error, and so the exit code, that a user sees."""

import errno
import re

from clickweave.errors import ClickweaveError, ContractError, PublishError

_OURS = re.compile(r"clickweave\.errors\.(\w+): (.*)")
_UNREADABLE = ("FAILED_READ_FILE", "CANNOT_READ_FILE", "could not verify page integrity", "PARQUET_COLUMN_DATA_TYPE")
_STORAGE = (
    "No space left on device",
    "Read-only file system",
    "Permission denied",
    "TASK_WRITE_FAILED",
)  # plainest first
_WRITING = re.compile(r"while writing rows to (?:file:)?(\S+?)\.?(?:\s|$)")
_JAVA_CLASS = re.compile(r"^(?:Caused by)?[:\s]*[\w.$]+(?:Exception|Error): ")


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
        place = _WRITING.search(text)
        where = f"cannot write {place[1]}: " if place else ""
        return PublishError(f"storage: {where}{_line(text, _STORAGE)}; a rerun resumes at this stage")
    if any(sign in text for sign in _UNREADABLE):
        return ContractError(f"ingest: a file is unreadable: {_line(text, _UNREADABLE)}")
    first = text.splitlines()[0] if text else ""
    return ClickweaveError(
        f"unexpected {type(error).__name__}: {first[:300]}; run again with --debug for the stack trace"
    )


def _line(text: str, signs: tuple[str, ...]) -> str:
    """The line with the first sign that stands in the text, without the name of the Java class."""
    lines = [line.strip() for sign in signs for line in text.splitlines() if sign in line]
    return _JAVA_CLASS.sub("", lines[0] if lines else text)[:300]


def _by_name() -> dict[str, type[ClickweaveError]]:
    found, todo = {}, [ClickweaveError]
    while todo:
        kind = todo.pop()
        found[kind.__name__] = kind
        todo += kind.__subclasses__()
    return found

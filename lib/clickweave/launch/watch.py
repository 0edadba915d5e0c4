"""What ranks leave in the job's folder while they run, seen from the launcher: progress, and errors by rank."""

import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from clickweave.errors import ContractError, TrainingError
from clickweave.store import files

POLL_S = 0.5  # an epoch takes longer than this wherever it matters


def clear(out_dir: str) -> None:
    """Forgets what an earlier launch said; checkpoints stay."""
    for name in ("errors", "progress"):
        files.delete_dir(f"{out_dir}/{name}")


@contextmanager
def following(out_dir: str, on_progress: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Hands each new progress file to `on_progress`, from a thread of its own; the last ones before it ends."""
    done = threading.Event()
    seen: set[str] = set()

    def hand_over() -> None:
        for path in files.list_files(f"{out_dir}/progress", ".json"):
            if path not in seen:
                seen.add(path)
                on_progress(files.read_json(path))

    def poll() -> None:
        while not done.wait(POLL_S):
            hand_over()

    thread = threading.Thread(target=poll, name="training-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        hand_over()


def report_error(out_dir: str, rank: int, error: BaseException) -> None:
    """Leaves a rank's error for the launcher. An error that only says that another rank went is marked so."""
    told = {
        "rank": rank,
        "type": type(error).__name__,
        "message": one_line(error),
        "echo": type(error).__name__ == "HorovodInternalError",
        "time": time.time(),
        "trace": traceback.format_exc(),
    }
    files.write_text(f"{out_dir}/errors/rank-{rank}.json", json.dumps(told, indent=2))


def failure(out_dir: str, ranks: int, last_words: str) -> TrainingError:
    """The error of a launch that failed: the first rank that failed by itself, else the ranks that went missing.

    `last_words` is what the launcher itself knows, for where no rank left an error.
    """
    told = sorted(_errors(out_dir), key=lambda error: (error["echo"], error["time"]))
    if told and not told[0]["echo"]:
        first = told[0]
        kind = "" if first["type"].endswith("Error") and "train:" in first["message"] else f"{first['type']}: "
        return TrainingError(f"rank {first['rank']} of {ranks} failed: {kind}{first['message']}")
    silent = sorted(set(range(ranks)) - {error["rank"] for error in told})
    if told and silent:
        names = ", ".join(map(str, silent))
        return TrainingError(
            f"rank {names} of {ranks} was killed or did not come within train.stall_timeout; "
            f"rank {told[0]['rank']} says: {told[0]['message']}"
        )
    said = told[0]["message"] if told else last_words
    return TrainingError(f"training with {ranks} ranks ended early: {said}; check memory and network of its hosts")


def one_line(error: BaseException) -> str:
    """An error's text without line breaks, at most 500 characters."""
    return " ".join(str(error).split())[:500] or type(error).__name__


def _errors(out_dir: str) -> list[dict[str, Any]]:
    found = []
    for path in files.list_files(f"{out_dir}/errors", ".json"):
        try:
            found.append(files.read_json(path))
        except ContractError:
            continue  # a rank killed while it wrote; the others tell
    return found

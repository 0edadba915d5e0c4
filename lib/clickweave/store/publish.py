"""Dataset versions that appear whole (law 12).

    published/data/<run key>/<attempt>/...      everything of one version, written first
    published/versions/000001.json              which attempt version 1 is; created exclusively, as the last step

The current version is the file with the highest number. A killed publish leaves data that no version names.
"""

import json
from dataclasses import asdict, dataclass

from clickweave.errors import ContractError, PublishError
from clickweave.store import files
from clickweave.store.workspace import Workspace

_DATA, _VERSIONS = "published/data", "published/versions"
MAX_TRIES = 100


@dataclass(frozen=True)
class Version:
    """One published version: its number, the run that made it, and its folder relative to the workspace."""

    number: int
    dataset: str
    run_key: str
    path: str


def current_version(workspace: Workspace) -> Version | None:
    """The newest version, or None.

    Raises:
        ContractError: its pointer is damaged.
    """
    found = files.list_files(workspace.path(_VERSIONS), ".json")
    if not found:
        return None
    return _read_pointer(found[-1])


def version_of(workspace: Workspace, run_key: str) -> Version | None:
    """The version that a run published, or None."""
    for path in reversed(files.list_files(workspace.path(_VERSIONS), ".json")):
        version = _read_pointer(path)
        if version.run_key == run_key:
            return version
    return None


def publish_version(workspace: Workspace, *, dataset: str, run_key: str, path: str) -> Version:
    """Makes the finished folder `path` the newest version, by one atomic step; concurrent publishers get numbers.

    Raises:
        PublishError: the storage refuses, or other writers won every number that was tried.
    """
    newest = current_version(workspace)
    first = newest.number + 1 if newest else 1
    for number in range(first, first + MAX_TRIES):
        version = Version(number, dataset, run_key, path)
        pointer = workspace.path(f"{_VERSIONS}/{number:06d}.json")
        if files.create_exclusive(pointer, json.dumps(asdict(version), indent=2, sort_keys=True).encode()):
            return version
    raise PublishError(f"publish: {MAX_TRIES} version numbers from {first} on were taken by other writers; try again")


def _read_pointer(path: str) -> Version:
    try:
        return Version(**files.read_json(path))
    except TypeError as error:
        raise ContractError(f"storage: {path} is not a version pointer: {error}") from error


def data_folder(run_key: str, attempt: str) -> str:
    """Where one try of a run puts its version, relative to the workspace."""
    return f"{_DATA}/{run_key}/{attempt}"

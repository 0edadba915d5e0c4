"""Dataset versions that appear whole (law 12).

    published/data/<run key>/<attempt>/...      everything of one version, written first
    published/versions/000001.json              which attempt version 1 is; created exclusively, as the last step

The current version is the file with the highest number. A killed publish leaves data that no version names. A version
by days names for each day the folder with its events; folders of days that a run left alone lie in older attempts.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from clickweave.contracts.days import PublishedDay, SourceDay
from clickweave.errors import ContractError, PublishError
from clickweave.store import files
from clickweave.store.workspace import Workspace

_DATA, _VERSIONS = "published/data", "published/versions"
MAX_TRIES = 100


@dataclass(frozen=True)
class Version:
    """One published version: its number, the run that made it, and its folder relative to the workspace.

    Attributes:
        path: holds items, users and papers, and in a version that was published whole also `events`.
        days: of a version by days each day that it holds; None in a whole one.
    """

    number: int
    dataset: str
    run_key: str
    path: str
    days: Mapping[str, PublishedDay] | None = None


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


def event_folders(workspace: Workspace, version: Version) -> list[str]:
    """Full paths of the folders whose union are the events of a version, by day where it has days. One way for all
    readers.
    """
    if version.days is None:
        return [workspace.path(f"{version.path}/events")]
    return [workspace.path(day.folder) for _, day in sorted(version.days.items()) if day.folder is not None]


def publish_version(workspace: Workspace, *, dataset: str, run_key: str, path: str) -> Version:
    """Makes the finished folder `path` the newest version, by one atomic step; concurrent publishers get numbers.

    Raises:
        PublishError: the storage refuses, or other writers won every number that was tried.
    """
    newest = current_version(workspace)
    first = newest.number + 1 if newest else 1
    for number in range(first, first + MAX_TRIES):
        version = Version(number, dataset, run_key, path)
        if _created(workspace, version):
            return version
    raise PublishError(f"publish: {MAX_TRIES} version numbers from {first} on were taken by other writers; try again")


def publish_days(
    workspace: Workspace,
    *,
    dataset: str,
    run_key: str,
    days: Mapping[str, PublishedDay],
    split: tuple[Version, Mapping[str, PublishedDay]] | None = None,
    prepare: Callable[[Version | None, Mapping[str, PublishedDay], int], str],
) -> Version:
    """Makes the newest version a version with these days in place of what it had of them, by one atomic step.

    A publisher that others outran looks again: the days that they published stay.

    Args:
        days: whose events lie in their folders already.
        split: a version that was published whole, and what was made of its other days; they count as long as no version
            by days stands above it.
        prepare: (the newest version, its days, the new number) -> a finished folder with items, users and papers of the
            new version, relative to the workspace; called for each try.

    Raises:
        PublishError: the storage refuses, a whole version came in between, or others won every number that was tried.
    """
    for _ in range(MAX_TRIES):
        newest = current_version(workspace)
        below: Mapping[str, PublishedDay] = {}
        if newest is not None and newest.days is not None:
            below = newest.days
        elif newest is not None:
            if split is None or newest != split[0]:
                raise PublishError(
                    f"publish: version {newest.number} was published whole while this run wrote its days; run publish "
                    "again"
                )
            below = split[1]
        number = newest.number + 1 if newest is not None else 1
        path = prepare(newest, below, number)
        version = Version(number, dataset, run_key, path, {**below, **days})
        if _created(workspace, version):
            return version
    raise PublishError(f"publish: {MAX_TRIES} versions of other writers came first; try again")


def data_folder(run_key: str, attempt: str) -> str:
    """Where one try of a run puts its version, relative to the workspace."""
    return f"{_DATA}/{run_key}/{attempt}"


def _created(workspace: Workspace, version: Version) -> bool:
    """Whether the version got its number; False if another writer has it."""
    pointer = workspace.path(f"{_VERSIONS}/{version.number:06d}.json")
    return files.create_exclusive(pointer, json.dumps(asdict(version), indent=2, sort_keys=True).encode())


def _read_pointer(path: str) -> Version:
    try:
        raw: dict[str, Any] = dict(files.read_json(path))
        days = raw.pop("days", None)
        return Version(**raw, days=None if days is None else {day: _read_day(record) for day, record in days.items()})
    except (TypeError, ValueError, AttributeError) as error:
        raise ContractError(f"storage: {path} is not a version pointer: {error}") from error


def _read_day(record: dict[str, Any]) -> PublishedDay:
    source = record.get("source")
    return PublishedDay(**{**record, "source": None if source is None else SourceDay(**source)})

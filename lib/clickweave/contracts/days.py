"""Days of a log: what the source holds of each, what a run processes, what a version lists. Days are UTC dates as text,
`2026-11-01`, so that their order is that of time.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class SourceDay:
    """What the source holds of one day: equal values mean equal rows, in any order and any files.

    Attributes:
        rows: None where the stamps of the day's files stand for its content, since nothing was read.
        content: order-free hash of the rows, or digest of the stamps.
    """

    rows: int | None
    content: str


NO_ROWS = SourceDay(0, "")


@dataclass(frozen=True)
class RunDays:
    """The days that a run processes.

    Attributes:
        asked: first and last day that were asked for.
        found: what the source holds of each processed day; asked ones and reopened ones, sorted.
        reopened: those of them that were not asked for, but changed since they were published.
    """

    asked: tuple[str, str]
    found: Mapping[str, SourceDay]
    reopened: tuple[str, ...] = ()


@dataclass(frozen=True)
class PublishedDay:
    """One day of a version.

    Attributes:
        folder: where its events lie, relative to the workspace; None if it has none.
        run_key: the run that made it.
        shareable: whether its rows are generated ones alone.
        source_path: of the log that it was made from; like `source` None where the day was split off a whole version.
        source: what that log held of it.
    """

    folder: str | None
    rows: int
    run_key: str
    shareable: bool
    source_path: str | None
    source: SourceDay | None

"""Which days a run processes: those that were asked for, and those that changed since they were published."""

from collections.abc import Callable, Collection, Sequence
from datetime import date, timedelta

from pyspark.sql import SparkSession

from clickweave.config.load import Recipe
from clickweave.contracts.days import NO_ROWS, PublishedDay, RunDays, SourceDay
from clickweave.contracts.manifest import digest
from clickweave.frames.contract import check_columns
from clickweave.frames.days import fit_source_days
from clickweave.store import files
from clickweave.store.publish import current_version
from clickweave.store.tables import day_folders, raw_files, read_raw, source_format, source_type
from clickweave.store.workspace import Workspace

_CACHE = "source_days.json"
MAX_NAMED = 5  # days in one line


def plan_days(
    asked: Sequence[date],
    recipe: Recipe,
    workspace: Workspace,
    session: Callable[[], SparkSession],
    say: Callable[[str], None],
) -> RunDays:
    """The days of a run, with what the source holds of each. Starts Spark only where no folders tell the days apart and
    the source's files changed since they were counted last.

    A day that the last run with the same question reopened stays, so that the same command again finds its work done.
    """
    held = _source_days(recipe, workspace, session, say)
    ends = (asked[0].isoformat(), asked[-1].isoformat())
    days = {day.isoformat() for day in asked}
    version = current_version(workspace)
    others = {} if version is None or version.days is None else {d: r for d, r in version.days.items() if d not in days}
    known = {day: record for day, record in others.items() if record.source_path == recipe.source.events.path}
    changed = {day: record for day, record in known.items() if day in held and _differs(record, held[day])}
    earliest = (asked[0] - timedelta(days=recipe.ingest.reopen_days)).isoformat()
    reopened = {day for day in changed if earliest <= day < ends[0]}
    for day in sorted(reopened):
        say(f"{day} is reopened: {_difference(changed[day], held[day])}")
    _name(say, changed.keys() - reopened, f"changed, but {{}} not in the {recipe.ingest.reopen_days} days before")
    _name(say, {day for day in known if day not in held and known[day].rows}, "{} no longer in the source")
    reopened |= _reopened_before(workspace, ends) & held.keys()
    return RunDays(ends, {day: held.get(day, NO_ROWS) for day in sorted(days | reopened)}, tuple(sorted(reopened)))


def _differs(record: PublishedDay, now: SourceDay) -> bool:
    """Whether a published day's source holds something else now; stamps and counts tell nothing about each other."""
    then = record.source
    if then is None or then == now:
        return False
    return then == NO_ROWS or (then.rows is None) == (now.rows is None)


def _name(say: Callable[[str], None], days: Collection[str], what: str) -> None:
    """One line about days that stay as they are published, however many."""
    if days:
        first = ", ".join(sorted(days)[:MAX_NAMED])
        more = f" and {len(days) - MAX_NAMED:,} more" if len(days) > MAX_NAMED else ""
        say(f"{first}{more} {what.format('is' if len(days) == 1 else 'are')}: left as published")


def _difference(record: PublishedDay, now: SourceDay) -> str:
    assert record.source is not None
    if now.rows is None or record.source.rows is None:
        return "its files changed since it was published"
    more = now.rows - record.source.rows
    if more == 0:
        return "as many rows as published, but others"
    return f"{abs(more):,} {'more' if more > 0 else 'fewer'} rows than published"


def _reopened_before(workspace: Workspace, ends: tuple[str, str]) -> set[str]:
    """Days that the last finished ingest reopened, if it was asked for the same ones."""
    done = workspace.manifest("ingest")
    told = {} if done is None else done.metrics.get("days", {})
    return set(told["reopened"]) if told and tuple(told["asked"]) == ends else set()


def _source_days(
    recipe: Recipe, workspace: Workspace, session: Callable[[], SparkSession], say: Callable[[str], None]
) -> dict[str, SourceDay]:
    """Each day of the source: by the stamps of its folders' files, else by one pass over the rows."""
    source = recipe.source.events
    folders = day_folders(source, source.partition)
    if folders is not None:
        stamped = {day: [files.file_stamps(folder) for folder in found] for day, found in folders.items()}
        return {day: SourceDay(None, digest(stamps)) for day, stamps in stamped.items()}
    path = workspace.path(_CACHE)
    key = _cache_key(recipe)
    cached = files.read_json(path) if key is not None and files.exists(path) else {}
    if cached.get("key") != key or key is None:
        say("counting the rows of each day in the source")
        raw = read_raw(session(), source, "events")
        no_attributes = {"items", "users"}  # they are not read here
        check_columns(source_type(raw), recipe.log, source.path, given=no_attributes)
        bounds = {"earliest": recipe.ingest.earliest, "latest": recipe.ingest.latest}
        found = fit_source_days(raw, recipe.log, source.partition, **bounds)
        cached = {"key": key, "days": {day: [one.rows, one.content] for day, one in sorted(found.items())}}
        files.write_json(path, cached)
    return {day: SourceDay(rows, content) for day, (rows, content) in cached["days"].items()}


def _cache_key(recipe: Recipe) -> str | None:
    """What the counts of days depend on; None for a table of the catalog, which has no stamps."""
    source = recipe.source.events
    if source_format(source, "events") == "table":
        return None
    stamps = [(path, files.file_stamps(path)) for path in raw_files(source.path)]
    time = None if recipe.log.event_time is None else recipe.log.event_time.model_dump()
    return digest([stamps, source.model_dump(), time, recipe.ingest.earliest, recipe.ingest.latest])

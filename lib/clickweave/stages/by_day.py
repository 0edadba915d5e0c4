"""Publishing by days: the days of this run replace those of the newest version, all others are carried over."""

from collections.abc import Mapping
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.contracts.days import PublishedDay, RunDays, SourceDay
from clickweave.contracts.tables import REAL
from clickweave.errors import ContractError, PublishError
from clickweave.frames.days import DATE, day_of_event
from clickweave.stages.context import StageResult, StageRun
from clickweave.stages.dataset import SIDES, is_shareable, side_tables, write_papers
from clickweave.store import files
from clickweave.store.publish import Version, current_version, data_folder, publish_days
from clickweave.store.sorted_files import write_by_day, write_sorted
from clickweave.store.tables import count_rows, file_schema, read_table, source_type

OUTSIDE = ""  # in place of a day


def publish_by_day(run: StageRun, days: RunDays, report: dict[str, Any]) -> StageResult:
    """Writes this run's days and names a version in which they replace what it had of them."""
    newest = current_version(run.workspace)
    if newest is not None and _holds(newest, days, run.key):
        run.progress(f"version {newest.number} holds these days already")
        return _result(newest, run.key, outside=0)
    folder = data_folder(run.key, run.attempt.rpartition("/")[2])
    mixed = _with_day(run, run.read("mix", "mixed"), tuple(days.found))
    rows = _rows_of_days(mixed)
    outside = _outside(run, rows.pop(OUTSIDE, {}))
    made = _write_days(run, f"{folder}/events", mixed, {day: sum(origins.values()) for day, origins in rows.items()})
    mine = {day: _record(run, found, *made.get(day, (None, 0))) for day, found in days.found.items()}
    split = None if newest is None or newest.days is not None else (newest, _split(run, newest, folder, days))

    def prepare(below: Version | None, stay: Mapping[str, PublishedDay], number: int) -> str:
        _check_columns(run, mine, {name: day for name, day in stay.items() if name not in mine})
        return _write_beside(run, f"{folder}/v{number:06d}", below, {**stay, **mine}, report)

    version = publish_days(
        run.workspace, dataset=run.recipe.dataset, run_key=run.key, days=mine, split=split, prepare=prepare
    )
    run.progress(f"version {version.number} with {len(mine)} new of {len(version.days or ())} days")
    return _result(version, run.key, outside=outside)


def _record(run: StageRun, found: SourceDay, folder: str | None, rows: int) -> PublishedDay:
    return PublishedDay(folder, rows, run.key, is_shareable(run), run.recipe.source.events.path, found)


def _holds(version: Version, days: RunDays, run_key: str) -> bool:
    published = version.days or {}
    return all(day in published and published[day].run_key == run_key for day in days.found)


def _result(version: Version, run_key: str, *, outside: int) -> StageResult:
    days = version.days or {}
    new = [day for day in days.values() if day.run_key == run_key]
    rows = {"published": sum(day.rows for day in days.values()), "new": sum(day.rows for day in new)}
    return StageResult(rows | {"outside_days": outside}, metrics={"version": version.number})


def _with_day(run: StageRun, events: DataFrame, days: tuple[str, ...]) -> DataFrame:
    partition = run.recipe.source.events.partition
    return events.withColumn(DATE, day_of_event(source_type(events), days, run.recipe.log, partition))


def _rows_of_days(events: DataFrame) -> dict[str, dict[str, int]]:
    """Day (OUTSIDE: none) -> origin -> rows; one aggregate of a row per day and origin."""
    rows: dict[str, dict[str, int]] = {}
    for row in events.groupBy(DATE, "origin").agg(F.count(F.lit(1)).alias("rows")).collect():
        rows.setdefault(row[DATE] or OUTSIDE, {})[row["origin"]] = row["rows"]
    return rows


def _outside(run: StageRun, origins: dict[str, int]) -> int:
    """Rows outside the days of this run: shifted copies, and generated ones in the gap between a reopened day and the
    days that were asked for. They are left out, since other runs answer for those days.

    Raises:
        ContractError: real rows lie there.
    """
    if origins.get(REAL):
        raise ContractError(f"publish: {origins[REAL]} real rows lie outside the days of this run; run ingest again")
    if origins:
        run.progress(f"left out {sum(origins.values()):,} rows that we made outside the days of this run")
    return sum(origins.values())


def _write_days(run: StageRun, folder: str, events: DataFrame, rows: dict[str, int]) -> dict[str, tuple[str, int]]:
    """Writes the days into `folder` and returns folder and rows of each.

    Raises:
        PublishError: what lies there is not that.
    """
    path = run.workspace.path(folder)
    write_by_day(events, path, day=DATE, key="row_id", rows=rows)
    found = {day: count_rows(f"{path}/{DATE}={day}") for day in rows}
    if found != rows:
        raise PublishError(f"publish: {found} rows per day were written, {rows} were mixed; nothing was published")
    return {day: (f"{folder}/{DATE}={day}", count) for day, count in rows.items()}


def _split(run: StageRun, whole: Version, folder: str, days: RunDays) -> dict[str, PublishedDay]:
    """The other days of a version that was published whole, written by day once, so that they can be carried over.

    Raises:
        PublishError: rows of it have no time.
    """
    events = read_table(run.spark, run.workspace.path(f"{whole.path}/events"))
    partition = run.recipe.source.events.partition
    dated = events.withColumn(DATE, day_of_event(source_type(events), None, run.recipe.log, partition))
    rows = {day: sum(origins.values()) for day, origins in _rows_of_days(dated).items()}
    if OUTSIDE in rows:
        raise PublishError(
            f"publish: {rows[OUTSIDE]} rows of version {whole.number}, which was published whole, have no event_time, "
            "so its days cannot be carried over; publish days into another workspace"
        )
    others = {day: count for day, count in rows.items() if day not in days.found}
    run.progress(f"version {whole.number} was published whole; carries {len(others)} of its days over as files by day")
    made = _write_days(run, f"{folder}/split", dated, others)
    return {
        day: PublishedDay(place, count, whole.run_key, shareable=False, source_path=None, source=None)
        for day, (place, count) in made.items()
    }


def _check_columns(run: StageRun, mine: Mapping[str, PublishedDay], carried: Mapping[str, PublishedDay]) -> None:
    """Whether the events of this run have the columns of those that are carried over. One day stands for all, since
    each was checked when it came.

    Raises:
        PublishError: they have not.
    """
    folders = [[day.folder for day in days.values() if day.folder is not None] for days in (mine, carried)]
    if not all(folders):
        return
    new, old = (file_schema(run.workspace.path(found[0])) for found in folders)
    if new != old:
        differing = [f"{field.name}: {field.type}" for field in new if field not in list(old)]
        differing += [f"no {name}" for name in old.names if name not in new.names] or ["another order"]
        raise PublishError(
            f"publish: columns of events differ from those of the other days in {folders[1][0]}: {differing[0][:200]}; "
            "publish into another workspace, or process those days again with this recipe"
        )


def _write_beside(
    run: StageRun, folder: str, below: Version | None, days: Mapping[str, PublishedDay], report: dict[str, Any]
) -> str:
    """Items and users of this run and, where they have none of the key, of the version below; and the papers.

    A shareable version holds no users but those of its days' events: the version below may have had real ones.
    """
    shareable, tables = all(day.shareable for day in days.values()), {}
    for name, table in side_tables(run).items():
        key, path = SIDES[name], run.workspace.path(f"{folder}/{name}")
        union = table if below is None else _with_others(run, table, f"{below.path}/{name}", key)
        if shareable and below is not None and name == "users":
            union = union.join(_users_of(run, days), key, "left_semi")
        write_sorted(union, path, key=key, rows=union.count())
        tables[name] = {"rows": count_rows(path), "files": files.file_stamps(path)}
    rows = {name: day.rows for name, day in sorted(days.items())}
    tables["events"] = {"rows": sum(rows.values())}
    write_papers(run, folder, report, tables, shareable=shareable, days=rows)
    return folder


def _users_of(run: StageRun, days: Mapping[str, PublishedDay]) -> DataFrame:
    """user_id of all events of these days."""
    folders = [run.workspace.path(day.folder) for day in days.values() if day.folder is not None]
    tables = [read_table(run.spark, folder).select("user_id") for folder in folders]
    return reduce(DataFrame.unionByName, tables).distinct() if tables else run.read("align", "users").limit(0)


def _with_others(run: StageRun, mine: DataFrame, folder: str, key: str) -> DataFrame:
    """The rows of this run and those of another version with other keys; a column that one lacks is null there.

    Raises:
        PublishError: a column has another type there.
    """
    theirs = read_table(run.spark, run.workspace.path(folder))
    for field in mine.schema:
        if field.name in theirs.columns and theirs.schema[field.name].dataType != field.dataType:
            raise PublishError(
                f"publish: column {field.name!r} is {field.dataType.simpleString()[:80]}, but "
                f"{theirs.schema[field.name].dataType.simpleString()[:80]} in {folder}; publish into another workspace"
            )
    others = theirs.join(mine.select(key), key, "left_anti")
    return mine.unionByName(others, allowMissingColumns=True)

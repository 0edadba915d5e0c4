"""publish: mixed + report -> dataset version. Refuses if a blocking row of the report is red."""

from typing import Any

from clickweave.errors import GateFailed, PublishError
from clickweave.evaluation.gates import blocking_failures
from clickweave.stages.by_day import publish_by_day
from clickweave.stages.context import StageResult, StageRun
from clickweave.stages.dataset import READS, is_shareable, side_tables, write_papers
from clickweave.store import files
from clickweave.store.publish import Version, current_version, data_folder, publish_version, version_of
from clickweave.store.tables import count_rows, write_table

INPUTS = READS
SECTIONS = ("dataset", "terms", "publish")


def run(run: StageRun) -> StageResult:
    """Writes events, items, users, manifest, data card and report; then names them the newest version, in one step."""
    report_folder = run.workspace.output("evaluate", "report")
    report = files.read_json(f"{report_folder}/report.json")
    failures = blocking_failures(report)
    if failures:
        raise GateFailed(f"publish: refused, {'; '.join(failures)}; see {report_folder}/report.html")
    if run.days is not None:
        return publish_by_day(run, run.days, report)
    version = _publish_whole(run, report)
    run.progress(f"version {version.number} in {run.workspace.path(version.path)}")
    return StageResult(
        {"published": count_rows(run.workspace.path(f"{version.path}/events"))}, metrics={"version": version.number}
    )


def _publish_whole(run: StageRun, report: dict[str, Any]) -> Version:
    """The version of this run, which is the newest one: as it was published before, or written now."""
    version, newest = version_of(run.workspace, run.key), current_version(run.workspace)
    if version is not None and version == newest:
        return version
    if newest is not None and newest.days is not None:
        run.progress(f"replaces version {newest.number} by days, and all of its {len(newest.days)} days")
    folder = version.path if version is not None else data_folder(run.key, run.attempt.rpartition("/")[2])
    if version is None:  # else another run published since; this one's data lies there already
        rows = _write_tables(run, folder)
        place = run.workspace.path(folder)
        tables = {name: {"rows": count, "files": files.file_stamps(f"{place}/{name}")} for name, count in rows.items()}
        write_papers(run, folder, report, tables, shareable=is_shareable(run))
    return publish_version(run.workspace, dataset=run.recipe.dataset, run_key=run.key, path=folder)


def _write_tables(run: StageRun, folder: str) -> dict[str, int]:
    """Copies mixed, items and users into the version's folder, and checks the counts.

    Raises:
        PublishError: what lies there is not what was mixed.
    """
    tables = {"events": run.read("mix", "mixed")} | side_tables(run)
    for name, table in tables.items():
        write_table(table, run.workspace.path(f"{folder}/{name}"))
    rows = {name: count_rows(run.workspace.path(f"{folder}/{name}")) for name in tables}
    wanted = run.manifest("mix").outputs["mixed"].rows
    if rows["events"] != wanted:
        raise PublishError(f"publish: {rows['events']} rows were written, {wanted} were mixed; nothing was published")
    return rows

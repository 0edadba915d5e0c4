"""publish: mixed + report -> dataset version. Refuses if a blocking row of the report is red."""

import json
from typing import Any

from clickweave.errors import GateFailed, PublishError
from clickweave.evaluation.card import data_card
from clickweave.evaluation.gates import blocking_failures
from clickweave.evaluation.render import render_html
from clickweave.evaluation.shareable import without_fitted, without_single_rows
from clickweave.stages.context import StageResult, StageRun
from clickweave.store import files
from clickweave.store.publish import current_version, data_folder, publish_version, version_of
from clickweave.store.tables import count_rows, write_table

INPUTS = ("ingest", "augment", "align", "mix", "evaluate")
SECTIONS = ("dataset", "terms", "publish")


def run(run: StageRun) -> StageResult:
    """Writes events, items, users, manifest, data card and report; then names them the newest version, in one step."""
    report_folder = run.workspace.output("evaluate", "report")
    report = files.read_json(f"{report_folder}/report.json")
    failures = blocking_failures(report)
    if failures:
        raise GateFailed(f"publish: refused, {'; '.join(failures)}; see {report_folder}/report.html")
    version = version_of(run.workspace, run.key)
    if version is None:
        folder = data_folder(run.key, run.attempt.rpartition("/")[2])
        rows = _write_tables(run, folder)
        _write_papers(run, folder, report, rows)
        version = publish_version(run.workspace, dataset=run.recipe.dataset, run_key=run.key, path=folder)
    elif version != current_version(run.workspace):  # another run published since; this one's data lies there already
        version = publish_version(run.workspace, dataset=run.recipe.dataset, run_key=run.key, path=version.path)
    run.progress(f"version {version.number} in {run.workspace.path(version.path)}")
    return StageResult(
        {"published": count_rows(run.workspace.path(f"{version.path}/events"))}, metrics={"version": version.number}
    )


def _write_tables(run: StageRun, folder: str) -> dict[str, int]:
    """Copies mixed, items and users into the version's folder, and checks the counts. Beside a shareable mix lie no
    users but its own.

    Raises:
        PublishError: what lies there is not what was mixed.
    """
    mixed, new_users = run.read("mix", "mixed"), run.read("align", "users")
    if run.manifest("mix").metrics.get("shareable"):  # attributes of nobody but the generated users in it
        users = new_users.join(mixed.select("user_id").distinct(), "user_id", "left_semi")
    else:
        users = run.read("ingest", "users").unionByName(new_users)
    tables = {"events": mixed, "items": run.read("ingest", "items"), "users": users}
    for name, table in tables.items():
        write_table(table, run.workspace.path(f"{folder}/{name}"))
    rows = {name: count_rows(run.workspace.path(f"{folder}/{name}")) for name in tables}
    wanted = run.manifest("mix").outputs["mixed"].rows
    if rows["events"] != wanted:
        raise PublishError(f"publish: {rows['events']} rows were written, {wanted} were mixed; nothing was published")
    return rows


def _write_papers(run: StageRun, folder: str, report: dict[str, Any], rows: dict[str, int]) -> None:
    """Manifest, data card and report; beside a shareable mix without anything that tells of single real rows."""
    mix = run.manifest("mix")
    manifests = {stage: json.loads(run.manifest(stage).to_json()) for stage in INPUTS}
    shareable = bool(mix.metrics.get("shareable"))
    if shareable:
        manifests = {stage: without_fitted(manifest) for stage, manifest in manifests.items()}
        report = without_single_rows(report, min_users=run.recipe.encode.min_users)
    place = run.workspace.path(folder)
    tables = {name: {"rows": count, "files": files.file_stamps(f"{place}/{name}")} for name, count in rows.items()}
    about = {"dataset": run.recipe.dataset, "run_key": run.key, "tables": tables, "stages": manifests}
    files.write_text(f"{place}/manifest.json", json.dumps(about, indent=2, sort_keys=True))
    files.write_text(f"{place}/DATA_CARD.md", data_card(run.recipe, mix.rows, report, shareable=shareable))
    files.write_json(f"{place}/report.json", report)
    files.write_text(f"{place}/report.html", render_html(report))

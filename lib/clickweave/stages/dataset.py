"""What lies in a version beside its events: items, users and papers."""

import json
from typing import Any

from pyspark.sql import DataFrame

from clickweave.contracts.tables import IS_WHAT_IF
from clickweave.evaluation.card import about_days, data_card
from clickweave.evaluation.page.render import render_html
from clickweave.evaluation.shareable import without_fitted, without_single_rows
from clickweave.stages.context import StageRun
from clickweave.store import files

READS = ("ingest", "augment", "sample", "align", "mix", "evaluate")
SIDES = {"items": "item_id", "users": "user_id"}


def is_shareable(run: StageRun) -> bool:
    """Whether the mix holds generated rows alone."""
    return bool(run.manifest("mix").metrics.get("shareable"))


def side_tables(run: StageRun) -> dict[str, DataFrame]:
    """Items and users of this run's mix. Beside a shareable mix lie no users but its own."""
    users = run.read("align", "users")
    if is_shareable(run):  # attributes of nobody but the generated users in it
        users = users.join(run.read("mix", "mixed").select("user_id").distinct(), "user_id", "left_semi")
    else:
        users = run.read("ingest", "users").unionByName(users)
    return {"items": run.read_items(), "users": users}


def write_papers(
    run: StageRun,
    folder: str,
    report: dict[str, Any],
    tables: dict[str, Any],
    *,
    shareable: bool,
    days: dict[str, int] | None = None,
) -> None:
    """Manifest, data card and report of a version; beside a shareable one without what tells of single real rows.

    Args:
        tables: what the manifest says of each table.
        shareable: whether the whole version is.
        days: of a version by days, the rows of each day.
    """
    manifests = {stage: json.loads(run.manifest(stage).to_json()) for stage in READS}
    if shareable:
        manifests = {stage: without_fitted(manifest) for stage, manifest in manifests.items()}
        report = without_single_rows(report, min_users=run.recipe.encode.min_users)
    place = run.workspace.path(folder)
    about = {"dataset": run.recipe.dataset, "run_key": run.key, "tables": tables, "stages": manifests}
    about |= {} if days is None else {"days": days}
    files.write_text(f"{place}/manifest.json", json.dumps(about, indent=2, sort_keys=True))
    told = "" if days is None or run.days is None else about_days(days, run.days.found)
    new = run.manifest("sample").outputs.get(IS_WHAT_IF)
    num_new = 0 if new is None else new.rows
    card = data_card(run.recipe, run.manifest("mix").rows, report, shareable=shareable, about=told, what_if=num_new)
    files.write_text(f"{place}/DATA_CARD.md", card)
    files.write_json(f"{place}/report.json", report)
    files.write_text(f"{place}/report.html", render_html(report))

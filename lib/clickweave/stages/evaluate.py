"""evaluate: everything, and for the first time the holdout -> report.json and report.html."""

from typing import Any

from clickweave.contracts.tables import FUTURE, HOLDOUT, REFERENCE, TRAIN
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.evaluation.page.render import render_html
from clickweave.evaluation.report import build_report
from clickweave.stages.context import StageResult, StageRun
from clickweave.store import files
from clickweave.training.bundle import TRAINING

INPUTS = ("ingest", "augment", "encode", "train", "sample", "align", "mix")
_SETTINGS = ("ingest", "split", "augment", "encode", "train", "sample", "align", "mix", "evaluate")
SECTIONS = ("evaluate", "log", "dataset", "terms")


def run(run: StageRun) -> StageResult:
    """Judges the result against the holdout and writes the report, as numbers and as a page."""
    users = run.read("ingest", "users").unionByName(run.read("align", "users"))
    inputs = EvaluationInputs(
        train=run.read_part(TRAIN),
        holdout=run.read_part(HOLDOUT),
        synthetic=run.read("align", "synthetic"),
        mixed=run.read("mix", "mixed"),
        items=run.read_items(),
        users=users,
        schema=run.recipe.log,
        config=run.recipe.evaluate,
        training=files.read_json(f"{run.workspace.output('train', 'bundle')}/{TRAINING}"),
        run=_facts(run),
        future=run.read_part(FUTURE) if run.recipe.split.test_share else None,
        manifests={stage: run.manifest(stage) for stage in INPUTS},
        reference=run.read_part(REFERENCE),
    )
    with run.checkpoints():
        report = build_report(inputs, run.progress)
    folder = run.file("report")
    files.write_json(f"{folder}/report.json", report)
    files.write_text(f"{folder}/report.html", render_html(report))
    run.progress(report["verdict"]["sentence"])
    grades = {f"{row['id']} {row['name']}": row["grade"] for row in report["rows"]}
    return StageResult({"train": run.rows_of_part(TRAIN), "holdout": run.rows_of_part(HOLDOUT)}, metrics=grades)


def _facts(run: StageRun) -> dict[str, Any]:
    """What the report says about the run itself; no wall clock of this stage, so that equal runs give equal pages."""
    stages = []
    for stage in INPUTS:
        manifest = run.manifest(stage)
        rows_out = [output.rows for output in manifest.outputs.values() if output.rows >= 0]
        fact = {"stage": stage, "seconds": manifest.seconds, "rows_in": next(iter(manifest.rows.values()), None)}
        stages.append(fact | {"rows_out": rows_out[0] if rows_out else None})
    recipe = run.recipe
    return {
        "dataset": recipe.dataset,
        "run_id": run.key,
        "generator": recipe.train.generator,
        "seed": recipe.sample.seed,
        "terms": recipe.terms,
        "stages": stages,
        "settings": {name: getattr(recipe, name).model_dump(mode="json") for name in _SETTINGS},
    }

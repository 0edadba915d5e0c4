"""sample: bundle -> raw synthetic rows, generated inside Spark tasks."""

from clickweave.contracts.tables import TRAIN
from clickweave.sampling.blocks import sample_rows
from clickweave.stages.context import StageResult, StageRun
from clickweave.training.bundle import load_bundle_files, open_bundle

INPUTS = ("ingest", "train")
SECTIONS = ("sample",)


def run(run: StageRun) -> StageResult:
    """Generates as many rows as the recipe asks for."""
    config = run.recipe.sample
    wanted = config.entities
    num_rows = wanted if isinstance(wanted, int) else round(wanted * run.rows_of_part(TRAIN))
    content = load_bundle_files(run.workspace.output("train", "bundle"))
    run.progress(f"{num_rows:,} rows in blocks of {config.block_rows:,}")
    run.write("raw", sample_rows(run.spark, content, open_bundle(content).codec, num_rows, config))
    return StageResult({"wanted": num_rows, "sampled": run.outputs["raw"].rows})

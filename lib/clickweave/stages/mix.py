"""mix: real + augmented + synthetic -> mixed, with provenance; real rows stay byte-identical."""

from clickweave.contracts.tables import REAL, REFERENCE, TRAIN, event_columns
from clickweave.errors import ContractError
from clickweave.frames.mix.join import content_hash, join_sources
from clickweave.frames.mix.registry import strategy
from clickweave.stages.context import StageResult, StageRun

INPUTS = ("ingest", "augment", "align")
SECTIONS = ("mix", "log")


def run(run: StageRun) -> StageResult:
    """Writes `mixed`: all real rows outside the holdout, all augmented ones, and the strategy's synthetic ones."""
    config = run.recipe.mix
    real = run.read_part(TRAIN).unionByName(run.read_part(REFERENCE))
    num_real = run.rows_of_part(TRAIN) + run.rows_of_part(REFERENCE)
    num_synthetic = run.manifest("align").rows["synthetic"]
    chosen = strategy(config.strategy).choose(
        run.read("align", "synthetic"), config.how, num_real=num_real, num_synthetic=num_synthetic, seed=config.seed
    )
    columns = event_columns(tuple(run.recipe.log.event_features))
    mixed = run.write("mixed", join_sources([real, run.read("augment", "augmented"), chosen], columns))
    before, after = content_hash(real), content_hash(mixed.where(mixed["origin"] == REAL))
    if before != after:
        raise ContractError(
            f"mix: real rows changed on the way: {before} before, {after} in mixed; do not use this mix"
        )
    counts = {row["origin"]: row["count"] for row in mixed.groupBy("origin").count().collect()}
    return StageResult({"in": num_real, "synthetic": num_synthetic} | counts, fitted={"real": before})

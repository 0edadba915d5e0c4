"""sample: bundle -> raw synthetic rows, generated inside Spark tasks."""

from clickweave.codec.spec import ENTITY
from clickweave.contracts.tables import TRAIN
from clickweave.sampling.blocks import sample_blocks
from clickweave.sampling.smaller import for_sampling
from clickweave.stages.context import StageResult, StageRun
from clickweave.training.bundle import load_bundle_files, open_bundle

INPUTS = ("ingest", "encode", "train")
SECTIONS = ("sample",)


def run(run: StageRun) -> StageResult:
    """Generates as many rows, or histories, as the recipe asks for."""
    config = run.recipe.sample
    content = load_bundle_files(run.workspace.output("train", "bundle"))
    codec = open_bundle(content).codec
    real = codec.num_entities if codec.grain == ENTITY else run.rows_of_part(TRAIN)
    wanted = config.entities if isinstance(config.entities, int) else round(config.entities * real)
    run.progress(f"{wanted:,} {'histories' if codec.grain == ENTITY else 'rows'}")
    sent, cost = for_sampling(content, config, run.workspace.output("encode", "shards"))
    if cost:
        run.progress("validation loss {validation_loss:.4f}, as sent {validation_loss_sent:.4f}".format_map(cost))
    run.write("raw", sample_blocks(run.spark, sent, codec, wanted, config))
    return StageResult({"wanted": wanted, "sampled": run.outputs["raw"].rows}, metrics=cost)

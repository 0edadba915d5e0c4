"""sample: bundle -> raw synthetic rows, generated inside Spark tasks."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.codec.spec import ENTITY
from clickweave.contracts.tables import TRAIN
from clickweave.frames.align.continued import CONTINUES
from clickweave.sampling.blocks import num_blocks_of, sample_blocks
from clickweave.sampling.continuation import continued_blocks
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
    num_continued = min(round(config.continue_share * wanted), real)
    num_new = round(config.pool * (wanted - num_continued))
    raw = sample_blocks(run.spark, sent, codec, num_new, config)
    counts = {"wanted": wanted} | ({"pool": num_new} if config.pool > 1 else {})
    if num_continued:
        first_block = num_blocks_of(codec, num_new, config)
        further = continued_blocks(_real_histories(run), sent, codec, num_continued, first_block, config)
        raw, counts = raw.unionByName(further, allowMissingColumns=True), counts | {"continued": num_continued}
    run.write("raw", raw)
    return StageResult(counts | {"sampled": run.outputs["raw"].rows}, metrics=cost)


def _real_histories(run: StageRun) -> DataFrame:
    """The token shards of entities that have an id, and the id as `continues`; one join by entity."""
    key = "user_id" if run.recipe.log.user is not None else "session_id"
    known = run.read_part(TRAIN).where(F.col(key).isNotNull()).select("entity_id", F.col(key).alias(CONTINUES))
    return run.read("encode", "shards").join(known.distinct(), "entity_id")

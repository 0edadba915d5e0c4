"""sample: bundle -> raw synthetic rows, generated inside Spark tasks."""

from dataclasses import replace
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.codec.spec import ENTITY, CodecSpec
from clickweave.config.targets import ColdItems, Items, SparseUsers, WhatIf
from clickweave.contracts.tables import IS_WHAT_IF, TRAIN
from clickweave.errors import ContractError
from clickweave.frames.align.continued import CONTINUES
from clickweave.frames.align.rows import TARGET
from clickweave.frames.augment.neighbours import similar_items
from clickweave.sampling.blocks import num_blocks_of, sample_blocks
from clickweave.sampling.continuation import continued_blocks
from clickweave.sampling.smaller import for_sampling
from clickweave.sampling.targets.blocks import TRIED, TRIES, Request, targeted_events, targeted_rows
from clickweave.sampling.targets.draws import AS_ITEM
from clickweave.sampling.targets.plan import Known, planned
from clickweave.stages.context import StageResult, StageRun
from clickweave.stages.older_bundle import draws_for_one, num_real, of_other_days
from clickweave.stages.what_if import new_items
from clickweave.training.bundle import load_bundle_files, open_bundle

INPUTS = ("ingest", "encode", "train")
SECTIONS = ("sample",)


def run(run: StageRun) -> StageResult:
    """Generates as many rows, or histories, as the recipe asks for, and what its targets want beside them."""
    config = run.recipe.sample
    content = load_bundle_files(run.workspace.output("train", "bundle"))
    codec = open_bundle(content).codec
    real = num_real(run, codec)
    wanted = config.entities if isinstance(config.entities, int) else round(config.entities * real)
    run.progress(f"{wanted:,} {'histories' if codec.grain == ENTITY else 'rows'}")
    sent, cost = for_sampling(content, config, run.workspace.output("encode", "shards"))
    if cost:
        run.progress("validation loss {validation_loss:.4f}, as sent {validation_loss_sent:.4f}".format_map(cost))
    num_continued = min(round(config.continue_share * wanted), real)
    num_new = round(config.pool * (wanted - num_continued) * draws_for_one(run, codec))
    parts = [sample_blocks(run.spark, sent, codec, num_new, config)]
    counts = {"wanted": wanted} | ({"pool": num_new} if config.pool > 1 else {})
    block = num_blocks_of(codec, num_new, config)
    if num_continued:
        coded = _real_histories(run)
        known = coded.select("entity_id").distinct().count() if of_other_days(run, codec) else codec.num_entities
        parts.append(continued_blocks(coded, sent, codec, num_continued, block, config, of=max(1, known)))
        counts["continued"] = num_continued
        block += num_blocks_of(codec, num_continued, config)
    targeted, asked = _targeted(run, sent, codec, block)
    together = reduce(lambda one, other: one.unionByName(other, allowMissingColumns=True), [*parts, *targeted])
    raw = run.write("raw", _as_asked(together))
    told = {"targets": _told(run, raw, asked)} if asked else {}
    return StageResult(counts | {"sampled": run.outputs["raw"].rows}, metrics=cost | told)


def _targeted(
    run: StageRun, bundle: dict[str, bytes], codec: CodecSpec, block: int
) -> tuple[list[DataFrame], list[dict[str, Any]]]:
    """The rows that each target asks for, and what is asked (of sparse users: users); plans are written as tables."""
    config = run.recipe.sample
    parts: list[DataFrame] = []
    told: list[dict[str, Any]] = []
    known = _known(run, codec) if config.targets else None
    for number, target in enumerate(config.targets):
        assert known is not None
        if isinstance(target, SparseUsers):
            coded, own = _real_histories(run), config.model_copy(update={"continue_events": target.events})
            sparse = (
                coded.groupBy("entity_id").agg(F.count(F.lit(1)).alias("real")).where(F.col("real") <= target.floor)
            )
            told.append(_asked(sparse.withColumn("asked", F.lit(1))))
            few, num = coded.join(sparse, "entity_id", "left_semi"), told[-1]["asked"]
            part = continued_blocks(few, bundle, codec, num, block, own, of=max(1, num))
        else:
            plan = planned(target, known, number)
            rows = run.write(f"plan_{number}", plan.rows)
            told.append(_asked(rows))
            num = told[-1]["asked"]
            request = Request(replace(plan, rows=rows), codec, config, num, block, f"target {number}")
            if codec.grain == ENTITY:
                part = targeted_events(request, _real_histories(run), bundle)
            else:
                part = targeted_rows(request, known.shards, bundle)
        parts.append(part.withColumn(TARGET, F.lit(number)))
        block += num_blocks_of(codec, num, config)
    return parts, told


def _asked(plan: DataFrame) -> dict[str, int]:
    """Of a plan (`real` and `asked` by value): what is asked in all, for how many values, and their real events."""
    real = [how("real").alias(name) for name, how in (("real", F.sum), ("real_least", F.min), ("real_most", F.max))]
    row = plan.agg(F.sum("asked").alias("asked"), F.count(F.lit(1)).alias("values"), *real).collect()[0]
    return {name: int(value or 0) for name, value in row.asDict().items()}


def _known(run: StageRun, codec: CodecSpec) -> Known:
    """What plans are made from; new items are written as IS_WHAT_IF, similar items once, where a target needs them."""
    train, items, new, near = run.read_part(TRAIN), run.read("ingest", "items"), new_items(run), None
    if new is not None:
        new = run.write(IS_WHAT_IF, new)
    if any(isinstance(target, ColdItems | Items | WhatIf) for target in run.recipe.sample.targets):
        all_items = items if new is None else items.unionByName(new.select(*items.columns))
        near = run.write("neighbours", similar_items(train, all_items, run.recipe.log))
    return Known(train, items, near, run.read("encode", "shards"), codec, run.recipe.log, new)


def _as_asked(raw: DataFrame) -> DataFrame:
    """Raw rows in which those that were drawn in the place of another item are that item's."""
    if AS_ITEM not in raw.columns:
        return raw
    return raw.withColumn("item_id", F.coalesce(AS_ITEM, "item_id")).drop(AS_ITEM)


def _told(run: StageRun, raw: DataFrame, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By target what was asked and from which real counts, drawn and accepted.

    Raises:
        ContractError: nothing that was drawn meets a target.
    """
    tried = F.sum(TRIED) if TRIED in raw.columns else F.lit(None)
    counts = (
        raw.where(F.col(TARGET).isNotNull()).groupBy(TARGET).agg(F.count(F.lit(1)).alias("rows"), tried.alias("tried"))
    )
    found, told = {row[TARGET]: row for row in counts.collect()}, []
    for number, (target, plan) in enumerate(zip(run.recipe.sample.targets, asked, strict=True)):
        num = plan["asked"]
        rows, tries = (found[number]["rows"], found[number]["tried"]) if number in found else (0, None)
        if rows == 0 and num > 0:
            raise ContractError(f"sample.targets[{number}]: {target.name}: none of {TRIES} draws each meets it")
        drawn = rows if tries is None else tries + TRIES * (num - rows)
        told.append({"name": target.name, **plan, "drawn": drawn, "accepted": rows})
        run.progress(f"target {target.name}: asked {num:,}, accepted {rows:,}")
    return told


def _real_histories(run: StageRun) -> DataFrame:
    """The token shards of entities that have an id, and the id as `continues`; one join by entity."""
    key = "user_id" if run.recipe.log.user is not None else "session_id"
    known = run.read_part(TRAIN).where(F.col(key).isNotNull()).select("entity_id", F.col(key).alias(CONTINUES))
    return run.read("encode", "shards").join(known.distinct(), "entity_id")

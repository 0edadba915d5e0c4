"""mix: real + augmented + synthetic -> mixed, with provenance; real rows stay byte-identical."""

from dataclasses import asdict, replace
from typing import Any

from pydantic import BaseModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.config.stages import EvaluateConfig
from clickweave.contracts.tables import BLENDED, GENERATED, REAL, REFERENCE, TRAIN
from clickweave.errors import ContractError
from clickweave.evaluation import ratio
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.frames.mix.join import check_row_ids, check_same_columns, hash_by_origin
from clickweave.frames.mix.registry import Strategy, strategy
from clickweave.frames.mix.sources import AUTO, MixSources, RatioParams
from clickweave.stages.context import StageResult, StageRun

INPUTS = ("ingest", "augment", "sample", "align")
SECTIONS = ("mix", "log")
_NOTHING = {"rows": 0, "xor": 0, "sum": 0}


def run(run: StageRun) -> StageResult:
    """Writes `mixed`: what the strategy makes of all real rows outside the holdout, augmented and synthetic ones."""
    config, log = run.recipe.mix, run.recipe.log
    assert config.how is not None
    chosen, sources = strategy(config.strategy), _sources(run)
    check_same_columns(sources.real, sources.augmented, "augmented", log)
    check_same_columns(sources.real, sources.synthetic, "synthetic", log)
    params, tried = _with_ratio(run, chosen, config.how, sources)
    fitted = chosen.fit(sources, params, log)
    mixed = run.write("mixed", chosen.apply(sources, fitted, params, log, config.seed))
    check_row_ids(mixed)
    found: dict[str, Any] = {} if fitted is None else {config.strategy: asdict(fitted)}
    hashes = hash_by_origin(mixed)
    if chosen.KEEPS_REAL:
        found["real"] = _check_real(sources.real, hashes)
    counts = {origin: each["rows"] for origin, each in hashes.items()}
    rows = {"in": sources.num_real, "synthetic": sources.num_synthetic} | counts
    asked = {"asked": config.how.synthetic_per_real} if isinstance(config.how, RatioParams) else {}
    told = {"strategy": config.strategy, "shareable": not chosen.KEEPS_REAL}
    return StageResult(rows, found, told | asked | tried)


def _sources(run: StageRun) -> MixSources:
    return MixSources(
        real=run.read_part(TRAIN).unionByName(run.read_part(REFERENCE)),
        augmented=run.read("augment", "augmented"),
        synthetic=run.read("align", "synthetic"),
        items=None if run.recipe.log.item is None else run.read_items(),
        num_real=run.rows_of_part(TRAIN) + run.rows_of_part(REFERENCE),
        num_synthetic=run.manifest("align").rows["synthetic"],
        run_id=run.key,
    )


def _check_real(real: DataFrame, mixed: dict[str, dict[str, int]]) -> dict[str, int]:
    """Count and hash of the real rows, which are those of the mix.

    Raises:
        ContractError: they are not.
    """
    before, after = (each.get(REAL, _NOTHING) for each in (hash_by_origin(real), mixed))
    if before != after:
        raise ContractError(
            f"mix: real rows changed on the way: {before} before, {after} in mixed; do not use this mix"
        )
    return before


def _with_ratio(
    run: StageRun, chosen: Strategy, params: BaseModel, sources: MixSources
) -> tuple[BaseModel, dict[str, Any]]:
    """The parameters with a number in place of `auto`, and for the manifest what was tried: rows that would be added to
    train alone, since reference judges them.
    """
    if getattr(params, "synthetic_per_real", None) != AUTO:
        return params, {}
    log, num_train = run.recipe.log, run.rows_of_part(TRAIN)
    sources = replace(sources, real=run.read_part(TRAIN), num_real=num_train)
    most = params.model_copy(update={"synthetic_per_real": max(ratio.RATIOS)})
    whole = chosen.apply(sources, chosen.fit(sources, most, log), most, log, run.recipe.mix.seed)
    added = whole.where(F.col("origin").isin(GENERATED, BLENDED))
    num_added = added.count() if sources.num_synthetic else 0
    inputs = EvaluationInputs(
        train=sources.real,
        holdout=run.read_part(REFERENCE),
        synthetic=added.limit(0),
        mixed=added,
        items=sources.items,
        users=run.read("ingest", "users").unionByName(run.read("align", "users")),
        schema=log,
        config=EvaluateConfig(sample_rows=ratio.SAMPLE_ROWS, seed=run.recipe.mix.seed),
    )
    found = ratio.choose_ratio(inputs, num_train=num_train, num_added=num_added)
    run.progress(f"synthetic_per_real: {found.ratio:g}, {found.reason}")
    update = {"synthetic_per_real": found.ratio}
    return params.model_copy(update=update), {"ratio": ratio.as_metrics(found, params.model_dump()["metric"])}

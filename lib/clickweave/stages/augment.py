"""augment: real/train -> augmented. Operators run on real/train side by side, those of a chain in order."""

from collections.abc import Sequence
from dataclasses import asdict, is_dataclass, replace
from typing import Any

from pydantic import BaseModel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.config.log import LabelColumns
from clickweave.contracts.tables import AUGMENTED, TRAIN, event_columns
from clickweave.frames import catalogue
from clickweave.frames.augment.copies import Sources
from clickweave.frames.augment.neighbours import similar_items
from clickweave.frames.augment.registry import operator
from clickweave.frames.source_rows import with_source
from clickweave.stages.context import StageResult, StageRun
from clickweave.store.tables import source_type

INPUTS = ("ingest",)
SECTIONS = ("augment", "log")


def run(run: StageRun) -> StageResult:
    """Writes the rows that the operators made, with op, parent_id and a rebuilt `source`."""
    log = run.recipe.log
    sources = _sources(run)
    augmented, fitted = sources.train.limit(0), {}
    for number, chain in enumerate(run.recipe.augment.operators):
        made, found = _rewritten(run, sources, chain, run.recipe.augment.seed + number)
        augmented = augmented.unionByName(made.select(*event_columns(tuple(log.event_features))))
        fitted[f"{number} {_name(chain)}"] = found
    table = run.write("augmented", augmented)
    # a label of 0 that the log's own columns cannot say; export then adds the column
    metrics = {"adds_label": not isinstance(log.labels, LabelColumns) and not table.where("label = 0").isEmpty()}
    per_op = dict.fromkeys(map(_name, run.recipe.augment.operators), 0)
    per_op |= {row["op"]: row["count"] for row in table.groupBy("op").count().collect()}
    return StageResult(
        {"in": run.rows_of_part(TRAIN), "added": run.outputs["augmented"].rows} | per_op, fitted, metrics
    )


def _sources(run: StageRun) -> Sources:
    """What the recipe's operators read; neighbours are computed once and written, if one asks for them."""
    log, train = run.recipe.log, run.read_part(TRAIN)
    if log.item is None:
        return Sources(train)
    items = run.read("ingest", "items")
    needed = any(
        operator(_name([params])).NEEDS_NEIGHBOURS for chain in run.recipe.augment.operators for params in chain
    )
    neighbours = run.write("neighbours", similar_items(train, items, log)) if needed else None
    return Sources(train, items, neighbours)


def _rewritten(run: StageRun, sources: Sources, chain: Sequence[BaseModel], seed: int) -> tuple[DataFrame, Any]:
    """The rows that come out of a chain, and what its operators were fitted to, which is real/train for all."""
    log, raw_type = run.recipe.log, source_type(sources.train)
    items, _ = catalogue.sides(log)
    made, found = sources.train, []
    for params in chain:
        chosen = operator(_name([params]))
        fitted = chosen.fit(sources, params, log)
        made = chosen.apply(replace(sources, train=made), fitted, params, log, seed)
        found.append(_plain(fitted))
    changes = any(operator(_name([params])).CHANGES_ITEM for params in chain)
    attributes = catalogue.raw_attributes(items, raw_type) if changes else {}
    if attributes and sources.items is not None:
        made = catalogue.join_attributes(made, sources.items, items)
    made = with_source(made, log, raw_type, attributes=attributes)
    provenance = {"origin": F.lit(AUGMENTED), "op": F.lit(_name(chain)), "run_id": F.lit(run.key)}
    return made.withColumns(provenance), found


def _name(chain: Sequence[BaseModel]) -> str:
    """`crop`, or `crop+scale` for a chain."""
    return "+".join(params.model_dump()["name"] for params in chain)


def _plain(fitted: object) -> object:
    if isinstance(fitted, dict):
        return {name: _plain(value) for name, value in fitted.items()}
    return asdict(fitted) if is_dataclass(fitted) and not isinstance(fitted, type) else fitted

"""augment: real/train -> augmented. Each operator of the recipe runs on real/train, side by side."""

from dataclasses import asdict, is_dataclass

from pyspark.sql import functions as F

from clickweave.config.log import LabelColumns
from clickweave.contracts.tables import AUGMENTED, TRAIN, event_columns
from clickweave.frames import catalogue
from clickweave.frames.augment.registry import operator
from clickweave.frames.source_rows import with_source
from clickweave.stages.context import StageResult, StageRun
from clickweave.store.tables import source_type

INPUTS = ("ingest",)
SECTIONS = ("augment", "log")


def run(run: StageRun) -> StageResult:
    """Writes the rows that the operators made, with op, parent_id and a rebuilt `source`."""
    log, train = run.recipe.log, run.read_part(TRAIN)
    columns = event_columns(tuple(log.event_features))
    items, _ = catalogue.sides(log)
    raw_type = source_type(train)
    attributes = catalogue.raw_attributes(items, raw_type)
    augmented, fitted = train.limit(0), {}
    for number, params in enumerate(run.recipe.augment.operators):
        name = params.model_dump()["name"]
        chosen = operator(name)
        found = chosen.fit(train, params, log)
        made = chosen.apply(train, found, params, log, run.recipe.augment.seed + number)
        if attributes and chosen.CHANGES_ITEM:
            made = catalogue.join_attributes(made, run.read("ingest", "items"), items)
        made = with_source(made, log, raw_type, attributes=attributes if chosen.CHANGES_ITEM else {})
        provenance = {"origin": F.lit(AUGMENTED), "op": F.lit(name), "run_id": F.lit(run.key)}
        augmented = augmented.unionByName(made.withColumns(provenance).select(*columns))
        fitted[f"{number} {name}"] = _plain(found)
    table = run.write("augmented", augmented)
    # a label of 0 that the log's own columns cannot say; export then adds the column
    metrics = {"adds_label": not isinstance(log.labels, LabelColumns) and not table.where("label = 0").isEmpty()}
    per_op = {row["op"]: row["count"] for row in table.groupBy("op").count().collect()}
    return StageResult(
        {"in": run.rows_of_part(TRAIN), "added": run.outputs["augmented"].rows} | per_op, fitted, metrics
    )


def _plain(fitted: object) -> object:
    if isinstance(fitted, dict):
        return {name: _plain(value) for name, value in fitted.items()}
    return asdict(fitted) if is_dataclass(fitted) and not isinstance(fitted, type) else fitted

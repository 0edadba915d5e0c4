"""augment: real/train -> augmented. Operators run on real/train side by side, those of a chain in order."""

from dataclasses import asdict, is_dataclass

from pyspark.sql import functions as F

from clickweave.config.log import LabelColumns
from clickweave.contracts.tables import AUGMENTED, TRAIN, event_columns
from clickweave.frames.augment.chain import chain_name, needs_neighbours, rewritten
from clickweave.frames.augment.copies import Sources
from clickweave.frames.augment.neighbours import similar_items
from clickweave.stages.context import StageResult, StageRun
from clickweave.store.tables import source_type

INPUTS = ("ingest",)
SECTIONS = ("augment", "log")


def run(run: StageRun) -> StageResult:
    """Writes the rows that the operators made, with op, parent_id and a rebuilt `source`."""
    log, chains = run.recipe.log, run.recipe.augment.operators
    sources = _sources(run)
    raw_type = source_type(sources.train)
    augmented, fitted = sources.train.limit(0), {}
    for number, chain in enumerate(chains):
        made, found = rewritten(sources, chain, log, raw_type, run.recipe.augment.seed + number)
        provenance = {"origin": F.lit(AUGMENTED), "op": F.lit(chain_name(chain)), "run_id": F.lit(run.key)}
        made = made.withColumns(provenance).select(*event_columns(tuple(log.event_features)))
        augmented = augmented.unionByName(made)
        fitted[f"{number} {chain_name(chain)}"] = [_plain(one) for one in found]
    table = run.write("augmented", augmented)
    # a label of 0 that the log's own columns cannot say; export then adds the column
    metrics = {"adds_label": not isinstance(log.labels, LabelColumns) and not table.where("label = 0").isEmpty()}
    num_in = run.rows_of_part(TRAIN)
    counts = table.groupBy("op").agg(F.count(F.lit(1)).alias("added"), F.count_distinct("parent_id").alias("parents"))
    of_op = {row["op"]: row for row in counts.collect()}
    names = [chain_name(chain) for chain in chains]
    added = {name: of_op[name]["added"] if name in of_op else 0 for name in names}
    left_out = {name: num_in - (of_op[name]["parents"] if name in of_op else 0) for name in names}
    rows = {"in": num_in, "added": run.outputs["augmented"].rows}
    return StageResult(rows | added, fitted, metrics | {"left_out": left_out})


def _sources(run: StageRun) -> Sources:
    """What the recipe's operators read; neighbours are computed once and written, if one asks for them."""
    log, train = run.recipe.log, run.read_part(TRAIN)
    users = None if log.user is None else run.read("ingest", "users")
    if log.item is None:
        return Sources(train, users=users)
    items = run.read("ingest", "items")
    needed = any(map(needs_neighbours, run.recipe.augment.operators))
    neighbours = run.write("neighbours", similar_items(train, items, log)) if needed else None
    return Sources(train, items, neighbours, users)


def _plain(fitted: object) -> object:
    if isinstance(fitted, dict):
        return {name: _plain(value) for name, value in fitted.items()}
    return asdict(fitted) if is_dataclass(fitted) and not isinstance(fitted, type) else fitted

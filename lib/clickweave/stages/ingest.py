"""ingest: raw log -> real (train, reference, holdout, future), items, users, quarantine."""

from dataclasses import asdict

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from clickweave.config.load import Recipe
from clickweave.config.log import LabelColumns, SchemaConfig
from clickweave.contracts.days import RunDays
from clickweave.contracts.tables import PARTS, REAL, TRAIN, event_columns
from clickweave.errors import ContractError
from clickweave.frames import catalogue, contract
from clickweave.frames.days import keep_days
from clickweave.frames.normalise import canonical_events
from clickweave.frames.quality import entity_of_row, number_equal_rows
from clickweave.frames.sessions import cut_sessions
from clickweave.frames.split import assign_parts, fit_time_cut
from clickweave.frames.vectors import fit_lengths
from clickweave.stages.context import StageResult, StageRun
from clickweave.store.tables import day_folders, read_raw, source_type

INPUTS: tuple[str, ...] = ()
SECTIONS = ("source", "log", "ingest", "split")


def run(run: StageRun) -> StageResult:
    """Reads, checks, normalises, keys, sessionises and splits, before anything is fitted.

    Of a run by days only rows of these days count; sessions that go over the first or last of them are cut there.
    """
    recipe = run.recipe
    raw = _read_events(run)
    given = {name for name in ("items", "users") if getattr(recipe.source, name) is not None}
    contract.check_columns(source_type(raw), recipe.log, recipe.source.events.path, given=given)
    if run.days is not None:
        raw = keep_days(raw, run.days.found, log=recipe.log, partition=recipe.source.events.partition)
    sides = {side: _read_side(run, side) for side in catalogue.sides(recipe.log)}
    lengths = fit_lengths(raw, recipe.log.event_features, inside="source")
    events = canonical_events(raw, recipe.log, recipe.ingest, lengths)
    for side, table in sides.items():
        if table is not None and recipe.ingest.unknown_keys == "quarantine":
            events = contract.mark_unknown(events, table, side.key, side.name)
    counts = _quarantine(run, events)
    keyed = _keyed(events.where(F.size("reasons") == 0), recipe)
    cut = fit_time_cut(keyed, recipe.split)
    provenance = {"origin": F.lit(REAL), "op": F.lit("ingest"), "parent_id": F.lit(None).cast("bigint")}
    provenance |= {"weight": F.lit(1.0), "run_id": F.lit(run.key)}
    parts = assign_parts(keyed, cut, recipe.split).withColumns(provenance)
    columns = event_columns(tuple(recipe.log.event_features))
    real = run.write("real", parts.select(*columns, "part"), partition_by="part")
    counts |= _count_parts(run, real, counts)
    train = real.where(F.col("part") == TRAIN)
    for side, table in sides.items():
        run.write(side.name, _from_events(train, side) if table is None else table)
    reasons = run.read_own("quarantine").groupBy("reason").count().orderBy("reason").limit(100).collect()
    fitted = {"future_from_us": cut.future_from_us, "vector_lengths": lengths}
    metrics = {"reasons": {r[0]: r[1] for r in reasons}} | ({} if run.days is None else {"days": asdict(run.days)})
    return StageResult(counts, fitted, metrics)


def _read_events(run: StageRun) -> DataFrame:
    """The raw log; where the days of a run have folders, these alone.

    Raises:
        ContractError: the log is unreadable, or none of the days has a folder.
    """
    source = run.recipe.source.events
    if run.days is None:
        return read_raw(run.spark, source, "events")
    found = day_folders(source, source.partition)
    folders = None if found is None else [folder for day in run.days.found for folder in found.get(day, ())]
    if folders == []:
        raise ContractError(f"ingest: {source.path} has no folder for {_told(run.days)}")
    return read_raw(run.spark, source, "events", folders)


def _told(days: RunDays | None) -> str:
    return "any day" if days is None else " to ".join(dict.fromkeys(days.asked))


def _read_side(run: StageRun, side: catalogue.Side) -> DataFrame | None:
    """The catalogue or the users table that the recipe names, checked and normalised; None if it names none."""
    source = getattr(run.recipe.source, side.name)
    if source is None:
        return None
    raw = read_raw(run.spark, source, side.name).select("source.*")
    key = source.key or side.raw_key
    if key is None:
        raise ContractError(
            f"ingest: source.{side.name} is given, but schema names no {side.name.removesuffix('s')} column"
        )
    contract.check_side_table(raw.schema, key, side, source.path)
    table = catalogue.from_side_table(raw, key, side, fit_lengths(raw, side.features))
    contract.check_unique(table, side.key, side.name)
    return table


def _from_events(train: DataFrame, side: catalogue.Side) -> DataFrame:
    return catalogue.from_events(train, side, fit_lengths(train, side.features, inside="source"))


def _quarantine(run: StageRun, events: DataFrame) -> dict[str, int]:
    """Writes the bad rows with their reasons. One pass over the log.

    Raises:
        ContractError: the log is empty, or has more bad rows than the recipe allows.
    """
    seen = Observation("read")
    bad = events.observe(seen, F.count(F.lit(1)).alias("read")).where(F.size("reasons") > 0)
    reason = F.array_join("reasons", "; ").alias("reason")
    written = run.write("quarantine", bad.select("source", "raw_text", reason, F.lit(run.key).alias("run_id")))
    num_read, num_bad = int(seen.get["read"]), run.outputs["quarantine"].rows
    if num_read == 0:
        raise ContractError(f"ingest: {run.recipe.source.events.path} has no rows for {_told(run.days)}")
    allowed = run.recipe.ingest.max_quarantine_share
    if num_bad > allowed * num_read:
        top = written.groupBy("reason").count().orderBy(F.desc("count"), "reason").collect()[0]
        example = written.where(F.col("reason") == top["reason"]).select(F.to_json("source").alias("row")).collect()[0]
        raise ContractError(
            f"ingest: {num_bad} of {num_read} rows are bad, more than ingest.max_quarantine_share = {allowed}; "
            f"mostly: {top['reason']}, for example {str(example['row'])[:150]}"
        )
    return {"read": num_read, "quarantined": num_bad}


def _keyed(good: DataFrame, recipe: Recipe) -> DataFrame:
    """Row ids, duplicates dropped where asked for, entities, sessions. At most two shuffles."""
    numbered = number_equal_rows(good)
    kept = numbered.where(~F.col("is_duplicate")) if recipe.ingest.duplicates == "drop" else numbered
    keyed = kept.withColumn("entity_id", entity_of_row())
    if recipe.log.session is None and recipe.log.event_time is not None:
        return cut_sessions(keyed, gap_s=recipe.log.session_gap)
    return keyed


def _count_parts(run: StageRun, real: DataFrame, counts: dict[str, int]) -> dict[str, int]:
    """Rows per part and dropped duplicates; one aggregate over a few columns of what was written.

    Raises:
        ContractError: rows got lost, train or holdout is empty, or no row reaches the first label.
    """
    found = real.groupBy("part").agg(F.count(F.lit(1)).alias("n"), F.max("label").alias("best")).collect()
    rows = {part: next((row["n"] for row in found if row["part"] == part), 0) for part in PARTS}
    total = sum(rows.values())
    duplicates = counts["read"] - counts["quarantined"] - total
    if duplicates < 0 or (duplicates > 0 and run.recipe.ingest.duplicates == "keep"):
        raise ContractError(
            f"ingest: {counts['read']} rows were read, but {total} kept; the log changed while it was read"
        )
    if run.recipe.log.labels is not None and max((row["best"] for row in found), default=0) < 1:
        raise ContractError(
            f"ingest: no row reaches {_first_label(run.recipe.log)}; every label is 0; check schema.labels"
        )
    _check_entities(run, real, rows)
    return {"real": total, "duplicates": duplicates} | rows


def _check_entities(run: StageRun, real: DataFrame, rows: dict[str, int]) -> None:
    empty = [
        part
        for part in ("train", "holdout")
        if rows[part] == 0 and (part == "train" or run.recipe.split.holdout_share > 0)
    ]
    if empty:
        entities = real.select("entity_id").distinct().count()
        raise ContractError(
            f"ingest: the log has {entities} distinct entities (users, sessions or rows), too few to split: part "
            f"{empty[0]!r} is empty; use more data or another split.by, split.seed or split.holdout_share"
        )


def _first_label(log: SchemaConfig) -> str:
    return f"label {log.labels.names[0]!r}" if isinstance(log.labels, LabelColumns) else "the first label"

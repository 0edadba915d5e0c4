"""What strategies are tested on: sources made of real rows, and the mix that a strategy makes of them."""

from pyspark.sql import functions as F

from clickweave.contracts.tables import event_columns
from clickweave.frames import catalogue
from clickweave.frames.mix.registry import strategy
from clickweave.frames.mix.sources import MixSources
from clickweave.frames.quality import entity_of_row


def generated(real, log, op="journey", salt="generated"):
    """The rows under new ids, as if a generator had made them."""
    ids = {name: F.concat(F.lit("syn-"), name) for name in ("user_id", "session_id", "slate_id")}
    told = {"origin": F.lit("generated"), "op": F.lit(op), "run_id": F.lit("align")}
    made = real.withColumns(ids | told | {"row_id": F.xxhash64("row_id", F.lit(salt))})
    made = made.withColumn("entity_id", entity_of_row())
    raw = {log.user: "user_id", log.session: "session_id", log.slate: "slate_id"}
    for column, name in raw.items():
        if column is not None:
            made = made.withColumn("source", F.col("source").withField(column, F.col(name)))
    return made


def augmented(real):
    """Copies of about a third of the rows."""
    told = {"parent_id": F.col("row_id"), "row_id": F.xxhash64("row_id", F.lit("copy"))}
    told |= {"origin": F.lit("augmented"), "op": F.lit("copy"), "weight": F.lit(0.5)}
    return real.where("pmod(row_id, 3) = 0").withColumns(told)


def sources_of(real, log, synthetic=None, copies=None):
    """What a strategy reads, by default with a generated row for each real one."""
    made = generated(real, log) if synthetic is None else synthetic
    items = None if log.item is None else catalogue.from_events(real, catalogue.sides(log)[0])
    return MixSources(
        real=real,
        augmented=augmented(real) if copies is None else copies,
        synthetic=made,
        items=items,
        num_real=real.count(),
        num_synthetic=made.count(),
        run_id="mix",
    )


def checked(name, log, **params):
    """The strategy and its checked parameters."""
    chosen = strategy(name)
    found = chosen.Params(**params)
    getattr(found, "check", lambda _: None)(log)
    return chosen, found


def mix_by(name, sources, log, seed=0, **params):
    """The mix that the strategy makes."""
    chosen, found = checked(name, log, **params)
    return chosen.apply(sources, chosen.fit(sources, found, log), found, log, seed)


def columns_of(log):
    return list(event_columns(tuple(log.event_features)))

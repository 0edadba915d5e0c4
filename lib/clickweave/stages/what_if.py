"""Items of what-if targets: they do not exist yet, and are read as the catalogue is, but checked more strictly."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clickweave.config.load import Recipe
from clickweave.config.log import FileSource
from clickweave.config.targets import WhatIf
from clickweave.contracts.tables import feature_column
from clickweave.errors import ContractError
from clickweave.frames import catalogue, contract
from clickweave.frames.align.rows import TARGET
from clickweave.frames.normalise import WANTED, feature_value, is_lost
from clickweave.frames.vectors import fit_lengths
from clickweave.stages.context import StageRun
from clickweave.store.tables import read_raw, source_type

_UNREADABLE = "_unreadable"


def numbers_of(recipe: Recipe) -> tuple[int, ...]:
    """Which of sample.targets ask for items that do not exist."""
    return tuple(number for number, target in enumerate(recipe.sample.targets) if isinstance(target, WhatIf))


def source_of(recipe: Recipe, number: int) -> FileSource:
    """Where the items of the what-if target with that number lie."""
    target = recipe.sample.targets[number]
    assert isinstance(target, WhatIf)
    return target.items


@contextmanager
def told_of(number: int) -> Iterator[None]:
    """What is wrong with a source, said of a target: readers of sources speak of ingest and source.items."""
    place = f"sample.targets[{number}]"
    try:
        yield
    except ContractError as error:
        said = str(error).removeprefix("ingest: ").replace("source.items", f"{place}.items")
        raise ContractError(f"{place}: what_if: {said}") from None


def new_items(run: StageRun) -> DataFrame | None:
    """One row per item of all what-if targets: item_id, attributes, and TARGET, the number of its target; None where
    there are no such targets. Reads the new items some times, and the ids of the log once.

    Raises:
        ContractError: a table is missing, empty or not as a catalogue would be, an item stands twice, or exists.
    """
    parts: list[DataFrame] = []
    for number in numbers_of(run.recipe):
        with told_of(number):
            part = _read(run, source_of(run.recipe, number))
            for before in parts:
                _check_apart(part, before)
            parts.append(part.withColumn(TARGET, F.lit(number)))
    return reduce(DataFrame.unionByName, parts) if parts else None


def _read(run: StageRun, source: FileSource) -> DataFrame:
    """The items of one table, none of which may exist."""
    items, known = catalogue.sides(run.recipe.log)[0], run.read("ingest", "items")
    read = read_raw(run.spark, source, "items")
    raw, key = read.select("source.*", F.col("raw_text").alias(_UNREADABLE)), source.key or items.raw_key
    assert key is not None and items.raw_key is not None
    contract.check_side_table(source_type(read), key, items, source.path)
    real = run.read("ingest", "real")
    kind = source_type(real)[items.raw_key].dataType
    text = F.col(f"`{key}`").cast("string")
    fits = F.when(F.length(F.trim(text)) > 0, text.try_cast(kind).cast("string"))
    columns = {name: spec.model_copy(update={"column": feature_column(name)}) for name, spec in items.features.items()}
    lengths = fit_lengths(known, columns)
    _check_values(raw, items, text, fits, lengths, f"{source.path}: ", kind.simpleString())
    found = catalogue.from_side_table(raw.withColumn(key, fits), key, items, lengths)
    contract.check_unique(found, "item_id", source.path)
    _check_apart(known, found)
    _check_apart(real, found)
    return found


def _check_values(
    raw: DataFrame, items: catalogue.Side, text: Column, fits: Column, lengths: dict[str, int], where: str, kind: str
) -> None:
    """One aggregate over the rows."""
    first = {"_rows": F.count(F.lit(1)), "_id": F.min(F.when(fits.isNull(), F.coalesce(text, F.lit(""))))}
    first[_UNREADABLE] = F.min(_UNREADABLE)
    checked = {name: spec for name, spec in items.features.items() if spec.kind in WANTED}
    for name, spec in checked.items():
        column = F.col(f"`{spec.column or name}`")
        lost = is_lost(column, feature_value(column, spec, lengths.get(name)), spec)
        first[feature_column(name)] = F.min(F.when(lost, text))
    row = raw.agg(*[value.alias(name) for name, value in first.items()]).collect()[0]
    if not row["_rows"]:
        raise ContractError(f"{where}no rows")
    if row[_UNREADABLE] is not None:
        raise ContractError(f"{where}a record cannot be read: {row[_UNREADABLE][:100]!r}")
    if row["_id"] is not None:
        raise ContractError(f"{where}item id {row['_id']!r} is no {kind}, as the log's column {items.raw_key!r} holds")
    for name, spec in checked.items():
        if row[feature_column(name)] is not None:
            place = f"column {spec.column or name!r} of item {row[feature_column(name)]!r}"
            raise ContractError(f"{where}{place} is not {WANTED[spec.kind]}")


def _check_apart(rows: DataFrame, found: DataFrame) -> None:
    """No row may be of a found item. One join by item."""
    taken = rows.join(found.select("item_id"), "item_id", "left_semi").agg(F.min("item_id")).collect()[0][0]
    if taken is not None:
        raise ContractError(
            f"item {taken!r} exists already, in the catalogue, the log or another target; leave it out, or ask for it "
            "by {name: items}"
        )

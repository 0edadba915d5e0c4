"""Putting row sources together, and proving that they fit and that real rows came through as they were."""

from functools import reduce
from itertools import zip_longest

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import ORIGINS, REAL, event_columns
from clickweave.errors import ContractError
from clickweave.frames.mix.sources import MixSources
from clickweave.frames.quality import comparable, content_totals


def join_sources(sources: list[DataFrame], columns: tuple[str, ...]) -> DataFrame:
    """All rows of all sources, in canonical columns. Narrow: nothing is shuffled."""
    return reduce(DataFrame.unionByName, [source.select(*columns) for source in sources])


def whole_mix(sources: MixSources, log: SchemaConfig, *added: DataFrame) -> DataFrame:
    """Every real and augmented row as it is, and the rows that a strategy adds. Narrow."""
    return join_sources([sources.real, sources.augmented, *added], event_columns(tuple(log.event_features)))


def check_same_columns(real: DataFrame, other: DataFrame, name: str, log: SchemaConfig) -> None:
    """Whether rows fit the real table; reads no data.

    Raises:
        ContractError: a canonical column, or one inside `source`, is missing or of another type or place; the first.
    """
    for column in event_columns(tuple(log.event_features)):
        if column not in other.columns:
            raise ContractError(f"mix: column {column!r} is missing in {name}; {_AGAIN}")
        wanted, found = real.schema[column].dataType, other.schema[column].dataType
        if isinstance(wanted, StructType) and isinstance(found, StructType):
            _check_fields(column, wanted, found, name)
        elif wanted.simpleString() != found.simpleString():
            raise ContractError(
                f"mix: column {column!r} is {found.simpleString()} in {name}, but {wanted.simpleString()} in real; "
                f"{_AGAIN}"
            )


_AGAIN = "the log's schema drifted since these rows were made; run again from encode"


def _check_fields(column: str, wanted: StructType, found: StructType, name: str) -> None:
    for real, other in zip_longest(wanted.fields, found.fields):
        said = [
            "no column" if field is None else f"{field.name!r} ({field.dataType.simpleString()})"
            for field in (other, real)
        ]
        if said[0] != said[1]:
            raise ContractError(f"mix: {column} has {said[0]} in {name} where real has {said[1]}; {_AGAIN}")


def check_row_ids(mixed: DataFrame) -> None:
    """Whether each added row has an id of its own; one shuffle of ids, not of rows.

    Raises:
        ContractError: an id stands twice, and not among real rows alone.
    """
    real, total = F.count_if(F.col("origin") == REAL).alias("real"), F.count(F.lit(1)).alias("total")
    twice = mixed.groupBy("row_id").agg(real, total).where("total > 1 and total > real").select("row_id")
    num_ids = twice.count()
    if num_ids:
        rows = mixed.join(twice, "row_id", "left_semi").groupBy("origin").count().collect()
        found = {row["origin"]: row["count"] for row in rows}
        told = ", ".join(f"{found[origin]} {origin}" for origin in ORIGINS if origin in found)
        raise ContractError(
            f"mix: {num_ids} row ids stand more than once, in {told} rows; ids must tell all rows apart, run again "
            "from augment"
        )


def hash_by_origin(rows: DataFrame) -> dict[str, dict[str, int]]:
    """By origin, count and order-free hash of row_id and `source`; one aggregate."""
    totals = content_totals("row_id", comparable(rows.schema["source"].dataType))
    found = rows.groupBy("origin").agg(*totals).collect()
    return {
        str(row["origin"]): {"rows": row["rows"], "xor": row["xor"] or 0, "sum": int(row["sum"] or 0)} for row in found
    }

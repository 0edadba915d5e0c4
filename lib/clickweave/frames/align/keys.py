"""New ids for synthetic users and sessions that cannot collide with real ones (law 5)."""

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DecimalType

from clickweave.errors import ContractError

TEXT_PREFIX = "syn-"
LONG_FROM = 1 << 62
LONG_DIGITS = 19  # of 2^63
INT_FROM = 1 << 30
ODD_FACTOR = 654_435_761  # Knuth's 2^32 / golden ratio, modulo 2^30; any odd number permutes


@dataclass(frozen=True)
class IdSpace:
    """Where the new ids of one raw column live: `text` (prefix), `long` (from 2^62) or `integer` (from 2^30)."""

    kind: str

    def new_id(self, run_id: str, number: Column) -> Column:
        """A text id inside the space, hashed from run and number.

        In 30 bits a hash would collide after some ten thousand ids, so there it is a permutation: an odd factor
        and an offset by run, modulo 2^30. Distinct numbers below 2^30 give distinct ids.
        """
        hashed = F.xxhash64(F.lit(run_id), number)
        match self.kind:
            case "long":
                return (F.pmod(hashed, F.lit(LONG_FROM)) + F.lit(LONG_FROM)).cast("string")
            case "integer":
                offset = F.pmod(F.xxhash64(F.lit(run_id)), F.lit(INT_FROM))
                mixed = F.pmod(number.cast("bigint"), F.lit(INT_FROM)) * F.lit(ODD_FACTOR) + offset
                return (F.pmod(mixed, F.lit(INT_FROM)) + F.lit(INT_FROM)).cast("string")
        return F.concat(F.lit(TEXT_PREFIX), F.lpad(F.lower(F.hex(hashed)), 16, "0"))

    def reached_by(self, ids: Column) -> Column:
        """Whether a real id (text) lies inside the space."""
        match self.kind:
            case "long":
                return ids.try_cast("bigint") >= F.lit(LONG_FROM)
            case "integer":
                return ids.try_cast("bigint") >= F.lit(INT_FROM)
        return ids.startswith(TEXT_PREFIX)


def id_space(raw_type: DataType) -> IdSpace:
    """The space that fits a raw column's type: bigint, int, string, or a decimal that holds every bigint.

    Raises:
        ContractError: the type holds neither.
    """
    names = {"long": "long", "integer": "integer", "string": "text"}
    kind = names.get(raw_type.typeName())
    if isinstance(raw_type, DecimalType) and raw_type.scale == 0 and raw_type.precision >= LONG_DIGITS:
        kind = "long"
    if kind is None:
        raise ContractError(
            f"ids of type {raw_type.simpleString()} leave no room for new ones; store them as bigint or string"
        )
    return IdSpace(kind)


def renamed(rows: DataFrame, column: str, space: IdSpace, run_id: str) -> DataFrame:
    """Rows with a new id in place of each of `column`; null stays. Narrow, but in 30 bits one sort of all ids, which
    numbers them without gaps.
    """
    if space.kind != "integer":
        return rows.withColumn(column, F.when(F.col(column).isNotNull(), space.new_id(run_id, F.col(column))))
    ids = rows.where(F.col(column).isNotNull()).select(column).distinct()
    numbered = ids.withColumn("_number", F.row_number().over(Window.orderBy(column)))
    named = numbered.select(column, space.new_id(run_id, F.col("_number")).alias("_new"))
    return rows.join(named, column, "left").withColumn(column, F.col("_new")).drop("_new")


def check_free(real: DataFrame, column: str, space: IdSpace) -> None:
    """One aggregate over the real rows.

    Raises:
        ContractError: a real id already lies where new ids go.
    """
    row = real.where(space.reached_by(F.col(column))).agg(F.min(column).alias("first")).first()
    if row is not None and row["first"] is not None:
        raise ContractError(
            f"align: real {column} {row['first']!r} lies where synthetic ids go ({space.kind}); rename it in the log"
        )


def check_distinct(ids: DataFrame, column: str) -> None:
    """One aggregate over the new ids, one row per entity.

    Raises:
        ContractError: two entities got the same id (the id space is too small for that many).
    """
    row = ids.groupBy(column).count().agg(F.max("count").alias("most")).first()
    if row is not None and (row["most"] or 0) > 1:
        raise ContractError(f"align: {row['most']} synthetic entities share a {column}; store ids as bigint")

"""fractal_scale: a log of `factor` times the users, items and events, for load and scale tests.

A randomised Kronecker expansion (Belletti, Lakshmanan, Krichene et al. 2019, arXiv 1901.08910, section 4): the matrix
of users and items becomes W (x) R, where the small matrix W of blocks says which share of the real events R each block
(a, b) keeps. An event (user u, item i) that block (a, b) keeps becomes (user u of block a, item i of block b), so that
activity and popularity are products of a real count and a block's weight: their tails are as heavy or heavier.

Copies are for load tests, never for a shared data set: those of a block above 0 stand for users and items that nobody
has seen. Their ids are new, in the type of the log's column; block 0 keeps the real ones. `source` is the original's,
so that attributes of users and items that stand in the log come along; side tables know the new ids not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.errors import ConfigError, ContractError
from clickweave.frames.augment.copies import Sources

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType

STEEPEST = 0.7  # least exponent of the blocks' cumulated weights; 1 is flat
MIXED_SHARE = 0.25  # of user blocks that favour other item blocks than the rest, so that W has more than one direction
ROUNDING = 1e-9  # slack in comparisons of weights
MARK = "~"  # between a text id and the number of its block
MOST_BLOCKS = 1_000_000
BLOCK_OF = {"user_id": "_user_block", "session_id": "_user_block", "slate_id": "_user_block", "item_id": "_item_block"}

CHANGES_ITEM = False  # whether item attributes must be joined anew: they are the original's
NEEDS_NEIGHBOURS = False


@dataclass(frozen=True)
class Blocks:
    """The matrix W: `users` x `items` blocks that keep `factor` copies of an event in all, no block twice.

    The first n of N blocks have (n / N) ** power of the weight, over users and, inside a user block, over items.
    """

    users: int
    items: int
    factor: float
    power: float

    @classmethod
    def of(cls, users: int, items: int, factor: float) -> Blocks:
        """The steepest W in which no block is asked to keep an event twice.

        Raises:
            ConfigError: even all blocks together hold fewer than `factor` copies.
        """
        if factor > users * items:
            raise ConfigError(
                f"augment operator fractal_scale: {users} x {items} blocks hold at most {users * items} copies of an "
                f"event, not {factor:g}; raise users or items"
            )
        for power in (STEEPEST + step / 100 for step in range(round(100 * (1 - STEEPEST)))):
            most_in_user_block = math.ceil(factor * users**-power - ROUNDING)
            if most_in_user_block * items**-power <= 1:
                return cls(users, items, factor, power)
        return cls(users, items, factor, 1.0)


class Params(Section):
    """Parameters of `fractal_scale`."""

    name: Literal["fractal_scale"] = "fractal_scale"
    factor: float = Field(10.0, ge=0, le=MOST_BLOCKS, description="events of the copies, per real event")
    users: int | None = Field(
        None, ge=1, le=MOST_BLOCKS, description="users (else sessions) per real one; null: factor, rounded up"
    )
    items: int | None = Field(None, ge=1, le=MOST_BLOCKS, description="items per real one; null: factor, rounded up")

    def blocks(self, log: SchemaConfig) -> Blocks:
        """The blocks of this log; one that has no users (or items) has one block of them."""
        whole = max(1, math.ceil(self.factor))
        users = 1 if log.entity_column is None else whole
        items = 1 if log.item is None else whole
        return Blocks.of(self.users or users, self.items or items, self.factor)

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where more users, items or events are asked for than the log's roles allow."""
        if self.users is not None and self.users > 1 and log.entity_column is None:
            raise ConfigError(f"augment operator fractal_scale: users = {self.users} needs schema.user or session")
        if self.items is not None and self.items > 1 and log.item is None:
            raise ConfigError(f"augment operator fractal_scale: items = {self.items} needs schema.item")
        self.blocks(log)


@dataclass(frozen=True)
class NewIds:
    """How ids of a column get a block: by `stride` added once per block (whole numbers), else by `mark` and number."""

    stride: int | None
    mark: str = MARK

    def of(self, ids: Column, block: Column) -> Column:
        """The text id of each text id's copy in a block; block 0 is the original, null stays null."""
        from pyspark.sql import functions as F

        if self.stride is None:
            moved = F.concat(ids, F.lit(self.mark), block.cast("string"))
        else:
            moved = (ids.try_cast("bigint") + block * F.lit(self.stride)).cast("string")
        return F.when(block == 0, ids).otherwise(moved)


def fit(sources: Sources, params: Params, log: SchemaConfig) -> dict[str, NewIds]:
    """How the ids of users, sessions, slates and items are numbered on; one aggregate over train.

    Raises:
        ContractError: the type of an id column has no room for the copies.
    """
    from pyspark.sql.types import StringType, StructType

    source = sources.train.schema["source"].dataType
    assert isinstance(source, StructType)
    raw = {"user_id": log.user, "session_id": log.session, "slate_id": log.slate, "item_id": log.item}
    types = {name: StringType() if column is None else source[column].dataType for name, column in raw.items()}
    blocks = params.blocks(log)
    counts = {name: blocks.items if name == "item_id" else blocks.users for name in types}
    return fit_ids(sources.train, types, counts)


def apply(sources: Sources, fitted: dict[str, NewIds], params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """`factor` copies of each row (rounded up or down by a draw), each in another block. Narrow.

    Users, sessions and slates are those of the user block, items those of the item block; all else is the original's.
    The copies are a whole log of their own: copies in blocks (0, 0) equal real rows.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.draws import row_key
    from clickweave.frames.quality import entity_of_row

    copies = with_blocks(sources.train, params.blocks(log), "row_id", seed=seed)
    copies = copies.withColumn("parent_id", F.coalesce("parent_id", "row_id"))
    ids = {name: fitted[name].of(F.col(name), F.col(block)) for name, block in BLOCK_OF.items()}
    key = row_key("row_id", "_user_block", "_item_block", salt=f"fractal_scale {seed}")
    moved = copies.withColumns(ids | {"row_id": key})
    return moved.withColumn("entity_id", entity_of_row()).select(*sources.train.columns)


def with_blocks(rows: DataFrame, blocks: Blocks, key: str, *, seed: int) -> DataFrame:
    """`blocks.factor` copies of each row with the columns `_user_block` and `_item_block`, counted from 0. Narrow.

    Systematic sampling of blocks: copy k of a row lies at (k + draw) / factor of the user blocks' cumulated weight.
    Inside a user block copies lie evenly on a circle with an origin of its own per row, so that no block is hit twice
    and the items of two user blocks do not follow each other.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw

    users, items, power = F.lit(float(blocks.users)), F.lit(float(blocks.items)), F.lit(blocks.power)
    place = F.col("_copy") + unit_draw(key, salt="fractal_scale copies", seed=seed)
    most = max(1, math.ceil(blocks.factor))
    copies = rows.withColumn("_copy", F.explode(F.sequence(F.lit(0), F.lit(most - 1))))
    copies = copies.where(place < F.lit(blocks.factor))
    user_block = F.floor(users * F.pow(place / F.lit(blocks.factor), 1 / power))
    copies = copies.withColumn("_user_block", F.least(user_block, F.lit(blocks.users - 1)))
    block = F.col("_user_block")
    weight = F.lit(blocks.factor) * (F.pow((block + 1) / users, power) - F.pow(block / users, power))
    slots = F.greatest(F.ceil(weight - F.lit(ROUNDING)), F.lit(1))
    origin = unit_draw(key, block, salt="fractal_scale items", seed=seed)
    ranked = F.floor(items * F.pow(F.pmod(F.col("_copy") / slots + origin, F.lit(1.0)), 1 / power))
    turned = unit_draw(block, salt="fractal_scale turned", seed=seed) < F.lit(MIXED_SHARE)
    turn = F.floor(items * unit_draw(block, salt="fractal_scale turn", seed=seed))
    turn = F.when(turned, turn).otherwise(F.lit(0))
    item_block = F.pmod(F.least(ranked, F.lit(blocks.items - 1)) + turn, F.lit(blocks.items))
    return copies.withColumn("_item_block", item_block).drop("_copy")


def fit_ids(rows: DataFrame, types: dict[str, DataType], blocks: dict[str, int]) -> dict[str, NewIds]:
    """How the ids of each text column are numbered on, by the type of its raw column; one aggregate.

    Args:
        types: column of `rows` -> the raw type that new ids must fit.
        blocks: column of `rows` -> number of blocks.

    Raises:
        ContractError: the type has no room for that many blocks.
    """
    from pyspark.sql import functions as F

    known = []
    for name, kind in types.items():
        if kind.typeName() == "string":
            run = F.length(F.regexp_extract(F.col(name), f"({MARK}*)[0-9]+$", 1))
            known += [F.max(F.when(F.col(name).contains(MARK), run)).alias(f"run {name}")]
        else:
            whole = F.col(name).try_cast("bigint" if kind.typeName() == "long" else "decimal(38,0)")
            known += [F.min(whole).alias(f"least {name}"), F.max(whole).alias(f"most {name}")]
    row = rows.agg(*known).collect()[0]
    found = {}
    for name, kind in types.items():
        if kind.typeName() == "string":
            found[name] = NewIds(None, MARK * (1 + (row[f"run {name}"] or 0)))  # a longer mark than any id ends with
            continue
        least, most = int(row[f"least {name}"] or 0), int(row[f"most {name}"] or 0)
        stride = most - least + 1
        reached = most + (blocks[name] - 1) * stride
        if blocks[name] > 1 and reached >= _room(kind):
            raise ContractError(
                f"fractal_scale: {blocks[name]} blocks of {name} up to {most} do not fit {kind.simpleString()}; ask "
                "for fewer, or store the column as bigint or string"
            )
        found[name] = NewIds(stride)
    return found


def _room(kind: DataType) -> int:
    """The end of the whole numbers that ids of a raw type may take; 0 for a type that holds fractions or no numbers.

    Where align puts the ids of synthetic users (frames/align/keys) there is no room, so that a blown-up log can be a
    recipe's source.
    """
    from pyspark.sql.types import DecimalType

    from clickweave.frames.align.keys import INT_FROM, LONG_FROM

    if isinstance(kind, DecimalType):
        return min(int(10**kind.precision), LONG_FROM) if kind.scale == 0 else 0
    return {"long": LONG_FROM, "integer": INT_FROM, "short": 1 << 15, "byte": 1 << 7}.get(kind.typeName(), 0)

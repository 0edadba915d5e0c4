"""rotate: vector features turned by a small seeded rotation; lengths stay, and by run the distances between rows too.

Givens rotations (Golub and Van Loan 2013, section 5.1.8) in disjoint planes of coordinates, a few rounds with other
planes each.
"""

from __future__ import annotations

import hashlib
import math
import random
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import feature_column
from clickweave.errors import ConfigError
from clickweave.frames.augment.copies import SESSION, Sources, check_sessions
from clickweave.frames.augment.numbers import free_features

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

CHANGES_ITEM = False  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False
ROUNDS = 2  # each in other planes, so that a coordinate mixes with up to three others; a round costs a sixth of a copy


class Params(Section):
    """Parameters of `rotate`."""

    name: Literal["rotate"] = "rotate"
    share: float = Field(0.2, ge=0, le=1, description="share of rows that get a rotated copy")
    angle: float = Field(0.1, ge=0, le=math.pi / 2, description="radians that a vector turns by, at most")
    per: Literal["run", "session"] = Field("run", description="one map for all rows, or an own angle for each session")
    columns: tuple[str, ...] | None = Field(None, description="vector event features; null: all")

    def targets(self, log: SchemaConfig) -> tuple[str, ...]:
        """The features that are rotated."""
        vectors = tuple(name for name, kind in free_features(log).items() if kind == "vector")
        return vectors if self.columns is None else self.columns

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where a column is not a vector event feature, there is none, or no session."""
        allowed = Params().targets(log)
        for name in self.targets(log):
            if name not in allowed:
                raise ConfigError(f"augment operator rotate: {name!r} is not a vector event feature")
        if not allowed:
            raise ConfigError("augment operator rotate needs a vector event feature; the recipe names none")
        if self.per == "session":
            check_sessions(log, "rotate with per: session")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> dict[str, int]:
    """The length of each vector feature; one aggregate over train."""
    from pyspark.sql import functions as F

    names = params.targets(log)
    row = sources.train.agg(*[F.max(F.size(feature_column(name))).alias(name) for name in names]).collect()[0]
    return {name: max(0, row[name] or 0) for name in names}


def apply(sources: Sources, fitted: dict[str, int], params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """One copy of a seeded share of the rows that have a vector to rotate; vectors of the same length by the same map.
    Narrow.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import row_copies
    from clickweave.frames.draws import unit_draw

    chosen = sources.train.where(unit_draw("row_id", salt="rotate", seed=seed) < params.share)
    sizes = [F.coalesce(F.size(feature_column(name)), F.lit(0)) for name in fitted]
    chosen = chosen.where(F.greatest(F.lit(0), *sizes) > 0)
    angle = F.lit(params.angle)
    if params.per == "session":
        angle = angle * (2 * unit_draw(*SESSION, salt="rotate angle", seed=seed) - 1)
    turned = chosen.withColumn("_angle", angle / ROUNDS)
    for name, size in fitted.items():
        column = feature_column(name)
        for number in range(ROUNDS if size > 1 else 0):
            turned = turned.withColumn(column, _turned(column, size, seed, number).cast(chosen.schema[column].dataType))
    return row_copies(turned.drop("_angle"), log, f"rotate {seed}")


def _turned(column: str, size: int, seed: int, number: int) -> Column:
    """Each pair of coordinates (i, j) as (cos a x_i - sin a x_j, sin a x_i + cos a x_j)."""
    from pyspark.sql import functions as F

    partner, sign = _planes(size, seed, number)
    partners = F.array(*[F.lit(value) for value in partner])
    signs = F.array(*[F.lit(value) for value in sign])

    def one(value: Column, place: Column) -> Column:
        other = F.element_at(F.col(column), F.element_at(partners, place + 1) + 1)
        weight = F.element_at(signs, place + 1)
        mixed = F.cos("_angle") * value + weight * F.sin("_angle") * other
        return F.when(weight == 0, value).otherwise(mixed)

    return F.transform(column, one)


def _planes(size: int, seed: int, number: int) -> tuple[list[int], list[float]]:
    """The partner and sign of each coordinate: sign -1 and 1 in a plane, 0 for the one that is left over."""
    digest = hashlib.sha256(f"rotate {seed} {number} {size}".encode()).digest()
    order = list(range(size))
    random.Random(digest).shuffle(order)
    partner, sign = list(range(size)), [0.0] * size
    for one, other in zip(order[::2], order[1::2], strict=False):
        partner[one], partner[other], sign[one], sign[other] = other, one, -1.0, 1.0
    return partner, sign

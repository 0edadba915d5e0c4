"""Randomness as a hash (law 1): the same draws on any partitioning, executor or retry."""

import math

from pyspark.sql import Column
from pyspark.sql import functions as F

_MANTISSA = 1 << 52


def unit_draw(*key: Column | str, salt: str, seed: int) -> Column:
    """A number in [0, 1) that is a function of salt, seed and the key columns alone (52 bits of xxhash64)."""
    columns = [F.col(part) if isinstance(part, str) else part for part in key]
    hashed = F.xxhash64(F.lit(salt), F.lit(seed), *columns)
    return hashed.bitwiseAND(F.lit(_MANTISSA - 1)).cast("double") * F.lit(1 / _MANTISSA)  # quicker than to divide


def normal_draw(*key: Column | str, salt: str, seed: int) -> Column:
    """A standard normal number that is a function of salt, seed and the key columns (Box and Muller 1958)."""
    radius = F.sqrt(-2.0 * F.log(F.lit(1.0) - unit_draw(*key, salt=f"{salt} radius", seed=seed)))
    return radius * F.cos(F.lit(2 * math.pi) * unit_draw(*key, salt=f"{salt} angle", seed=seed))


def row_key(*parts: Column | str, salt: str) -> Column:
    """An int64 key for a new row, hashed from where it comes from."""
    return F.xxhash64(F.lit(salt), *[F.col(part) if isinstance(part, str) else part for part in parts])

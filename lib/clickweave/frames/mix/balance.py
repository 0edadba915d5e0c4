"""balance: synthetic rows where a label, category or band falls short of its share, and more weight where they run out.

Real and augmented rows stay as they are, with their weights: what is short is added. The total that is aimed at is the
least at which no stratum has to lose anything, max over strata of (weight held / share wanted).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.errors import ConfigError
from clickweave.frames.augment.numbers import steady
from clickweave.frames.mix.sources import MixSources
from clickweave.frames.mix.strata import CHOICES, LABEL, STRATUM, check_strata, strata_by

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

KEEPS_REAL = True
MOST_VALUES = 200  # strata that are balanced, the heaviest; the rest stays as it is

Value = Annotated[str, BeforeValidator(str)]


class Params(Section):
    """Parameters of `balance`."""

    by: str = Field(LABEL, description=f"what is balanced: {CHOICES}")
    target: dict[Value, Annotated[float, Field(gt=0)]] | None = Field(
        None,
        description="{value: share}, relative to each other; values that are not named get no synthetic rows; null: "
        f"equal shares of the {MOST_VALUES} heaviest",
    )
    max_weight: float = Field(
        100.0, ge=1, description="factor on the weight of an added row, at most, where there are too few of them"
    )

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where the log has no such strata, or no such label."""
        check_strata(log, self.by, "balance")
        levels = [str(level) for level in range(log.num_levels + 1)]
        unknown = [value for value in self.target or {} if self.by == LABEL and value not in levels]
        if unknown:
            raise ConfigError(f"mix.target: {unknown[0]!r} is no level of the label; there are {', '.join(levels)}")
        if self.target is not None and not 1 <= len(self.target) <= MOST_VALUES:
            raise ConfigError(f"mix.target: name 1 to {MOST_VALUES} values, not {len(self.target)}")


@dataclass(frozen=True)
class Stratum:
    """One value and what becomes of it.

    Attributes:
        held: weight of its real and augmented rows. made: weight of its synthetic ones.
        keep: share of its synthetic rows that are added. factor: what their weight is multiplied by.
        before, after: its share of the weight of all balanced strata, without and with what is added.
    """

    value: str
    held: float
    made: float
    keep: float
    factor: float
    before: float
    after: float
    target: float


@dataclass(frozen=True)
class Balance:
    """The plan, heaviest stratum first."""

    strata: tuple[Stratum, ...]


def fit(sources: MixSources, params: Params, log: SchemaConfig) -> Balance:
    """Weights by stratum, one aggregate over each source; at most MOST_VALUES rows reach the driver."""
    from pyspark.sql import functions as F

    strata = strata_by(sources, params.by, log)
    held = strata.sizes(sources.real).unionByName(strata.sizes(sources.augmented))
    made = strata.sizes(sources.synthetic).withColumnRenamed("weight", "made")
    both = held.withColumnRenamed("weight", "held").unionByName(made, allowMissingColumns=True)
    sums = both.where(F.col(STRATUM).isNotNull()).groupBy(STRATUM).agg(F.sum("held"), F.sum("made"))
    sums = sums.toDF("value", "held", "made").fillna(0.0)
    if params.target is not None:
        sums = sums.where(F.col("value").isin(*params.target))
    heaviest = sums.orderBy(F.desc(F.round("held", 3)), "value").limit(MOST_VALUES).collect()
    weights = {row["value"]: (steady(row["held"]), steady(row["made"])) for row in heaviest}
    return planned(weights, params.target or dict.fromkeys(weights, 1.0), params.max_weight)


def planned(weights: dict[str, tuple[float, float]], target: dict[str, float], max_weight: float) -> Balance:
    """What to add to each stratum.

    Args:
        weights: value -> weight held and weight of synthetic rows.
        target: value -> wanted share, relative to the others'.
    """
    whole = sum(target[value] for value in weights)
    shares = {value: target[value] / whole for value in weights}
    total = max((held / shares[value] for value, (held, _) in weights.items()), default=0.0)
    added: dict[str, tuple[float, float]] = {}
    for value, (held, made) in weights.items():
        short = total * shares[value] - held
        wanted = short / made if made > 0 and short > 1e-9 * total else 0.0
        added[value] = min(1.0, wanted), min(max(1.0, wanted), max_weight)
    after = {value: held + made * added[value][0] * added[value][1] for value, (held, made) in weights.items()}
    before = sum(held for held, _ in weights.values())

    def told(value: str) -> Stratum:
        (held, made), (keep, factor) = weights[value], added[value]
        parts = (held / max(before, 1e-9), after[value] / max(sum(after.values()), 1e-9), shares[value])
        return Stratum(value, held, made, keep, factor, *[round(part, 6) for part in parts])

    return Balance(tuple(told(value) for value in weights))


def apply(sources: MixSources, fitted: Balance, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """The synthetic rows that the plan asks for, in expectation as many, with its weights. Narrow, but one join of
    synthetic rows where an attribute, popularity or activity tells them apart.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.draws import unit_draw
    from clickweave.frames.mix.join import whole_mix

    rows = strata_by(sources, params.by, log).marked(sources.synthetic)
    drawn = unit_draw("row_id", salt="mix balance", seed=seed)
    chosen = rows.where(drawn < _told({each.value: each.keep for each in fitted.strata}, 0.0))
    factor = _told({each.value: each.factor for each in fitted.strata}, 1.0)
    return whole_mix(sources, log, chosen.withColumn("weight", F.col("weight") * factor))


def _told(numbers: dict[str, float], otherwise: float) -> Column:
    """The number of a row's stratum."""
    from pyspark.sql import functions as F

    if not numbers:
        return F.lit(otherwise)
    known = F.create_map(*[F.lit(each) for pair in numbers.items() for each in pair])
    return F.coalesce(F.try_element_at(known, F.col(STRATUM)), F.lit(otherwise))

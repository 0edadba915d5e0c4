"""Groups of rows that a strategy looks at one by one: by label, category, popularity of items or activity of users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clickweave.config.log import CATEGORY_KINDS, FeatureSpec, SchemaConfig
from clickweave.contracts.tables import feature_column
from clickweave.errors import ConfigError
from clickweave.frames.mix.sources import MixSources

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

STRATUM = "_stratum"
LABEL, POPULARITY, ACTIVITY = "label", "item_popularity", "user_activity"
CHOICES = (
    "label, a categorical or id feature of events or items, item_popularity or user_activity (bands of real events: "
    "0 none, 1 to 9, 2 to 99, 3 to 999, ...)"
)
_NONE = "0"  # the band of what the real log does not know


@dataclass(frozen=True)
class Strata:
    """Which stratum a row belongs to, as text; null for none.

    Attributes:
        key: canonical column that decides.
        table: one row per key with its stratum; None where the key's value is the stratum.
        missing: stratum of keys that the table lacks.
    """

    key: str
    table: DataFrame | None = None
    missing: str | None = None

    def marked(self, rows: DataFrame) -> DataFrame:
        """Adds the stratum; every row stays once. Narrow, or one join by key."""
        from pyspark.sql import functions as F

        if self.table is None:
            return rows.withColumn(STRATUM, F.col(self.key).cast("string"))
        joined = rows.join(self.table, self.key, "left")
        found = F.coalesce(STRATUM, F.lit(self.missing).cast("string"))
        return joined.withColumn(STRATUM, F.when(F.col(self.key).isNotNull(), found))

    def sizes(self, rows: DataFrame) -> DataFrame:
        """Stratum, `rows` and `weight` (a sum). Counts are shuffled by key and by stratum, rows never."""
        from pyspark.sql import functions as F

        counted = rows.groupBy(self.key).agg(F.count(F.lit(1)).alias("rows"), F.sum("weight").alias("weight"))
        summed = self.marked(counted).groupBy(STRATUM)
        return summed.agg(F.sum("rows").alias("rows"), F.sum("weight").alias("weight"))


def category_features(log: SchemaConfig, features: dict[str, FeatureSpec]) -> list[str]:
    """The names of the categorical and id features among these."""
    return [name for name, spec in features.items() if spec.kind in CATEGORY_KINDS]


def check_strata(log: SchemaConfig, by: str, strategy: str) -> None:
    """Raises ConfigError where the log cannot be told apart like that."""
    needs = {LABEL: (log.labels, "schema.labels"), POPULARITY: (log.item, "schema.item")}
    needs[ACTIVITY] = (log.entity_column, "schema.user or schema.session")
    if by in needs:
        held, name = needs[by]
        if held is None:
            raise ConfigError(f"mix strategy {strategy} by {by} needs {name}; map it or name another `by`")
        return
    known = category_features(log, log.event_features)
    known += category_features(log, log.item_features) if log.item is not None else []
    if by not in known:
        raise ConfigError(f"mix strategy {strategy}: by is {by!r}, but must be {CHOICES}")


def strata_by(sources: MixSources, by: str, log: SchemaConfig) -> Strata:
    """The strata of a checked `by`; an event feature comes before an item's of the same name.

    A popularity band counts the real events of the item, an activity band those of the entity (user, else session), or
    where the real log does not know it its synthetic ones. Of counts alone something is shuffled.
    """
    from pyspark.sql import functions as F

    if by == LABEL:
        return Strata(LABEL)
    if by == POPULARITY:
        return Strata("item_id", _banded(_events(sources.real, "item_id"), F.col("_events")), _NONE)
    if by == ACTIVITY:
        own = _events(sources.synthetic, "entity_id").withColumnRenamed("_events", "_own")
        both = _events(sources.real, "entity_id").join(own, "entity_id", "full")
        return Strata("entity_id", _banded(both, F.coalesce("_events", "_own")), _NONE)
    if by in log.event_features:
        return Strata(feature_column(by))
    assert sources.items is not None
    return Strata("item_id", sources.items.select("item_id", F.col(feature_column(by)).cast("string").alias(STRATUM)))


def _events(rows: DataFrame, key: str) -> DataFrame:
    from pyspark.sql import functions as F

    return rows.where(F.col(key).isNotNull()).groupBy(key).agg(F.count(F.lit(1)).alias("_events"))


def _banded(counts: DataFrame, events: Column) -> DataFrame:
    """The band is the number of digits."""
    from pyspark.sql import functions as F

    return counts.select(counts.columns[0], F.length(events.cast("string")).cast("string").alias(STRATUM))

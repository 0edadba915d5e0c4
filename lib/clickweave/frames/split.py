"""What train may see (law 3): parts by a hash of the split key, cut before anything is fitted."""

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clickweave.config.stages import SplitConfig
from clickweave.contracts.tables import FUTURE, HOLDOUT, REFERENCE, TRAIN
from clickweave.frames.draws import unit_draw

_KEYS = {None: "entity_id", "user": "entity_id", "session": "session_id", "row": "row_id"}


@dataclass(frozen=True)
class TimeCut:
    """Events of train's entities from `future_from_us` (microseconds since 1970) on are the part `future`."""

    future_from_us: int | None


def fit_time_cut(events: DataFrame, config: SplitConfig) -> TimeCut:
    """The quantile of train's event times above which the last `test_share` lies; one aggregate, or none."""
    if config.test_share == 0:
        return TimeCut(None)
    train = events.where(~part_by_key(config).isin(HOLDOUT))
    quantile = F.percentile_approx(F.unix_micros("event_time"), 1.0 - config.test_share, 10_000)
    row = train.agg(quantile.alias("cut")).first()
    return TimeCut(None if row is None else row["cut"])


def part_by_key(config: SplitConfig) -> Column:
    """train, reference or holdout, as a function of the split key and the seed alone."""
    draw = unit_draw(_KEYS[config.by], salt="split", seed=config.seed)
    reference_to = config.holdout_share + (1.0 - config.holdout_share) * config.reference_share
    return F.when(draw < config.holdout_share, HOLDOUT).when(draw < reference_to, REFERENCE).otherwise(TRAIN)


def assign_parts(events: DataFrame, cut: TimeCut, config: SplitConfig) -> DataFrame:
    """Adds `part`: one of contracts.tables.PARTS. Narrow."""
    part = part_by_key(config)
    if cut.future_from_us is not None:
        late = F.unix_micros("event_time") >= F.lit(cut.future_from_us)
        part = F.when((part != HOLDOUT) & late, FUTURE).otherwise(part)
    return events.withColumn("part", part)

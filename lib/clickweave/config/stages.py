"""Recipe sections of the nine stages that need one, with units, ranges and meanings. Defaults stand here only."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    Discriminator,
    Field,
    SerializeAsAny,
    StrictFloat,
    StrictInt,
    Tag,
    model_validator,
)

from clickweave.config.base import Duration, Section
from clickweave.config.gates import GateSetting
from clickweave.config.targets import Target
from clickweave.errors import ConfigError

RATIO = "synthetic_per_real"
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Variant = SerializeAsAny[BaseModel]
Amount = Annotated[
    Annotated[StrictInt, Tag("<rows>")] | Annotated[StrictFloat, Tag("<multiple>")],
    Discriminator(lambda value: "<multiple>" if isinstance(value, float) else "<rows>"),
    Field(ge=0),
]


def _parse_date(value: Any) -> str:
    """`2024-01-31` from text, or from the date that YAML makes of it."""
    return date.fromisoformat(str(value)).isoformat()


def _off_is_text(value: Any) -> Any:
    """`off`, which YAML reads as false."""
    return "off" if value is False else value


Date = Annotated[str, BeforeValidator(_parse_date)]


class IngestConfig(Section):
    """Reading and checking the raw log."""

    duplicates: Literal["drop", "keep"] = Field("drop", description="equal rows; keep where the entity is the row")
    unknown_keys: Literal["quarantine", "keep"] = Field(
        "quarantine", description="events whose item or user is not in a side table that the recipe names"
    )
    max_quarantine_share: Share = Field(0.1, description="above this share of bad rows ingest stops (exit 3)")
    earliest: Date = Field("1970-01-01", description="event times before this UTC date are bad")
    latest: Date = Field("2100-01-01", description="event times from this UTC date on are bad")
    reopen_days: int = Field(
        7,
        ge=0,
        le=366,
        description="with --partitions: published days that changed in the source are processed again, if they lie at "
        "most so many days before the first one asked for",
    )


class SplitConfig(Section):
    """What is held out, before anything is fitted."""

    by: Literal["user", "session", "row"] | None = Field(None, description="null: the entity of the log")
    holdout_share: Share = Field(0.2, description="share of entities that only evaluate sees")
    reference_share: Share = Field(0.1, description="share of train's entities that generators do not fit")
    test_share: Share = Field(0.0, description="last share of train's time that only evaluate sees (part future)")
    seed: int = 0


class AugmentConfig(Section):
    """Rewrites of real rows; operators run on real/train side by side, those of an inner list one after another."""

    operators: tuple[tuple[Variant, ...], ...] = Field(
        (),
        description="[{name: scale, share: 0.2}, [{name: crop}, {name: time_warp}]]: an inner list is a chain, each on "
        "the rows of the one before; see the operators below",
    )
    seed: int = 0


class EncodeConfig(Section):
    """The codec that turns rows into codes, and the shards that ranks read."""

    grain: Literal["row", "entity"] | None = Field(
        None, description="what is coded together: a row, or the whole history of an entity; null: as train.generator"
    )
    num_bins: int = Field(64, ge=2, le=4096, description="quantile bins per numeric or time column")
    max_values: int = Field(2_000_000, ge=1, description="kept values per column; the rest becomes the rare code")
    direct_ids: int = Field(2_000, ge=1, description="a column with more kept values gets item codes: a few digits")
    min_users: int = Field(5, ge=1, description="k: attribute and query values backed by fewer users become rare")
    max_pieces: int = Field(8, ge=1, le=64, description="pieces of a text that fewer users wrote; the rest is cut off")
    validation_share: Share = Field(0.1, description="share of rows (grain entity: of entities) that validate")
    row_group_rows: int = Field(65_536, ge=1, description="upper bound of rows in one row group")
    seed: int = 0


class TrainConfig(Section):
    """Training of a generator by Horovod ranks. The generator's own parameters stand beside these."""

    generator: str = Field(
        "auto",
        description="journey (histories) | autoregressive | vae | gan (rows); auto: journey where the log has times "
        "and users or sessions, else autoregressive",
    )
    epochs: int = Field(12, ge=1)
    batch_size: int = Field(512, ge=1, description="rows per step over all ranks together")
    learning_rate: float = Field(
        4e-3, gt=0, description="the highest: after a warm-up, before half a cosine down to 2 % of it"
    )
    weight_decay: float = Field(1e-5, ge=0)
    clip_norm: float = Field(5.0, gt=0, description="gradients are scaled down to this L2 norm")
    patience: int = Field(4, ge=1, description="epochs without a better validation loss before training stops")
    ranks: int | None = Field(None, ge=1, description="null: one per slot of the cluster, at most 8")
    launcher: Literal["horovod_spark", "horovod_run", "in_process"] = "horovod_spark"
    hosts: str | None = Field(None, description="horovod_run: host1:slots,host2:slots; null: this host")
    threads: int = Field(1, ge=1, description="torch threads per rank")
    start_timeout: Duration = Field("120s", validate_default=True, description="ranks must be up by then")
    stall_timeout: Duration = Field("180s", validate_default=True, description="a rank missing this long ends the run")
    max_drift: Share = Field(
        0.1,
        exclude=True,  # it decides whether a bundle serves, not how one is trained: no part of the stage's key
        description="with --partitions: a bundle of other days serves while no column has drifted further, in total "
        "variation distance beyond chance; 0: always train anew",
    )
    seed: int = 0
    model: Variant | None = Field(None, exclude_if=lambda model: model is None)


class SampleConfig(Section):
    """Drawing rows from the trained generator."""

    entities: Amount = Field(
        1.0,
        description="rows (journey: histories); with a point a multiple of real/train's, 1.0 = as many, else a number",
    )
    pool: float = Field(
        1.0,
        ge=1,
        le=3,
        description="new rows (journey: histories) drawn for each one wanted; align's refinement chooses among them",
    )
    continue_share: Share = Field(
        0.0,
        description="journey: share of the histories that go on with one of real/train, under its own id, instead of "
        "a new one; each at most once",
    )
    continue_events: int = Field(20, ge=1, description="journey: most new events of a history that goes on")
    targets: tuple[Target, ...] = Field(
        (),
        description="events that are wanted beside these, a list of {name: cold_items, c, events}, {name: items, "
        "items, events}, {name: what_if, items: new_items.csv, events}, {name: rare_queries, c, events}, {name: "
        "sparse_users, floor, events}, {name: balance, column, up_to} and {name: where, columns: {device: mobile, "
        "hour: [18, 23]}, events}",
    )
    block_rows: int = Field(
        4096, ge=1, description="rows (or an eighth as many histories) that share one seed; part of what the seed means"
    )
    temperature: float = Field(1.0, gt=0, description="below 1 sharper, above 1 flatter draws of codes")
    top_p: float = Field(1.0, gt=0, le=1, description="share of the likeliest codes that is drawn from")
    precision: Literal["float32", "int8"] = Field(
        "float32", description="of the weights that executors get; int8 is a quarter of the bytes"
    )
    prune_share: float = Field(
        0.0, ge=0, lt=1, description="share of each matrix, its smallest weights, that executors get as 0"
    )
    seed: int = 0


class AlignConfig(Section):
    """Fitting generated rows to the real table. Keys, attributes, times and owned sequences always are."""

    calibrate_numbers: bool = Field(True, description="numeric features get real/train's quantiles, in their own order")
    calibrate_labels: bool = Field(
        True,
        description="label rates by position, first category and activity get near real/train's; few labels change",
    )
    max_moved_share: Share = Field(0.2, description="most of the rows whose label may change")
    refine: bool = Field(
        True,
        description="with sample.pool above 1 choose those rows (journey: histories) that look most like reference",
    )
    privacy_filter: bool = Field(
        True, description="drop rows that equal, or lie near, one of real/train more often than reference rows do"
    )
    weigh: bool = Field(
        False, description="weight = p(real) / p(generated) of a classifier, in [0.1, 10] before it is scaled to mean 1"
    )
    seed: int = 0


class MixConfig(Section):
    """Joining real, augmented and synthetic rows. The strategy's own parameters stand beside these."""

    strategy: str = Field(
        "share", description="share | concat | balance | cold_boost | blend | replace | curriculum | upweight"
    )
    seed: int = 0
    how: Variant | None = Field(None, exclude_if=lambda how: how is None)

    @model_validator(mode="before")
    @classmethod
    def _has_ratio(cls, raw: Any) -> Any:
        """The loader leaves here what the strategy does not know; a ratio is no misspelt key and gets its own words."""
        if isinstance(raw, dict) and RATIO in raw:
            name = raw.get("strategy")
            hint = (
                "; it adds all rows, set mix.share, their weight per weight of real ones" if name == "upweight" else ""
            )
            raise ConfigError(
                f"mix.{RATIO} (a number or auto) belongs to the strategies share and blend, not to {name!r}{hint}"
            )
        return raw


class EvaluateConfig(Section):
    """Judging the result against the holdout."""

    sample_rows: int = Field(20_000, ge=100, description="rows a side, compared; 5 times as many reach the driver")
    utility_seeds: int = Field(5, ge=1, description="trainings per arm")
    gates: dict[str, GateSetting] = Field(
        {},
        description="row of the report (F1), or row and name (F7 label rate) -> block, grade or {block: true, gate: "
        "0.98, target: 0.995}; the report marks what was loosened",
    )
    utility: Annotated[Literal["full", "quick", "off"], BeforeValidator(_off_is_text)] = Field(
        "quick",
        description="how far recommenders judge: quick: five of them, one seed, the arms real, repeated, mixed, "
        "synthetic and independent; full: all of them, utility_seeds seeds, also arms by operator, ratio and share of "
        "users; off: not at all, the click model alone",
    )
    seed: int = 0


class PublishConfig(Section):
    """The dataset version. Nothing to set yet."""


class SparkConfig(Section):
    """The session; under spark-submit, what spark-submit says wins."""

    master: str | None = Field(None, description="null: local[*], or what spark-submit says")
    driver_memory: str = Field("2g", description="of the JVM; counts only where clickweave starts it")
    shuffle_partitions: int = Field(8, ge=1, description="start value; adaptive execution joins small ones")
    conf: dict[str, Any] = Field({}, description="further Spark settings")

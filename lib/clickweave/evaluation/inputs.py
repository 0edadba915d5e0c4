"""What an evaluation looks at. Everything else in this package takes its parts from here."""

from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame

from clickweave.config.log import SchemaConfig
from clickweave.config.stages import EvaluateConfig
from clickweave.contracts.manifest import Manifest


@dataclass(frozen=True)
class EvaluationInputs:
    """Tables in the canonical columns (contracts/tables.py), one row per event, and what the run knows of itself.

    Attributes:
        train: T, the real rows that the generator saw.
        holdout: H, real rows of other entities; may be empty, then nothing but the hard rules can be judged.
        synthetic: S, generated rows; may be empty, which is a legal answer.
        mixed: the set that would be published; rows of every origin.
        items: one row per `item_id`, with `feature_<name>` per item attribute; None for a log without items.
        users: one row per `user_id`, real and synthetic, with `feature_<name>` per user attribute; or None.
        training: the bundle's training record; `history` lists epochs {epoch, train_loss, validation_loss, ...}.
        run: facts for the reader: dataset, run_id, generator, seed, terms, and
            stages [{stage, seconds, rows_in, rows_out}] in the order they ran. Each is optional.
        future: later real rows of entities of T, where the split keeps such.
        manifests: of the stages before, by name, as far as the report tells what they did.
        reference: real rows of a third set of entities, which no generator fitted; or None.
    """

    train: DataFrame
    holdout: DataFrame
    synthetic: DataFrame
    mixed: DataFrame
    items: DataFrame | None
    users: DataFrame | None
    schema: SchemaConfig
    config: EvaluateConfig
    training: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    manifests: dict[str, Manifest] = field(default_factory=dict)
    future: DataFrame | None = None
    reference: DataFrame | None = None

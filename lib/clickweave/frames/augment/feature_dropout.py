"""feature_dropout: event features of a copy are left out at a rate, so that a model learns to do without; labels stay.

Dropout (Srivastava et al. 2014) on the inputs alone, by column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from clickweave.config.base import Section
from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import feature_column
from clickweave.errors import ConfigError
from clickweave.frames.augment.copies import Sources
from clickweave.frames.augment.numbers import free_features

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHANGES_ITEM = False  # whether item attributes must be joined anew
NEEDS_NEIGHBOURS = False


class Params(Section):
    """Parameters of `feature_dropout`."""

    name: Literal["feature_dropout"] = "feature_dropout"
    share: float = Field(0.2, ge=0, le=1, description="share of rows that get a copy")
    rate: float = Field(0.1, ge=0, le=1, description="chance of each feature of a copy to become null")
    columns: tuple[str, ...] | None = Field(None, description="event features; null: all but those under labels")

    def targets(self, log: SchemaConfig) -> tuple[str, ...]:
        """The features that may become null."""
        return tuple(free_features(log)) if self.columns is None else self.columns

    def check(self, log: SchemaConfig) -> None:
        """Raises ConfigError where a column is not an event feature that may be left out, or there is none."""
        allowed = Params().targets(log)
        for name in self.targets(log):
            if name not in allowed:
                raise ConfigError(f"augment operator feature_dropout: {name!r} is not an event feature without a label")
        if not allowed:
            raise ConfigError("augment operator feature_dropout needs an event feature; the recipe names none")


def fit(sources: Sources, params: Params, log: SchemaConfig) -> None:
    """Nothing to fit."""


def apply(sources: Sources, fitted: None, params: Params, log: SchemaConfig, seed: int) -> DataFrame:
    """One copy of a seeded share of rows, each feature null with the chance `rate`; rows that keep all are no copies.
    Narrow.
    """
    from pyspark.sql import functions as F

    from clickweave.frames.augment.copies import row_copies
    from clickweave.frames.draws import unit_draw

    chosen = sources.train.where(unit_draw("row_id", salt="feature_dropout", seed=seed) < params.share)
    columns = [feature_column(name) for name in params.targets(log)]
    gone = {
        name: (unit_draw("row_id", salt=f"feature_dropout {name}", seed=seed) < params.rate) & F.col(name).isNotNull()
        for name in columns
    }
    some = F.lit(False)
    for each in gone.values():
        some = some | each
    dropped = chosen.where(some).withColumns({name: F.when(~each, F.col(name)) for name, each in gone.items()})
    return row_copies(dropped, log, f"feature_dropout {seed}")

"""What sample can be asked for beside a plain sample: `sample.targets`, a list of these sections."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from clickweave.config.base import Section
from clickweave.config.log import CATEGORY_KINDS, SchemaConfig, Source
from clickweave.errors import ConfigError

HOUR = "hour"  # of the day, UTC: the one condition that is no column
ROLES = ("label", "item", "query", "position")


class ColdItems(Section):
    """Events of items that have few."""

    name: Literal["cold_items"]
    c: int = Field(5, ge=1, description="items with fewer real events, those of the catalogue without any too")
    events: int = Field(10, ge=1, description="events for each of them")

    def check(self, log: SchemaConfig, grain: str) -> None:
        """Raises ConfigError where the log has no items."""
        _needs(log.item, self.name, "item")


class Items(Section):
    """Events of named items."""

    name: Literal["items"]
    items: tuple[str, ...] = Field(min_length=1, description="ids, as text")
    events: int = Field(ge=1, description="events of all of them together, spread evenly")

    def check(self, log: SchemaConfig, grain: str) -> None:
        """Raises ConfigError where the log has no items."""
        _needs(log.item, self.name, "item")


class WhatIf(Section):
    """Events of items that do not exist yet, of which nothing is known but their attributes."""

    name: Literal["what_if"]
    items: Source = Field(description="table of the new items with schema.item_features, as source.items would hold it")
    events: int = Field(10, ge=1, description="events for each of them")

    def check(self, log: SchemaConfig, grain: str) -> None:
        """Raises ConfigError where the log has no items, or none of their attributes is categorical or an id."""
        _needs(log.item, self.name, "item")
        if not any(spec.kind in CATEGORY_KINDS for spec in log.item_features.values()):
            raise ConfigError("sample.targets: what_if needs a categorical or id feature in schema.item_features")


class RareQueries(Section):
    """Events of queries that have few, but enough users to be generated at all (encode.min_users)."""

    name: Literal["rare_queries"]
    c: int = Field(20, ge=1, description="queries with fewer real events")
    events: int = Field(10, ge=1, description="events for each of them")

    def check(self, log: SchemaConfig, grain: str) -> None:
        """Raises ConfigError where the log has no queries."""
        _needs(log.query, self.name, "query")


class SparseUsers(Section):
    """The histories of users with few events go on."""

    name: Literal["sparse_users"]
    floor: int = Field(5, ge=1, description="users (else sessions) with at most so many real events")
    events: int = Field(5, ge=1, description="new events of each, at most")

    def check(self, log: SchemaConfig, grain: str) -> None:
        """Raises ConfigError where the generator makes no histories."""
        if grain != "entity":
            raise ConfigError("sample.targets: sparse_users needs a generator of histories (train.generator: journey)")


class Balance(Section):
    """More of the rarer values of a column."""

    name: Literal["balance"]
    column: str = Field("label", description="label, or an event feature of kind categorical")
    up_to: float = Field(1.0, gt=0, le=1, description="real and generated events of a value, per those of the most")

    def check(self, log: SchemaConfig, grain: str) -> None:
        """Raises ConfigError where the log has no such column."""
        if self.column == "label":
            _needs(log.labels, self.name, "labels")
        elif self.column not in log.event_features or log.event_features[self.column].kind != "categorical":
            raise ConfigError(f"sample.targets: balance: {self.column!r} is neither label nor a categorical feature")


class Where(Section):
    """Events that a condition holds for."""

    name: Literal["where"]
    columns: dict[str, Any] = Field(
        min_length=1,
        description="label, item, query, position, an event feature or hour (UTC) -> a value, a list of values, or for "
        "numbers and hours [lowest, highest]",
    )
    events: int = Field(ge=1)

    @field_validator("columns")
    @classmethod
    def _known_shapes(cls, columns: dict[str, Any]) -> dict[str, Any]:
        for name, wanted in columns.items():
            values = wanted if isinstance(wanted, list | tuple) else [wanted]
            if not values or not all(isinstance(value, str | int | float) for value in values):
                raise ValueError(f"{name}: must be a value or a list of values, got {wanted!r}")
            if name == HOUR and not (len(values) in (1, 2) and all(value in range(24) for value in values)):
                raise ValueError(f"hour: must be [lowest, highest] in 0 to 23, got {wanted!r}")
        return columns

    def check(self, log: SchemaConfig, grain: str) -> None:
        """Raises ConfigError where the log has no such column."""
        for name in self.columns:
            if name == HOUR:
                _needs(log.event_time, self.name, "event_time")
            elif name in ROLES:
                _needs(getattr(log, "labels" if name == "label" else name), self.name, name)
            elif name not in log.event_features:
                known = ", ".join([*ROLES, HOUR, *log.event_features])
                raise ConfigError(f"sample.targets: where: unknown column {name!r}; there are {known}")


def _needs(role: object, target: str, name: str) -> None:
    if role is None:
        raise ConfigError(f"sample.targets: {target} needs schema.{name}")


Target = Annotated[
    ColdItems | Items | WhatIf | RareQueries | SparseUsers | Balance | Where, Field(discriminator="name")
]

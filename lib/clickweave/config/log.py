"""Recipe sections that say what the raw log is: where it lies and what its columns mean."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from clickweave.config.base import Duration, Section

FileFormat = Literal["parquet", "csv", "json", "orc", "table"]
CATEGORY_KINDS = ("categorical", "id")  # kinds of features whose values are equal or not, and nothing between


def _path_or_spec(value: Any) -> Any:
    return {"path": value} if isinstance(value, str) else value


class FileSource(Section):
    """One table of the raw data."""

    path: str = Field(description="file, folder or glob; relative paths count from the current folder")
    format: FileFormat | None = Field(None, description="null: by suffix")
    key: str | None = Field(None, description="key column of a side table; null: named as in schema")


class EventSource(FileSource):
    """The click log."""

    partition: str | None = Field(
        None,
        description="column with the day of a row, a date or text such as 2026-11-01, often the name of folders; it "
        "says which rows `--partitions` reads; null: the UTC date of event_time",
    )


Source = Annotated[FileSource, BeforeValidator(_path_or_spec)]
Events = Annotated[EventSource, BeforeValidator(_path_or_spec)]


class SourceConfig(Section):
    """The raw log and its optional side tables."""

    events: Events = Field(description="the click log, one row per event")
    items: Source | None = Field(None, description="catalogue, one row per item; null: derived from real/train")
    users: Source | None = Field(None, description="one row per user; null: derived from real/train")


class TimeFormat(Section):
    """How a column holds times: as numbers with a unit, as timestamps or dates, or as text with a format."""

    unit: Literal["s", "ms", "us"] | None = Field(None, description="of a number since 1970 (UTC); null: a time column")
    format: str | None = Field(None, description="Spark datetime pattern of a text column")


class TimeColumn(TimeFormat):
    """The event time."""

    column: str


class Threshold(Section):
    """A label that a numeric column implies: reached where `column` >= `at_least`."""

    column: str
    at_least: float


_LabelColumn = Annotated[
    Annotated[str, Tag("<column>")] | Annotated[Threshold, Tag("<threshold>")],
    Discriminator(lambda value: "<threshold>" if isinstance(value, dict | Threshold) else "<column>"),
]


class LabelColumns(Section):
    """One column per label, weakest first. Level k of a row is its strongest label; it implies the weaker ones."""

    names: tuple[str, ...] = Field(min_length=1)
    columns: tuple[_LabelColumn, ...] = Field(min_length=1)


class EventTypes(Section):
    """One event-type column; `order` is the funnel, weakest first."""

    column: str
    order: tuple[str, ...] = Field(min_length=1)

    @field_validator("order")
    @classmethod
    def _once(cls, order: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(order)) < len(order):
            raise ValueError("an event type stands twice")
        return order


class FeatureSpec(TimeFormat):
    """One context, item or user attribute, and how ingest normalises it; `unit` and `format` are those of a time."""

    kind: Literal["categorical", "id", "numeric", "vector", "text", "time"]
    column: str | None = Field(None, description="source column; null: the feature's name")
    case: Literal["keep", "lower", "upper"] = Field("keep", description="text case after ingest")
    scale: float = Field(1.0, description="factor from the source's unit to the canonical one", gt=0)
    min: float | None = Field(None, description="declared range, canonical unit; values below are set to it")
    max: float | None = Field(None, description="declared range, canonical unit; values above are set to it")

    @model_validator(mode="after")
    def _consistent(self) -> "FeatureSpec":
        if self.kind != "time" and (self.unit is not None or self.format is not None):
            raise ValueError(f"unit and format belong to features of kind time, not {self.kind}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


Feature = Annotated[FeatureSpec, BeforeValidator(lambda value: {"kind": value} if isinstance(value, str) else value)]


def _labels(value: Any) -> Any:
    """`{click: c1, purchase: c2}` in the form of LabelColumns; an event-type column and null stay."""
    if not isinstance(value, dict):
        if value is None or isinstance(value, Section):
            return value
        raise ValueError("write {click: column, purchase: column} or {column: ..., order: [view, buy]}")
    if "order" in value or "names" in value:
        return value
    if "column" in value:
        raise ValueError("with `column` name the event types too: {column: ..., order: [view, buy]}")
    return {"names": tuple(value), "columns": tuple(value.values())}


_Labels = Annotated[
    Annotated[LabelColumns, Tag("<columns>")] | Annotated[EventTypes, Tag("<types>")],
    Discriminator(lambda value: "<types>" if isinstance(value, EventTypes) or "order" in value else "<columns>"),
]


class SchemaConfig(Section):
    """What each column of the log means. Columns that no key names are kept, without a role."""

    event_time: TimeColumn | None = None
    user: str | None = Field(None, description="without it the entity is the mapped session, without that the row")
    item: str | None = None
    session: str | None = Field(None, description="null: cut by session_gap")
    session_gap: Duration = Field("30min", validate_default=True, description="a longer pause starts a new session")
    slate: str | None = Field(None, description="id of one result page or impression list")
    query: str | None = None
    position: str | None = Field(None, description="place in the slate, a whole number")
    propensity: str | None = Field(None, description="probability in (0, 1] of being shown there")
    labels: Annotated[_Labels | None, BeforeValidator(_labels)] = Field(
        None,
        description="{click: column, purchase: column}, weakest first, or {column:, order: []}; null: all positive",
    )
    features: dict[str, Feature] = Field({}, description="event features: name -> kind, or {kind:, column:, case: ...}")
    item_features: dict[str, Feature] = Field({}, description="columns of source.items, or of the events")
    user_features: dict[str, Feature] = Field({}, description="columns of source.users, or of the events")

    @field_validator("features", "item_features", "user_features")
    @classmethod
    def _plain_names(cls, features: dict[str, FeatureSpec]) -> dict[str, FeatureSpec]:
        folded: dict[str, str] = {}
        for name in features:
            if not name or set(name) & set(".`"):
                raise ValueError(
                    f"feature name {name!r} is empty or holds a dot or backtick; write name: {{column: ...}}"
                )
            if name.lower() in folded:
                raise ValueError(f"features {folded[name.lower()]!r} and {name!r} differ in case alone; rename one")
            folded[name.lower()] = name
        return features

    @model_validator(mode="after")
    def _whole(self) -> "SchemaConfig":
        if self.item is None and self.query is None:
            raise ValueError("at least one of item and query must name a column")
        if self.user is not None and self.user in (self.item, self.session):
            raise ValueError(f"user and item or session both name column {self.user!r}")
        return self

    @property
    def has_slates(self) -> bool:
        """Whether the log has slates that are not its sessions or users by another name."""
        return self.slate is not None and self.slate not in (self.user, self.session)

    @property
    def num_levels(self) -> int:
        """Strongest funnel level; 1 where the log has no labels, since then every row is a positive."""
        match self.labels:
            case LabelColumns():
                return len(self.labels.names)
            case EventTypes():
                return len(self.labels.order)
        return 1

    @property
    def thresholds(self) -> dict[int, Threshold]:
        """Funnel level -> the numeric column that implies it."""
        if not isinstance(self.labels, LabelColumns):
            return {}
        return {i + 1: c for i, c in enumerate(self.labels.columns) if isinstance(c, Threshold)}

    @property
    def event_features(self) -> dict[str, FeatureSpec]:
        """Declared event features, and each column under a label threshold, which must be carried to restore it."""
        declared = dict(self.features)
        named = {spec.column or name for name, spec in declared.items()}
        for threshold in self.thresholds.values():
            if threshold.column not in named:
                name = threshold.column.replace(".", "_").replace("`", "_")
                while name.lower() in {known.lower() for known in declared}:
                    name += "_"
                declared[name] = FeatureSpec(kind="numeric", column=threshold.column)
                named.add(threshold.column)
        return declared

    @property
    def entity_column(self) -> str | None:
        """Canonical column of the entity: user_id, else a mapped session_id, else None (the row)."""
        if self.user is not None:
            return "user_id"
        return "session_id" if self.session is not None else None

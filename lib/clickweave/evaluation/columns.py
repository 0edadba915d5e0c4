"""Which columns of a row are judged, and how: as numbers or as values. Names are those of a sample frame."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from clickweave.config.log import FeatureSpec, SchemaConfig
from clickweave.contracts.tables import feature_column

MAX_VALUES = 50  # more distinct values than this are no low-cardinality column; the rest counts as one value
OTHER = "(other)"
NULL = "(null)"

Kind = Literal["number", "values"]
Role = Literal["event", "item", "user", "time", "count"]


@dataclass(frozen=True)
class Column:
    """One judged column.

    Attributes:
        name: column of a sample frame (samples.py).
        title: how a reader calls it.
        kind: `number` compares by order (KS), `values` by frequency (TV).
        role: where it comes from; `count` is how often the row's id occurs in all of T.
    """

    name: str
    title: str
    kind: Kind
    role: Role


def item_column(name: str) -> str:
    """The sample column that holds the item attribute `name`."""
    return "item_" + feature_column(name)


def user_column(name: str) -> str:
    """The sample column that holds the user attribute `name`."""
    return "user_" + feature_column(name)


def judged_features(features: Mapping[str, FeatureSpec]) -> dict[str, FeatureSpec]:
    """The features that are judged: no vectors, since nothing compares them number by number."""
    return {name: spec for name, spec in features.items() if spec.kind != "vector"}


def is_number(spec: FeatureSpec) -> bool:
    """Whether a feature is compared as a number; a time is, in seconds (samples.py)."""
    return spec.kind in ("numeric", "time")


def _kind(spec: FeatureSpec) -> Kind:
    return "number" if is_number(spec) else "values"


def judged_columns(schema: SchemaConfig) -> list[Column]:
    """All columns of a row that a generator can get wrong, ids of users and sessions left out: theirs are new."""
    columns = [Column("label", "label", "values", "event")]
    if schema.position is not None:
        columns.append(Column("position", "position", "number", "event"))
    if schema.propensity is not None:
        columns.append(Column("propensity", "propensity", "number", "event"))
    columns += [
        Column(feature_column(name), name, _kind(spec), "event")
        for name, spec in judged_features(schema.event_features).items()
    ]
    if schema.event_time is not None:
        columns.append(Column("day", "time", "number", "time"))
        columns.append(Column("hour", "hour of day", "number", "time"))
        columns.append(Column("weekday", "weekday", "values", "time"))
    if schema.item is not None:
        columns.append(Column("item_events", "item popularity", "number", "count"))
    if schema.query is not None:
        columns.append(Column("query_events", "query popularity", "number", "count"))
    columns += [
        Column(item_column(name), f"item {name}", _kind(spec), "item")
        for name, spec in judged_features(schema.item_features).items()
    ]
    columns += [
        Column(user_column(name), f"user {name}", _kind(spec), "user")
        for name, spec in judged_features(schema.user_features).items()
    ]
    return columns


def label_defining(schema: SchemaConfig) -> set[str]:
    """Event feature columns under a label threshold: they spell the label out, so no model may be given them."""
    named = {threshold.column for threshold in schema.thresholds.values()}
    return {feature_column(name) for name, spec in schema.event_features.items() if (spec.column or name) in named}


def as_text(values: pd.Series) -> pd.Series:
    """Values as text, null as its own value, whole numbers without a point."""
    if pd.api.types.is_numeric_dtype(values):
        texts = values.map(lambda value: NULL if pd.isna(value) else f"{value:g}")
        return texts.astype(object)
    return values.astype(object).where(values.notna(), NULL).astype(str)


def frequent_values(values: pd.Series, limit: int = MAX_VALUES) -> list[str]:
    """The most frequent values as text, at most `limit`; ties by value, so that row order never matters."""
    counts = as_text(values).value_counts()
    ordered = sorted(counts.items(), key=lambda pair: (-int(pair[1]), str(pair[0])))
    return [str(value) for value, _ in ordered[:limit]]


def value_codes(values: pd.Series, known: list[str]) -> np.ndarray:
    """int64 codes: place in `known`, or len(known) for any other value."""
    places = {value: place for place, value in enumerate(known)}
    return as_text(values).map(lambda value: places.get(value, len(known))).to_numpy(dtype=np.int64)


def model_matrix(frame: pd.DataFrame, columns: list[Column], fitted_on: pd.DataFrame) -> pd.DataFrame:
    """float64 features for trees: numbers as they are (NaN for null), values as frequency rank in `fitted_on`."""
    features = {}
    for column in columns:
        if column.kind == "number":
            features[column.name] = frame[column.name].to_numpy(dtype=np.float64)
        else:
            known = frequent_values(fitted_on[column.name])
            features[column.name] = value_codes(frame[column.name], known).astype(np.float64)
    return pd.DataFrame(features, index=frame.index)

"""Logs as single tables: joined with their attributes, and in the forms that public generators read and write."""

import numpy as np
import pandas as pd
import pyarrow as pa

from clickweave.config.load import Recipe
from clickweave.config.log import LabelColumns, SchemaConfig, Threshold

FEW_VALUES = 20  # a number with at most this many is discrete for public generators


def joined(recipe: Recipe) -> pd.DataFrame:
    """The events with the attributes that the recipe names, every column with a role and no other."""
    source, log = recipe.source, recipe.log
    events = pd.read_parquet(source.events.path)
    sides = ((source.items, log.item, log.item_features), (source.users, log.user, log.user_features))
    for side, key, features in sides:
        if side is not None and key is not None:
            own = side.key or key
            names = [spec.column or name for name, spec in features.items()]
            table = pd.read_parquet(side.path, columns=[own, *names]).rename(columns={own: key})
            events = events.merge(table, how="left", on=key, validate="many_to_one")
    return events[[name for name in events.columns if name in roles(log)]]


def roles(log: SchemaConfig) -> set[str]:
    """Columns of the joined log that mean something."""
    keys = {log.user, log.item, log.session, log.slate, log.query, log.position, log.propensity}
    keys |= {log.event_time.column} if log.event_time is not None else set()
    if log.labels is not None:
        labels = log.labels.columns if isinstance(log.labels, LabelColumns) else (log.labels.column,)
        keys |= {label.column if isinstance(label, Threshold) else label for label in labels}
    features = {**log.features, **log.item_features, **log.user_features}
    return {name for name in keys if name} | {spec.column or name for name, spec in features.items()}


def discrete_columns(table: pd.DataFrame, log: SchemaConfig) -> list[str]:
    """All but the time and numbers with many values."""
    features = {**log.features, **log.item_features, **log.user_features}
    numbers = {spec.column or name for name, spec in features.items() if spec.kind == "numeric"}
    time = log.event_time.column if log.event_time is not None else None
    keys = {log.user, log.item, log.session, log.slate, log.query}
    few = {name for name in map(str, table.columns) if table[name].nunique() <= FEW_VALUES}
    return [name for name in map(str, table.columns) if name != time and (name in keys | few or name not in numbers)]


def as_numbers_and_text(table: pd.DataFrame, discrete: list[str]) -> pd.DataFrame:
    """Values as text, null as the empty text; times as microseconds."""
    made = table.copy()
    for name in table.columns:
        if name in discrete:
            made[name] = table[name].astype("string").fillna("").astype(object)
        elif pd.api.types.is_datetime64_any_dtype(table[name]):
            made[name] = table[name].astype("datetime64[us, UTC]").astype("int64")
    return made


def in_schema(made: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    """Rows of an opponent in the log's own types; the empty text is null again, whole numbers are rounded."""
    columns = []
    for name in schema.names:
        kind = schema.field(name).type
        values = made[name]
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            columns.append(pa.array(values.astype("string").replace("", pd.NA), pa.string()).cast(kind))
            continue
        if not pd.api.types.is_numeric_dtype(values):
            values = values.astype("string")
        values = pd.to_numeric(values, errors="coerce", dtype_backend="numpy_nullable")
        if pd.api.types.is_integer_dtype(values):
            columns.append(pa.array(values, pa.int64()).cast(kind))
            continue
        fractions = values.to_numpy(dtype=float, na_value=np.nan)
        whole = not pa.types.is_floating(kind)
        numbers = pa.array(np.round(fractions) if whole else fractions, from_pandas=True)
        columns.append(numbers.cast(pa.int64()).cast(kind) if whole else numbers.cast(kind))
    return pa.table(columns, names=schema.names)

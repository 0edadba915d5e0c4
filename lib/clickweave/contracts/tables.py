"""What a table is: the canonical columns that every event table of clickweave carries.

One row per event. `real`, `augmented`, `synthetic` and `mixed` share these columns, in this order; between
`label` and `source` stand the recipe's event features, each as one column named by `feature_column`.
`source` is a struct with the columns of the raw log, in its order and types (law 2).
"""

import pyarrow as pa

HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000
FEATURE_PREFIX = "feature_"
FUTURE, HOLDOUT, REFERENCE, TRAIN = "future", "holdout", "reference", "train"
PARTS = (TRAIN, REFERENCE, HOLDOUT, FUTURE)

REAL, AUGMENTED, GENERATED, BLENDED = "real", "augmented", "generated", "blended"
TARGETED = ":target"  # in the op of generated events that sample.targets asked for: its number follows
WHAT_IF = ":what_if"  # after that in the op of events of items that do not exist
IS_WHAT_IF = "what_if"  # boolean column of items: of a what-if target, in no catalogue or log
CONTINUED = ":continue"  # ends the op of generated events that go on with a real history
ORIGINS = (REAL, AUGMENTED, GENERATED, BLENDED)
ORDER = "order"  # int32 column of a curriculum after all others: when in training the row is seen, from 1 on


def _field(name: str, kind: pa.DataType, about: str) -> pa.Field:
    return pa.field(name, kind, metadata={"about": about})


KEY_FIELDS = (
    _field("row_id", pa.int64(), "hash of the row's content and its number among equal rows; unique in a table"),
    _field("entity_id", pa.string(), "whose behaviour this is: the user, else the mapped session, else the row"),
    _field("user_id", pa.string(), "as text; null where the log has none"),
    _field("session_id", pa.string(), "mapped, or cut by schema.session_gap; null without event_time"),
    _field("slate_id", pa.string(), "one result page or impression list"),
    _field("item_id", pa.string(), "as text; null only where the row has a query"),
    _field("query", pa.string(), "query text"),
    _field("position", pa.int64(), "place in the slate, as the log counts it"),
    _field("propensity", pa.float64(), "probability in (0, 1] that the item was shown there"),
    _field("event_time", pa.timestamp("us", tz="UTC"), "UTC, microseconds; null where the log has no time"),
    _field("label", pa.int64(), "funnel level: 0 seen only, k = the k-th label of schema.labels was reached"),
)
PROVENANCE_FIELDS = (
    _field("origin", pa.string(), "real | augmented | generated | blended"),
    _field(
        "op",
        pa.string(),
        "what made the row: ingest, an operator's or a generator's name, with :target and its number where "
        "sample.targets asked for it, then :what_if if its item does not exist, and :continue on real histories",
    ),
    _field("parent_id", pa.int64(), "row_id of the real row that an augmented or blended row came from"),
    _field("weight", pa.float64(), "training weight, above 0"),
    _field("run_id", pa.string(), "key of the run that made the row"),
)
KEY_COLUMNS = tuple(field.name for field in KEY_FIELDS)
PROVENANCE_COLUMNS = tuple(field.name for field in PROVENANCE_FIELDS)


def feature_column(name: str) -> str:
    """The canonical column that holds the event feature `name`."""
    return FEATURE_PREFIX + name


def event_columns(features: tuple[str, ...]) -> tuple[str, ...]:
    """All columns of an event table, in order, for a recipe with these event features (plain names)."""
    return (*KEY_COLUMNS, *(feature_column(name) for name in features), "source", *PROVENANCE_COLUMNS)

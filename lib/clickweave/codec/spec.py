"""What a fitted codec is: plain data, no Spark, no numpy. The bundle carries it as JSON.

Every column of a training row becomes one integer code; ordered columns (numeric, time) also carry a position
in [0, 1] inside their bin. Code 0 is null everywhere.

    values (categorical, label, entity):  0 null | 1 rare | 2 + i  -> values[i]
    bins   (numeric, time):               0 null | 1 + i           -> [lows[i], highs[i]]; a spike has low == high

Grain `row`: each row is coded by itself; event_time as `event_day` and `event_clock`. Grain `entity`: rows are the
events of a history in order of time; columns of level `entity` are equal in all rows of a history (`profile_<name>`,
`length`, `start_day`, `start_clock`, totals: what its events add up to), event_time is the `gap` to the event before;
after a long one `gap` is null, and `gap_days` (between the dates) and `gap_clock` (time of day) stand instead, null
elsewhere. The totals: the `span` from the first event to the last, coded as a gap is (`span_days`, `end_clock`), and
how many events return after a long gap (`returns`), repeat an item of the history (`repeats`), and have each label of
the funnel (`events_of_label_<level>`).

Slates are one more column of events, `same_slate`; the codec says what the log's slates keep to (`Slates`).

Some columns are coded in parts, each a column of its own (`Parts`): a time as days and clock, or as what it lies after
event_time; a vector as digits; a text that few users wrote as a number of pieces and the pieces.
"""

import json
from dataclasses import dataclass
from typing import Any

from clickweave.contracts.tables import HOUR_US

NULL_CODE = 0
RARE_CODE = 1
FIRST_VALUE = 2
FIRST_BIN = 1

DIGIT_VALUES = 256  # of one digit of an item code
VALUES = "values"
BINS = "bins"

ROW = "row"
EVENT = "event"
ENTITY = "entity"
EVENT_DAY, EVENT_CLOCK = "event_day", "event_clock"
START_DAY, START_CLOCK, GAP, LENGTH = "start_day", "start_clock", "gap", "length"
SAME_SLATE = "same_slate"  # 1 where an event belongs to the slate of the event before it, else 0; null outside slates
GAP_DAYS, GAP_CLOCK = "gap_days", "gap_clock"
SPAN, SPAN_DAYS, END_CLOCK = "span", "span_days", "end_clock"
RETURNS, REPEATS = "returns", "repeats"
LONG_GAP_US = 6 * HOUR_US  # from here on a gap is days between dates, and the clock at the return
PLACE, TIME_US = "place", "time_us"
PROFILE_PREFIX = "profile_"
LEFT_PREFIX = "left_"  # shard columns: what is left of a total before the event
_OF_LABEL = "events_of_label_"
TIME, SINCE, VECTOR, TEXT = "time", "since", "vector", "text"


def label_total(level: int) -> str:
    """The total of events whose label is `level`."""
    return f"{_OF_LABEL}{level}"


def level_of_total(name: str) -> int | None:
    """The level of a `label_total`; None for other columns."""
    level = name.removeprefix(_OF_LABEL)
    return int(level) if name == _OF_LABEL + level and level.isdigit() else None


def is_total(name: str) -> bool:
    """Whether a column of level entity is a total of its history's events, apart from their number."""
    return name in (SPAN, RETURNS, REPEATS) or level_of_total(name) is not None


@dataclass(frozen=True)
class ColumnSpec:
    """One column of the codec.

    Attributes:
        name: canonical column name (contracts/tables.py), or one of the parts of time above.
        kind: `values` or `bins`.
        type: what decode returns: string | long | double.
        values: for `values`, the kept values as text, most frequent first.
        counts: rows (level entity: histories) in the training data per kept value or bin, same order; 0 for a bin
            without rows and for a catalogue item without events.
        rare_pool: for `values`, indices into `values` that a rare code may decode to (each backed by >= k users).
        lows, highs: for `bins`, ascending, in the column's unit: days since 1970-01-01 UTC for days, microseconds
            for clocks (since midnight UTC) and gaps, events for lengths.
        step: for `bins`, decoded numbers are multiples of this (1 for integers); 0 means continuous.
        num_null: rows in the training data that carry the null code.
        num_rare: rows in the training data that carry the rare code (`values` only).
        is_entity: the code stands for the user (else session); align maps it to a new id.
        level: `event`, or `entity` for a column that is constant in a history.
        num_digits: digits of the item codes in the tables (`<name>.digits`); 0 where codes are few.
    """

    name: str
    kind: str
    type: str
    values: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    rare_pool: tuple[int, ...] = ()
    lows: tuple[float, ...] = ()
    highs: tuple[float, ...] = ()
    step: float = 0.0
    num_null: int = 0
    num_rare: int = 0
    is_entity: bool = False
    level: str = EVENT
    num_digits: int = 0

    @property
    def num_codes(self) -> int:
        """Size of the code space, null (and rare) included."""
        return FIRST_VALUE + len(self.values) if self.kind == VALUES else FIRST_BIN + len(self.lows)

    @property
    def has_position(self) -> bool:
        """Whether rows carry a position in [0, 1] inside the bin: bins that are not all spikes."""
        return self.kind == BINS and any(low < high for low, high in zip(self.lows, self.highs, strict=True))


@dataclass(frozen=True)
class Derived:
    """A column that is a function of another and is not coded: align joins it from real/train."""

    name: str
    by: str


@dataclass(frozen=True)
class Parts:
    """A column that is coded in several.

    Attributes:
        name: of the canonical column.
        kind: `time` (days, clock) | `since` (microseconds after event_time; align adds it) | `vector` (digits, the
            number of a centroid each; their sum is the vector) | `text` (length, then pieces; they hold where the
            code of the column itself is rare, and are null elsewhere).
        columns: of the codec, in order.
        vocabulary: pieces of a text, the most frequent first; a piece in a column begins with a space where one stands
            before it.
    """

    name: str
    kind: str
    columns: tuple[str, ...]
    vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True)
class Slates:
    """What the slates of the training data keep to.

    Attributes:
        longest_gap_us: between two events that follow one another in a slate.
        most_events: of a slate.
        items_once, positions_once: whether no slate holds an item, or a position, twice.
        one_query: whether all events of a slate have the same query, or none.
    """

    longest_gap_us: int
    most_events: int
    items_once: bool
    positions_once: bool
    one_query: bool


@dataclass(frozen=True)
class CodecSpec:
    """All columns of a training row, in the order generators see them, and where they were fitted.

    Attributes:
        num_rows: events in the training data.
        fitted_on: key of the ingest whose real/train it was.
        grain: `row` or `entity`; see the head of this file.
        derived: columns left out, since another column implies them.
        window_us: first and last event time of the training data, in microseconds since 1970; zeros without time.
        parts: columns that are coded in several.
        once: whether no history of the training data holds an item twice with the same label (grain entity).
        least_paces_us: at grain entity, by size of a history (4^k to 4^(k+1) - 1 events, the last without end) the
            least mean gap of one; 0 where there is none.
        slates: None where the log has none, and at grain row.
    """

    columns: tuple[ColumnSpec, ...]
    num_rows: int
    fitted_on: str
    grain: str = ROW
    derived: tuple[Derived, ...] = ()
    window_us: tuple[int, int] = (0, 0)
    once: bool = False
    least_paces_us: tuple[float, ...] = ()
    parts: tuple[Parts, ...] = ()
    slates: Slates | None = None

    @property
    def code_columns(self) -> tuple[str, ...]:
        """Names of the int32 shard columns: `code_<name>`, one per column."""
        return tuple(f"code_{column.name}" for column in self.columns)

    @property
    def position_columns(self) -> tuple[str, ...]:
        """Names of the float32 shard columns: `position_<name>`, for the columns that have positions."""
        return tuple(f"position_{column.name}" for column in self.columns if column.has_position)

    @property
    def history_columns(self) -> tuple[str, ...]:
        """Further shard columns at grain entity: `place`, `time_us` and, for each total, `left_<name>` (int64)."""
        return (PLACE, TIME_US, *(LEFT_PREFIX + name for name in self.totals)) if self.grain == ENTITY else ()

    @property
    def totals(self) -> tuple[str, ...]:
        """Names of the columns of level entity that are totals, in order."""
        return tuple(column.name for column in self.columns if column.level == ENTITY and is_total(column.name))

    @property
    def num_entities(self) -> int:
        """Histories in the training data; 0 at grain row."""
        lengths = (column for column in self.columns if column.name == LENGTH)
        return sum(sum(column.counts) for column in lengths)

    def at_level(self, level: str) -> tuple[ColumnSpec, ...]:
        """The columns of one level, in order."""
        return tuple(column for column in self.columns if column.level == level)

    def to_json(self) -> str:
        columns = [vars(column) for column in self.columns]
        derived = [vars(each) for each in self.derived]
        parts = [vars(each) for each in self.parts]
        slates = None if self.slates is None else vars(self.slates)
        nested = {"columns": columns, "derived": derived, "parts": parts, "slates": slates}
        return json.dumps(vars(self) | nested, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "CodecSpec":
        """The codec of `to_json`; TypeError or KeyError where the text is none."""
        raw = json.loads(text)
        columns = tuple(ColumnSpec(**_frozen(column)) for column in raw.pop("columns"))
        derived = tuple(Derived(**each) for each in raw.pop("derived"))
        parts = tuple(Parts(**_frozen(each)) for each in raw.pop("parts"))
        slates = None if raw["slates"] is None else Slates(**raw["slates"])
        return cls(**_frozen(raw) | {"columns": columns, "derived": derived, "parts": parts, "slates": slates})


def _frozen(raw: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}

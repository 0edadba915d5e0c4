"""Names of the columns that stand for a part of another. No feature and no key begins like them."""

from clickweave.codec.spec import END_CLOCK, EVENT_CLOCK, EVENT_DAY, GAP, GAP_CLOCK, SINCE, SPAN, START_CLOCK, START_DAY

_DAYS, _CLOCK, _LENGTH = "days", "clock", "length"


def day_part(name: str) -> str:
    """The part of a time that counts days since 1970-01-01, UTC."""
    return f"part_{_DAYS}_{name}"


def clock_part(name: str) -> str:
    """The part of a time that counts microseconds since midnight, UTC."""
    return f"part_{_CLOCK}_{name}"


def since_part(name: str) -> str:
    """How many microseconds a time lies after event_time."""
    return f"part_{SINCE}_{name}"


def length_part(name: str) -> str:
    """How many pieces a text has."""
    return f"part_{_LENGTH}_{name}"


def numbered_part(name: str, number: int) -> str:
    """A digit of a vector or a piece of a text, from 0."""
    return f"part_{number}_{name}"


def counts_days(name: str) -> bool:
    """Whether a column holds days since 1970-01-01."""
    return name in (EVENT_DAY, START_DAY) or name.startswith(day_part(""))


def counts_microseconds(name: str) -> bool:
    """Whether a column holds times of day or durations."""
    clocks = (EVENT_CLOCK, START_CLOCK, GAP, GAP_CLOCK, SPAN, END_CLOCK)
    return name in clocks or name.startswith((clock_part(""), since_part("")))

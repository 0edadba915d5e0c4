"""The days that a run is asked for on the command line."""

import re
from datetime import date, timedelta

from clickweave.config.log import SchemaConfig
from clickweave.config.stages import IngestConfig
from clickweave.errors import ConfigError

MAX_DAYS = 3_660  # ten years: a version's record names each day
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def parse_days(text: str, log: SchemaConfig, ingest: IngestConfig) -> tuple[date, ...]:
    """Every day from A to B of `A..B`, or the one day `A`; UTC, both ends belong to it.

    Raises:
        ConfigError: the log has no times, or the text names no days, too many, the last one first, or days whose rows
            ingest calls bad.
    """
    if log.event_time is None:
        raise ConfigError("--partitions needs schema.event_time: rows without a time belong to no day")
    ends = [_day(part, text) for part in text.split("..")]
    if len(ends) > 2:
        raise ConfigError(f"--partitions {text!r} names more than two days; write 2026-11-01..2026-11-07")
    first, last = ends[0], ends[-1]
    if last < first:
        raise ConfigError(f"--partitions {text!r}: {last} comes before {first}; write the earlier day first")
    if first.isoformat() < ingest.earliest or last.isoformat() >= ingest.latest:
        raise ConfigError(
            f"--partitions {text!r} is not inside ingest.earliest {ingest.earliest} to ingest.latest {ingest.latest}"
        )
    num_days = (last - first).days + 1
    if num_days > MAX_DAYS:
        raise ConfigError(f"--partitions {text!r} names {num_days:,} days; {MAX_DAYS:,} is the most at once")
    return tuple(first + timedelta(days=number) for number in range(num_days))


def _day(part: str, text: str) -> date:
    try:
        if _DAY.fullmatch(part) is None:
            raise ValueError(part)
        return date.fromisoformat(part)
    except ValueError:
        raise ConfigError(
            f"--partitions {text!r}: {part!r} is not a day; write 2026-11-01 or 2026-11-01..2026-11-07"
        ) from None

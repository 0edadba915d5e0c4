import datetime as dt

import pytest

from clickweave.config.days import MAX_DAYS, parse_days
from clickweave.config.log import SchemaConfig
from clickweave.config.stages import IngestConfig
from clickweave.errors import ConfigError

LOG = SchemaConfig.model_validate({"item": "i", "event_time": {"column": "t"}})


def parsed(text, log=LOG, **ingest):
    return parse_days(text, log, IngestConfig(**ingest))


def test_both_ends_belong_to_the_days_and_one_day_is_enough():
    assert parsed("2026-11-01") == parsed("2026-11-01..2026-11-01") == (dt.date(2026, 11, 1),)
    leap = parsed("2024-02-27..2024-03-01")
    assert [day.isoformat() for day in leap] == ["2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is not a day"),
        ("2026-11-01..", "'' is not a day"),
        ("20261101", "'20261101' is not a day"),
        ("2026-W45-1", "is not a day"),
        ("2026-02-29", "'2026-02-29' is not a day"),
        ("2026-11-01 ..2026-11-02", "is not a day"),
        ("\uff12026-11-01", "is not a day"),
        ("2026-11-01..2026-11-02..2026-11-03", "names more than two days"),
        ("2026-11-02..2026-11-01", "2026-11-01 comes before 2026-11-02; write the earlier day first"),
        ("1969-12-31..1970-01-01", "not inside ingest.earliest 1970-01-01"),
        ("2099-12-31..2100-01-01", "ingest.latest 2100-01-01"),
        ("1980-01-01..1999-12-31", f"{MAX_DAYS:,} is the most"),
    ],
)
def test_what_names_no_days_is_told(text, said):
    with pytest.raises(ConfigError, match=said):
        parsed(text)


def test_a_log_without_times_has_no_days():
    with pytest.raises(ConfigError, match=r"--partitions needs schema\.event_time"):
        parsed("2026-11-01", SchemaConfig(user="u", item="i"))


def test_days_that_a_recipe_allows_are_allowed():
    assert len(parsed("9999-12-30", latest="9999-12-31")) == 1

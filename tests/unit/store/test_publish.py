from concurrent.futures import ThreadPoolExecutor

import pytest

from clickweave.contracts.days import PublishedDay, SourceDay
from clickweave.errors import ContractError, PublishError
from clickweave.store import files
from clickweave.store.publish import (
    Version,
    current_version,
    data_folder,
    event_folders,
    publish_days,
    publish_version,
    version_of,
)
from clickweave.store.workspace import Workspace


@pytest.fixture
def place(tmp_path):
    return Workspace(str(tmp_path))


def publish(place, run_key):
    return publish_version(place, dataset="d", run_key=run_key, path=data_folder(run_key, "a"))


def test_versions_count_from_one_and_the_newest_is_current(place):
    assert current_version(place) is None
    assert [publish(place, key).number for key in ("x", "y", "z")] == [1, 2, 3]
    assert current_version(place) == version_of(place, "z")
    assert version_of(place, "x").number == 1
    assert version_of(place, "other") is None


def test_concurrent_publishers_get_distinct_numbers_without_a_gap(place):
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda number: publish(place, f"run{number}"), range(24)))
    assert sorted(version.number for version in versions) == list(range(1, 25))
    assert all(version_of(place, version.run_key) == version for version in versions)


DAMAGED = '{"number": 2, "dataset": "d", "run_key": "x", "path": "p", "days": %s}'


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"number": 1}', "3", DAMAGED % "[]", DAMAGED % "3", DAMAGED % '{"2026-11-01": {}}']
)
def test_a_damaged_pointer_is_named_never_skipped(place, text):
    publish(place, "x")
    files.write_text(place.path("published/versions/000002.json"), text)
    for call in (lambda: current_version(place), lambda: version_of(place, "x"), lambda: publish(place, "y")):
        with pytest.raises(ContractError, match=r"000002\.json"):
            call()


def test_data_that_no_version_names_is_not_published(place):
    files.write_text(place.path(f"{data_folder('x', 'a')}/events/part.parquet"), "killed here")
    assert current_version(place) is None


def day(run_key, folder=None, rows=1):
    return PublishedDay(folder or f"{run_key}/events", rows, run_key, False, "log", SourceDay(rows, run_key))


def publish_by_day(place, run_key, names, prepare=None, **more):
    def papers(below, days, number):
        return f"{run_key}/v{number}"

    days = {name: day(run_key) for name in names}
    return publish_days(place, dataset="d", run_key=run_key, days=days, prepare=prepare or papers, **more)


def owners(version):
    return {name: one.run_key for name, one in version.days.items()}


def test_days_replace_their_own_and_carry_the_others(place):
    publish_by_day(place, "x", ["2026-11-01", "2026-11-02"])
    publish_by_day(place, "y", ["2026-11-02", "2026-11-03"])
    version = current_version(place)
    assert (version.number, version.path) == (2, "y/v2")
    assert owners(version) == {"2026-11-01": "x", "2026-11-02": "y", "2026-11-03": "y"}
    assert version.days["2026-11-01"] == day("x")


def test_events_are_the_union_of_the_folders_in_the_order_of_days(place):
    whole = publish(place, "whole")
    assert event_folders(place, whole) == [place.path("published/data/whole/a/events")]
    days = {"2026-11-02": day("x", "x/b"), "2026-11-01": day("x", "x/a"), "2026-11-03": PublishedDay(**EMPTY)}
    assert event_folders(place, Version(1, "d", "x", "p", days)) == [place.path("x/a"), place.path("x/b")]


EMPTY = {"folder": None, "rows": 0, "run_key": "x", "shareable": False, "source_path": None, "source": None}


def test_the_loser_of_a_number_keeps_the_days_of_the_winner(place):
    publish_by_day(place, "old", ["2026-11-01", "2026-11-09"])
    seen = []

    def outrun(below, days, number):
        seen.append((below.number, sorted(days), number))
        if len(seen) == 1:  # a rival is done while this publisher writes its papers
            publish_by_day(place, "rival", ["2026-11-01", "2026-11-02"])
        return f"late/v{number}"

    version = publish_by_day(place, "late", ["2026-11-03", "2026-11-09"], prepare=outrun)
    assert seen == [(1, ["2026-11-01", "2026-11-09"], 2), (2, ["2026-11-01", "2026-11-02", "2026-11-09"], 3)]
    assert (version.number, version.path) == (3, "late/v3")
    assert owners(current_version(place)) == {
        "2026-11-01": "rival", "2026-11-02": "rival", "2026-11-03": "late", "2026-11-09": "late"
    }  # fmt: skip


def test_of_many_publishers_at_once_no_day_is_lost(place):
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda n: publish_by_day(place, f"run{n}", [f"2026-11-{n + 1:02d}"]), range(16)))
    assert sorted(version.number for version in versions) == list(range(1, 17))
    assert owners(current_version(place)) == {f"2026-11-{n + 1:02d}": f"run{n}" for n in range(16)}


def test_days_of_a_whole_version_are_carried_only_if_they_were_split(place):
    whole = publish(place, "whole")
    with pytest.raises(PublishError, match="version 1 was published whole while this run wrote its days"):
        publish_by_day(place, "x", ["2026-11-01"])
    split = (whole, {"2026-10-31": day("whole")})
    publish_by_day(place, "x", ["2026-11-01"], split=split)
    late = publish_by_day(place, "y", ["2026-11-02"], split=split)
    assert owners(late) == {"2026-10-31": "whole", "2026-11-01": "x", "2026-11-02": "y"}
    publish(place, "other")
    with pytest.raises(PublishError, match="version 4 was published whole"):
        publish_by_day(place, "z", ["2026-11-03"], split=split)

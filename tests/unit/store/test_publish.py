from concurrent.futures import ThreadPoolExecutor

import pytest

from clickweave.errors import ContractError
from clickweave.store import files
from clickweave.store.publish import current_version, data_folder, publish_version, version_of
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


@pytest.mark.parametrize("text", ["", "{", "[]", '{"number": 1}', "3"])
def test_a_damaged_pointer_is_named_never_skipped(place, text):
    publish(place, "x")
    files.write_text(place.path("published/versions/000002.json"), text)
    for call in (lambda: current_version(place), lambda: version_of(place, "x"), lambda: publish(place, "y")):
        with pytest.raises(ContractError, match=r"000002\.json"):
            call()


def test_data_that_no_version_names_is_not_published(place):
    files.write_text(place.path(f"{data_folder('x', 'a')}/events/part.parquet"), "killed here")
    assert current_version(place) is None

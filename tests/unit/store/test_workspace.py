import pytest

from clickweave.contracts.manifest import Manifest, Output, canonical_json, digest
from clickweave.errors import ContractError, PublishError
from clickweave.store import files
from clickweave.store.workspace import Workspace


def manifest_of(stage, path, **more):
    fields = {"key": "k", "run_id": "k", "seed": 0, "config_hash": "c", "code_version": "v", "inputs": {}}
    return Manifest(stage=stage, outputs={"real": Output(path, 3)}, **fields | more)


@pytest.fixture
def place(tmp_path):
    return Workspace(str(tmp_path / "w"))


def attempt_with_data(place, stage="ingest"):
    attempt = place.new_attempt(stage)
    files.write_text(place.path(f"{attempt}/real/a.parquet"), "x")
    return attempt


def test_every_attempt_has_a_folder_of_its_own(place):
    assert len({place.new_attempt("ingest") for _ in range(100)}) == 100


def test_a_commit_keeps_the_new_attempt_and_removes_the_others(place):
    old, new = attempt_with_data(place), attempt_with_data(place)
    place.commit(manifest_of("ingest", f"{old}/real"))
    assert files.list_folders(place.path("ingest")) == [old.split("/")[1]]
    attempt_with_data(place)
    new = attempt_with_data(place)
    place.commit(manifest_of("ingest", f"{new}/real"))
    assert files.list_folders(place.path("ingest")) == [new.split("/")[1]]
    assert place.output("ingest", "real") == place.path(f"{new}/real")


def test_a_commit_that_cannot_write_its_manifest_removes_nothing(place, monkeypatch):
    old, new = attempt_with_data(place), attempt_with_data(place)
    files.write_text(place.path("ingest/manifest.json"), manifest_of("ingest", f"{old}/real").to_json())

    def refuse(*_):
        raise PublishError("full")

    monkeypatch.setattr(files, "write_text", refuse)
    with pytest.raises(PublishError):
        place.commit(manifest_of("ingest", f"{new}/real"))
    assert place.output("ingest", "real") == place.path(f"{old}/real")
    assert files.exists(place.path(f"{old}/real/a.parquet"))


def test_a_manifest_comes_back_as_it_was(place):
    attempt = attempt_with_data(place)
    written = manifest_of("ingest", f"{attempt}/real", rows={"in": 3}, fitted={"x": [1, None]}, metrics={"é": 0.5})
    place.commit(written)
    assert place.manifest("ingest") == written
    assert place.is_complete(written)


DAMAGED = [
    "",
    "{",
    "[]",
    "3",
    '"text"',
    "{}",
    '{"outputs": []}',
    '{"outputs": {"a": 3}}',
    '{"outputs": {}, "more": 1}',
    "\x00",
]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_manifest_means_that_the_stage_is_not_done(place, text):
    files.write_text(place.path("ingest/manifest.json"), text)
    assert place.manifest("ingest") is None
    with pytest.raises(ContractError, match="run `clickweave ingest` first"):
        place.output("ingest", "real")


def test_a_stage_whose_files_were_removed_is_not_complete(place):
    attempt = attempt_with_data(place)
    place.commit(manifest_of("ingest", f"{attempt}/real"))
    files.delete_dir(place.path(attempt))
    assert not place.is_complete(place.manifest("ingest"))


def test_an_absent_output_is_named(place):
    place.commit(manifest_of("ingest", f"{attempt_with_data(place)}/real"))
    with pytest.raises(ContractError, match="no items from stage ingest"):
        place.output("ingest", "items")


def test_equal_values_have_equal_digests_whatever_their_order():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.5})
    assert canonical_json({"b": 1, "a": None}) == '{"a":null,"b":1}'
    assert len(digest(None)) == 16

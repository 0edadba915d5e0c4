"""Bundles are data: anything changed, missing or executable is refused."""

import json
import pickle

import pytest
import torch
from safetensors.torch import save

from clickweave.errors import BundleError
from clickweave.training.bundle import MANIFEST, NAMES, TABLES, WEIGHTS, _json, _sha256, load_bundle_files, open_bundle
from clickweave.training.comms import NullComm
from clickweave.training.job import run_rank


@pytest.fixture
def content(toy_job):
    job = toy_job(epochs=1)
    run_rank(job, NullComm())
    return load_bundle_files(f"{job.out_dir}/bundle")


def replaced(content, name, data):
    """The bundle with one file changed and its SHA-256 made to fit."""
    listed = json.loads(content[MANIFEST])
    return {**content, name: data, MANIFEST: _json({**listed, name: _sha256(data)})}


def test_opened_bundle_samples_the_same_rows_each_time(content):
    first, again = (open_bundle(content).generator.sample(50, torch.Generator().manual_seed(3), 1.0) for _ in range(2))
    assert torch.equal(first.codes_BC, again.codes_BC) and torch.equal(first.positions_BP, again.positions_BP)


@pytest.mark.parametrize("name", NAMES)
def test_changed_file_is_refused(content, name):
    with pytest.raises(BundleError, match=f"{name} does not match its SHA-256"):
        open_bundle({**content, name: content[name] + b" "})


@pytest.mark.parametrize("name", [*NAMES, MANIFEST])
def test_missing_file_is_refused(content, name):
    with pytest.raises(BundleError, match=f"{name} is missing"):
        open_bundle({key: data for key, data in content.items() if key != name})


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(BundleError, match="is missing; train again"):
        load_bundle_files(str(tmp_path / "nothing"))


def test_pickle_is_refused_by_its_first_bytes(content, tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pt")
    for data in (pickle.dumps({"a": 1}), (tmp_path / "w.pt").read_bytes()):
        with pytest.raises(BundleError, match="is a pickle"):
            open_bundle(replaced(content, WEIGHTS, data))


def test_tensors_whose_length_begins_like_a_pickle_are_no_pickle(content):
    notes = ({"note": "x" * size} for size in range(0, 300, 8))
    harmless = next(data for note in notes if (data := save({}, note)).startswith(b"\x80"))
    assert open_bundle(replaced(content, TABLES, harmless)).codec


def test_weights_of_another_network_are_refused(content):
    with pytest.raises(BundleError, match="does not fit"):
        open_bundle(replaced(content, WEIGHTS, save({"other": torch.zeros(3)})))


def test_other_format_and_unknown_generator_are_refused(content):
    about = json.loads(content["model.json"])
    with pytest.raises(BundleError, match="format 'x'"):
        open_bundle(replaced(content, "model.json", _json({**about, "format": "x"})))
    with pytest.raises(BundleError, match="'x' is unknown"):
        open_bundle(replaced(content, "model.json", _json({**about, "generator": "x"})))


def test_files_that_are_not_json_are_refused(content):
    with pytest.raises(BundleError):
        open_bundle(replaced(content, "codec.json", b"{"))
    with pytest.raises(BundleError, match="is not JSON"):
        open_bundle({**content, MANIFEST: b"{"})

"""`clickweave report` and `clickweave compare` on reports that need no run."""

import copy
import json

import pages
import pytest

from clickweave.contracts.manifest import Manifest, Output
from clickweave.jobkit.compare import differences
from clickweave.store.workspace import Workspace


def written(folder, report):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report))
    return folder


@pytest.fixture
def runs(tmp_path):
    """Two published folders: B has a better F1, no U1, and another ratio."""
    first = pages.full_report()
    second = copy.deepcopy(first)
    first["run"]["settings"] = {"mix": {"strategy": "share", "how": {"ratio": 0.25}}, "train": {"seed": 0}}
    second["run"]["settings"] = {"mix": {"strategy": "share", "how": {"ratio": 1.0}}, "train": {"seed": 0}}
    second["rows"] = [row for row in second["rows"] if row["id"] != "U1"]
    second["rows"][0] |= {"score": first["rows"][0]["score"] - 0.03, "grade": "red"}
    return written(tmp_path / "a", first), written(tmp_path / "b", second)


def line_of(text, start):
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return line


def test_two_versions_stand_side_by_side(cli, runs):
    done = cli("compare", *runs)
    assert done.code == 0, done.err
    line = line_of(done.out, "F1")
    for word in ("99.40%", "green", "96.40%", "red", "-3.00 pp"):
        assert word in line
    assert "96.80%" in line_of(done.out, "U1")
    assert line_of(done.out, "mix.how.ratio").split() == ["mix.how.ratio", "0.25", "1.0"]
    assert "train.seed" not in done.out


@pytest.mark.parametrize("command", ["compare", "report"])
def test_what_is_printed_is_narrow_and_without_colour(cli, runs, tmp_path, command):
    done = cli("compare", *runs) if command == "compare" else cli("report", "--workspace", evaluated(tmp_path))
    assert done.code == 0, done.err
    shown = [line for line in done.out.splitlines() if str(tmp_path) not in line]  # a path is as long as it is
    assert max(map(len, shown)) <= 100
    assert "\x1b" not in done.out


def evaluated(tmp_path):
    """A workspace whose evaluation is done."""
    place = tmp_path / "workspace"
    written(place / "evaluate" / "one" / "report", pages.full_report(pages.MOVED))
    about = {"key": "k", "run_id": "k", "seed": 0, "config_hash": "", "code_version": "", "inputs": {}, "rows": {}}
    Workspace(str(place)).commit(Manifest(stage="evaluate", outputs={"report": Output("evaluate/one/report")}, **about))
    return place


def test_report_prints_verdict_findings_and_what_was_loosened(cli, tmp_path):
    done = cli("report", "--workspace", evaluated(tmp_path))
    assert "Nothing blocks a publication" in done.out
    assert "≥ 90% loosened" in line_of(done.out, "F1")
    assert "no measurable uplift" in " ".join(done.out.split())


def test_a_workspace_a_folder_and_a_file_can_be_compared(cli, runs, tmp_path):
    place = evaluated(tmp_path)
    for first, second in ((place, runs[0]), (runs[0] / "report.json", place)):
        assert cli("compare", first, second).code == 0


def test_equal_runs_differ_in_no_setting(cli, runs):
    done = cli("compare", runs[0], runs[0])
    assert "no setting differs" in done.out


@pytest.mark.parametrize("content", [None, "{", "[]", '{"rows": []}'])
def test_what_is_no_report_is_refused_in_one_line_that_names_it(cli, runs, tmp_path, content):
    place = tmp_path / "other"
    place.mkdir()
    if content is not None:
        (place / "report.json").write_text(content)
    done = cli("compare", runs[0], place)
    assert done.code == 3
    assert str(place) in done.complaint


def test_one_run_alone_cannot_be_compared(cli, runs):
    assert cli("compare", runs[0]).code == 2


def test_settings_that_a_report_does_not_tell_are_not_called_equal(cli, runs, tmp_path):
    other = written(tmp_path / "shared", pages.full_report())
    done = cli("compare", runs[0], other)
    assert done.code == 0
    assert "a report does not tell them" in done.out
    assert "no setting differs" not in done.out


def test_differences_name_nested_settings_and_those_of_one_side_alone():
    first, second = {"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"b": 1, "c": [2]}, "e": {"f": None}}
    assert list(differences(first, second)) == [
        ("a.c", [1], [2]), ("d", 2, "(not set)"), ("e.f", "(not set)", None),
    ]  # fmt: skip

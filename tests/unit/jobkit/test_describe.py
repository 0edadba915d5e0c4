import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from clickweave.config.load import check_recipe
from clickweave.jobkit.cli import VARIANTS, app
from clickweave.jobkit.describe import describe_recipe
from clickweave.jobkit.pipeline import STAGES

ROOT = Path(__file__).parents[3]


def describe(events="none.parquet", **schema):
    raw = {"dataset": "d", "source": {"events": events}, "schema": {"item": "i"} | schema}
    return describe_recipe(check_recipe(raw, VARIANTS))


def test_a_recipe_is_described_before_its_data_is_there():
    said = describe()
    assert "not there yet" in said
    assert "cost       unknown before the log is read" in said


def test_rows_come_from_footers(tmp_path):
    pq.write_table(pa.table({"i": range(1234)}), tmp_path / "a.parquet")
    assert "1,234 rows" in describe(str(tmp_path))
    (tmp_path / "b.parquet").write_text("not parquet")
    assert "size unknown before reading" in describe(str(tmp_path))


@pytest.mark.parametrize(
    ("schema", "entity"),
    [
        ({"user": "u"}, "the user (u)"),
        ({"session": "s"}, "the session (s)"),
        ({}, "the row"),
        ({"query": "q", "item": None}, "the row"),
    ],
)
def test_the_entity_is_said(schema, entity):
    assert f"entity     {entity}" in describe(**schema)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"click": "c", "like": {"column": "r", "at_least": 4}}, "click (c) < like (r >= 4)"),
        ({"column": "b", "order": ["view", "buy"]}, "view < buy in b"),
        (None, "none: every row is a positive"),
    ],
)
def test_labels_are_said_weakest_first(labels, said):
    assert said in describe(labels=labels)


def test_every_stage_is_named():
    assert " > ".join(STAGES) in describe()


def test_the_command_line_ends_with_the_errors_exit_code_and_one_line(tmp_path):
    missing = CliRunner().invoke(app, ["describe", str(tmp_path / "none.yaml")])
    assert (missing.exit_code, missing.stdout) == (2, "")
    assert missing.stderr.startswith("clickweave: ")
    assert missing.stderr.count("\n") == 1
    nothing = CliRunner().invoke(
        app, ["export", "--workspace", str(tmp_path), "--table", "train", "--out", "x.parquet"]
    )
    assert nothing.exit_code == 3
    assert CliRunner().invoke(app, ["report", "--workspace", str(tmp_path)]).exit_code == 3


def test_defaults_are_printed_as_they_stand_in_conf():
    printed = CliRunner().invoke(app, ["describe", "--defaults"])
    assert printed.stdout == (ROOT / "conf/base.yaml").read_text(encoding="utf-8")


def test_describe_starts_no_spark(monkeypatch):
    monkeypatch.setitem(sys.modules, "py4j.java_gateway", None)
    assert CliRunner().invoke(app, ["describe", str(ROOT / "conf/recipes/movielens.yaml")]).exit_code == 0

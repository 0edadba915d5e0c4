"""Bad recipes, arguments and data: the right exit code and one line that says what, where and what to do."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import toys


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """A small good log; tests change the recipe or the file."""
    folder = tmp_path_factory.mktemp("bad")
    return folder, toys.movielens(folder)


def run(cli, toy, tmp_path, *args, recipe=None, **changes):
    _, good = toy
    path = toys.write_recipe(tmp_path, recipe or good, **changes)
    return cli("run", path, "--workspace", tmp_path / "workspace", *args)


RECIPES = {
    "unknown key": ({"train": {"epoch": 3}}, ("train.epoch", "'epochs'")),
    "wrong type": ({"train": {"epochs": "many"}}, ("train.epochs", "'many'")),
    "not there": ({"mix": {"strategy": "balans"}}, ("balans", "unknown", "balance")),
    "not in this log": ({"mix": {"strategy": "blend"}}, ("blend", "numeric or vector event feature")),
    "unknown gate": ({"evaluate": {"gates": {"F99": "block"}}}, ("F99", "F8")),
}


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_bad_recipe_stops_before_spark(cli, toy, tmp_path, no_spark, name):
    changes, said = RECIPES[name]
    done = run(cli, toy, tmp_path, **changes)
    assert done.code == 2
    assert all(part in done.complaint for part in said), done.complaint
    assert "Traceback" not in done.err
    assert not (tmp_path / "workspace").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("train.epochs",), ("train.epochs", "section.key=value")),
        (("train.epochs=-1",), ("train.epochs", "-1")),
        (("--from", "brew"), ("'brew'", "ingest")),
        (("--from", "mix", "--to", "encode"), ("mix", "encode")),
        (("--profile", "moon"), ("moon", "local")),
        (("--partitions", "2026-11"), ("--partitions", "'2026-11' is not a day")),
        (("--partitions", "2026-11-02..2026-11-01"), ("--partitions", "write the earlier day first")),
    ],
)
def test_a_bad_argument_stops_before_spark(cli, toy, tmp_path, no_spark, args, said):
    done = run(cli, toy, tmp_path, *args)
    assert done.code == 2
    assert all(part in done.complaint for part in said), done.complaint


def test_a_missing_recipe_in_a_process_of_its_own(process, tmp_path):
    done = process("clickweave", "run", tmp_path / "none.yaml", "--workspace", tmp_path / "w", env={"JAVA_HOME": "/no"})
    assert done.code == 2
    assert done.err.splitlines() == [f"clickweave: {tmp_path}/none.yaml: no such file"]
    debug = process("clickweave", "run", tmp_path / "none.yaml", "--workspace", tmp_path / "w", "--debug")
    assert debug.code == 2
    assert "Traceback" in debug.err
    assert debug.complaint == done.complaint


def test_a_later_stage_says_what_must_run_first(cli, toy, tmp_path, no_spark):
    done = run(cli, toy, tmp_path, "--from", "mix")
    assert done.code == 3
    assert "ingest" in done.complaint
    assert "--from" in done.complaint


def test_a_missing_log_is_found_without_spark(cli, toy, tmp_path, no_spark):
    done = run(cli, toy, tmp_path, source={"events": str(tmp_path / "none.parquet")})
    assert done.code == 3
    assert all(part in done.complaint for part in ("none.parquet", "source.events")), done.complaint


@pytest.mark.parametrize("keep", [0, 40, 5_000])
def test_a_truncated_log_is_named(cli, toy, tmp_path, keep):
    path = tmp_path / "events.parquet"
    path.write_bytes((toy[0] / "events.parquet").read_bytes()[:keep])
    done = run(cli, toy, tmp_path, source={"events": str(path)})
    assert done.code == 3
    assert str(path) in done.complaint
    assert "Traceback" not in done.err


def _column(name, values):
    def change(table):
        return table.set_column(table.schema.get_field_index(name), name, pa.array(values(table.num_rows)))

    return change


LOGS = {
    "missing column": (lambda table: table.drop_columns("item_id"), ("'item_id'", "schema.item")),
    "time that does not parse": (
        _column("timestamp", lambda n: ["yesterday"] * n),
        ("event_time (timestamp)", "does not parse", "yesterday"),
    ),
    "empty log": (lambda table: table.slice(0, 0), ("events.parquet", "no rows")),
    "label that is always 0": (_column("rating", lambda n: np.ones(n, "int64")), ("'click'", "schema.labels")),
    "one user": (_column("user_id", lambda n: np.ones(n, "int64")), ("1 distinct", "split")),
    "unknown items": (_column("item_id", lambda n: np.arange(n) + 40), ("item_id is not in items", "max_quarantine")),
}


@pytest.mark.parametrize("name", list(LOGS))
def test_a_bad_log_stops_in_ingest(cli, toy, tmp_path, name):
    change, said = LOGS[name]
    path = tmp_path / "events.parquet"
    pq.write_table(change(pq.read_table(toy[0] / "events.parquet")), path)
    done = run(cli, toy, tmp_path, "--to", "ingest", source={"events": str(path)})
    assert done.code == 3, done.err
    assert all(part in done.complaint for part in said), done.complaint
    assert "Traceback" not in done.err
    assert not (tmp_path / "workspace/ingest/manifest.json").exists()


def test_debug_shows_the_stack_trace(cli, toy, tmp_path):
    done = run(cli, toy, tmp_path, "--debug", source={"events": str(tmp_path / "none.parquet")})
    assert done.code == 3
    assert "Traceback" in done.err
    assert "none.parquet" in done.complaint


def test_export_of_what_is_not_there(cli, tmp_path, no_spark):
    for table in ("train", "synthetic", "published"):
        done = cli("export", "--workspace", tmp_path / "w", "--table", table, "--out", tmp_path / "a.parquet")
        assert done.code == 3
        assert "clickweave" in done.complaint.removeprefix("clickweave: ")
    done = cli("export", "--workspace", tmp_path / "w", "--table", "rows", "--out", tmp_path / "a.parquet")
    assert done.code == 2
    assert "'rows'" in done.complaint


def test_export_to_a_place_that_takes_no_files(movielens, cli, tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file/a.parquet", "/proc/a.parquet"):
        done = cli("export", "--workspace", movielens.place, "--table", "train", "--out", out)
        assert done.code == 6
        assert str(out) in done.complaint


def test_a_workspace_that_takes_no_files(movielens, cli, tmp_path, no_spark):
    (tmp_path / "file").write_text("")
    done = cli("run", movielens.recipe, "--workspace", tmp_path / "file")
    assert done.code == 6
    assert str(tmp_path / "file") in done.complaint


def test_a_gate_that_refuses_publishes_nothing_and_keeps_the_report(copied, cli):
    gates = "evaluate.gates={F1: block, F4: block, U3: grade, P1: grade, P2: grade, P3: grade, P4: grade}"
    untrained = ("train.learning_rate=1e-9", "align.calibrate_numbers=false", "align.privacy_filter=false")
    done = cli("run", copied.recipe, "--workspace", copied.place, gates, *untrained)
    assert done.code == 5
    assert "publish: refused" in done.complaint
    assert "F1" in done.complaint
    assert [version["number"] for version in copied.versions()] == [1]
    report = copied.output("evaluate", "report") / "report.html"
    assert report.exists()
    assert str(report) in done.complaint


def test_a_tampered_bundle_is_not_sampled(copied, cli):
    weights = copied.output("train", "bundle") / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    (copied.place / "sample/manifest.json").unlink()
    done = cli("sample", copied.recipe, "--workspace", copied.place)
    assert done.code == 3
    assert all(part in done.complaint for part in ("weights.safetensors", "SHA-256")), done.complaint

"""From the raw log to the published version."""

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import toys

STAGES = ("ingest", "augment", "encode", "train", "sample", "align", "mix", "evaluate", "publish")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def export(cli, tmp_path_factory):
    """A function that exports a table of a run and reads the file."""
    folder = tmp_path_factory.mktemp("exports")

    def export(run, table, *options):
        out = folder / f"{run.place.parent.name}-{run.place.name}-{table}.parquet"
        done = cli("export", "--workspace", run.place, "--table", table, "--out", out, *options)
        assert done.code == 0, done.err
        return pq.read_table(out)

    return export


def raw(run):
    return pq.read_table(run.recipe.parent / "events.parquet")


def test_spark_submit_takes_the_raw_log_to_a_published_version(movielens):
    assert [version["number"] for version in movielens.versions()] == [1]
    assert set(movielens.manifests()) == set(STAGES)
    assert "published: toy version 1" in movielens.out
    folder = movielens.place / movielens.versions()[0]["path"]
    assert {path.name for path in folder.iterdir()} == {
        *("events", "items", "users"),
        *("manifest.json", "DATA_CARD.md", "report.html", "report.json"),
    }
    assert pq.read_table(folder / "events").num_rows == movielens.manifest("mix")["outputs"]["mixed"]["rows"]


def test_a_stage_job_runs_its_stage_alone(movielens, process, tmp_path):
    place = tmp_path / "workspace"
    args = ("--master", "local[2]", ROOT / "jobs/ingest.py", movielens.recipe, "--workspace", place)
    done = process("spark-submit", *args)
    assert done.code == 0, done.err
    alone = toys.Run(movielens.recipe, place)
    assert list(alone.manifests()) == ["ingest"]
    assert alone.manifest("ingest")["rows"] == movielens.manifest("ingest")["rows"]


def test_a_rerun_does_nothing_says_so_and_starts_no_spark(movielens, process):
    before, started = movielens.manifests(), time.monotonic()
    # a JVM cannot start where there is no java
    done = process("clickweave", "run", movielens.recipe, "--workspace", movielens.place, env={"JAVA_HOME": "/none"})
    assert done.code == 0, done.err
    assert time.monotonic() - started < 30
    assert "nothing to do" in done.out
    assert "published: toy version 1" in done.out
    assert movielens.manifests() == before
    assert [event["event"] for event in movielens.events()[-9:]] == ["skip"] * 9


def test_changing_mix_reruns_what_depends_on_it_and_going_back_makes_the_old_data_current(copied, cli):
    before = copied.manifests()
    done = cli("run", copied.recipe, "--workspace", copied.place, "mix.synthetic_per_real=0.1")
    assert done.code == 0, done.err
    after = copied.manifests()
    changed = {stage for stage in STAGES if before[stage] != after[stage]}
    assert changed == {"mix", "evaluate", "publish"}
    assert all(before[stage]["key"] != after[stage]["key"] for stage in changed)
    told = [(event["stage"], event["event"]) for event in copied.events() if event["event"] != "progress"][-12:]
    assert told[:6] == [(stage, "skip") for stage in STAGES[:6]]
    assert told[6:] == [(stage, event) for stage in STAGES[6:] for event in ("start", "done")]
    assert [version["number"] for version in copied.versions()] == [1, 2]
    assert "version 2" in done.out
    assert cli("run", copied.recipe, "--workspace", copied.place).code == 0
    first, second, third = copied.versions()
    assert (third["run_key"], third["path"]) == (first["run_key"], first["path"])
    assert second["path"] != first["path"]


def test_publishing_the_same_key_again_makes_no_second_version(copied, cli):
    (copied.place / "publish/manifest.json").unlink()
    done = cli("publish", copied.recipe, "--workspace", copied.place)
    assert done.code == 0, done.err
    assert [version["number"] for version in copied.versions()] == [1]


@pytest.mark.parametrize("partitions", [1, 7])
def test_the_same_seed_gives_the_same_bytes_on_any_partitioning(movielens, cli, export, tmp_path, partitions):
    place = tmp_path / f"on{partitions}"
    spark = {
        "spark.sql.files.maxPartitionBytes": 20_000 * partitions,
        "spark.sql.files.openCostInBytes": 0,
        "spark.sql.adaptive.coalescePartitions.enabled": False,
    }
    conf = "{" + ", ".join(f"{key}: '{value}'" for key, value in spark.items()) + "}"
    overrides = (f"spark.shuffle_partitions={partitions}", f"spark.conf={conf}", f"spark.master=local[{partitions}]")
    done = cli("run", movielens.recipe, "--workspace", place, "--to", "mix", *overrides)
    assert done.code == 0, done.err
    other = toys.Run(movielens.recipe, place)
    for table in ("train", "augmented", "synthetic", "mixed"):
        one, two = toys.sorted_rows(export(movielens, table)), toys.sorted_rows(export(other, table))
        assert one.schema == two.schema
        assert one.equals(two), table


def test_exported_parts_hold_each_row_of_the_log_once(movielens, export):
    parts = [export(movielens, "train"), export(movielens, "holdout")]
    mixed = export(movielens, "mixed")
    names = raw(movielens).schema.names
    real = mixed.filter(pc.equal(mixed["origin"], "real")).select(names)
    together = toys.sorted_rows(pa.concat_tables([real, parts[1]]))
    deduplicated = raw(movielens).group_by(names).aggregate([]).select(names)
    assert together.equals(toys.sorted_rows(deduplicated))
    assert set(map(str, parts[0].to_pylist())) <= set(map(str, real.to_pylist()))
    rows = movielens.manifest("ingest")["rows"]
    assert rows["train"] + rows["reference"] + rows["holdout"] + rows["duplicates"] == raw(movielens).num_rows
    assert rows["reference"] == real.num_rows - parts[0].num_rows > 0


def test_exported_synthetic_rows_fit_the_log(movielens, export):
    synthetic, train = export(movielens, "synthetic"), export(movielens, "train")
    assert synthetic.schema.names == raw(movielens).schema.names
    assert synthetic.schema.types == raw(movielens).schema.types
    assert 0.9 * train.num_rows < synthetic.num_rows <= train.num_rows  # some are copies
    assert not set(synthetic["user_id"].to_pylist()) & set(raw(movielens)["user_id"].to_pylist())
    assert set(synthetic["item_id"].to_pylist()) <= set(train["item_id"].to_pylist())
    assert set(synthetic["rating"].to_pylist()) <= {1, 2, 3, 4, 5}
    inside = pc.min_max(train["timestamp"]).as_py()
    found = pc.min_max(synthetic["timestamp"]).as_py()
    assert inside["min"] <= found["min"] <= found["max"] <= inside["max"]


def test_the_report_is_one_small_page_that_loads_nothing(movielens):
    page = (movielens.output("evaluate", "report") / "report.html").read_text()
    assert len(page) < 2_000_000
    loads = [part for part in ('src="http', "src='http", "url(http", "@import", "<link", 'src="//') if part in page]
    assert not loads


def test_report_prints_the_verdicts(movielens, cli, no_spark):
    done = cli("report", "--workspace", movielens.place)
    assert done.code == 0
    assert "column shapes" in done.out
    assert "report.html" in done.out


def test_no_synthetic_rows_is_a_legal_answer(copied, cli, export):
    done = cli("run", copied.recipe, "--workspace", copied.place, "sample.entities=0")
    assert done.code == 0, done.err
    assert [version["number"] for version in copied.versions()] == [1, 2]
    assert export(copied, "synthetic").num_rows == 0
    assert set(export(copied, "published")["origin"].to_pylist()) == {"real", "augmented"}

"""Files that are the same bytes each time."""

import hashlib
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from clickweave.store import sorted_files
from clickweave.store.sorted_files import write_by_day, write_sorted


@pytest.fixture
def few_rows_a_file(monkeypatch):
    monkeypatch.setattr(sorted_files, "FILE_ROWS", 40)


def contents(folder):
    """Digest of each file's bytes, by folder, without names."""
    found = {}
    for path in sorted(Path(folder).rglob("*.parquet")):
        found.setdefault(path.parent.name, []).append(hashlib.sha256(path.read_bytes()).hexdigest())
    return {name: sorted(digests) for name, digests in found.items()}


def rows(spark, partitions):
    day = F.element_at(
        F.array(F.lit("2026-11-01"), F.lit("2026-11-02"), F.lit("other")), F.col("id").cast("int") % 3 + 1
    )
    table = spark.range(300).select(F.xxhash64("id").alias("row_id"), day.alias("date"), (F.col("id") / 7).alias("x"))
    return table.repartition(partitions, "x")


def test_days_are_the_same_bytes_on_any_partitioning(spark, tmp_path, few_rows_a_file):
    counts = {"2026-11-01": 100, "2026-11-02": 100}
    for partitions in (1, 7):
        write_by_day(rows(spark, partitions), str(tmp_path / f"{partitions}"), day="date", key="row_id", rows=counts)
    one, two = contents(tmp_path / "1"), contents(tmp_path / "7")
    assert one == two
    assert {name: len(files) for name, files in one.items()} == {"date=2026-11-01": 3, "date=2026-11-02": 3}
    for path in (tmp_path / "1").rglob("*.parquet"):
        table = pq.ParquetFile(path).read()
        assert table.column_names == ["row_id", "x"]
        assert table["row_id"].to_pylist() == sorted(table["row_id"].to_pylist())
    assert sum(pq.read_metadata(path).num_rows for path in (tmp_path / "1").rglob("*.parquet")) == 200


def test_a_table_without_rows_or_days_is_written(spark, tmp_path):
    write_by_day(rows(spark, 2), str(tmp_path / "none"), day="date", key="row_id", rows={})
    assert contents(tmp_path / "none") == {}
    write_sorted(rows(spark, 2).limit(0), str(tmp_path / "empty"), key="row_id", rows=0)
    assert pq.read_table(tmp_path / "empty").num_rows == 0


def test_a_sorted_table_is_the_same_bytes_on_any_partitioning(spark, tmp_path, few_rows_a_file):
    for partitions in (1, 7):
        write_sorted(rows(spark, partitions), str(tmp_path / f"t{partitions}/table"), key="row_id", rows=300)
    assert contents(tmp_path / "t1") == contents(tmp_path / "t7")
    assert len(contents(tmp_path / "t1")["table"]) == 8

import csv
import gzip
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

from clickweave.config.log import FileSource
from clickweave.errors import ContractError, PublishError
from clickweave.store.tables import count_rows, footer_rows, read_raw, read_table, source_format, write_table


@pytest.fixture
def lay(tmp_path):
    """name -> text, bytes or an Arrow table, as files below one folder; returns the folder."""

    def make(**content):
        folder = tmp_path / "log"
        folder.mkdir(exist_ok=True)
        for name, data in content.items():
            path = folder / name.replace("__", ".")
            if isinstance(data, pa.Table):
                pq.write_table(data, path)
            else:
                path.write_bytes(data.encode() if isinstance(data, str) else data)
        return str(folder)

    return make


def read(spark, path, **more):
    frame = read_raw(spark, FileSource(path=path, **more), "events")
    assert frame.columns == ["source", "raw_text"]
    return frame


def values(frame):
    return sorted((tuple(row["source"]) for row in frame.collect()), key=str)


def test_csv_is_text_as_it_stands_and_bad_records_keep_their_text(spark, lay):
    folder = lay(a__csv='user.id,my query\n007,"say ""hi"", you"\n2,back\\slash\n3,\n4\n5,a,b\n')
    found = {
        row["source"]["user.id"]: (row["source"]["my query"], row["raw_text"]) for row in read(spark, folder).collect()
    }
    assert found["007"] == ('say "hi", you', None)
    assert found["2"] == ("back\\slash", None)
    assert found["3"] == (None, None)
    assert (found["4"][1], found["5"][1]) == ("4", "5,a,b")


def test_what_python_writes_as_csv_comes_back(spark, lay):
    folder = lay()
    texts = ['"', '""', "a,b", "it's", "\\", '\\"', "é", 'x"y']
    with open(f"{folder}/a.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([["n", "q"], *enumerate(texts)])
    found = {int(row["source"]["n"]): row["source"]["q"] for row in read(spark, folder).collect()}
    assert found == dict(enumerate(texts))


def test_packed_csv_files_with_one_header_are_one_table(spark, lay):
    folder = lay(
        a__csv="u,i\n1,2\n", b__csv__gz=gzip.compress(b"u,i\n3,4\n"), c__csv=b"\xef\xbb\xbfu,i\r\n5,6\r\n", _SUCCESS=""
    )
    assert values(read(spark, folder)) == [("1", "2"), ("3", "4"), ("5", "6")]


def test_csv_files_with_another_order_of_columns_are_refused(spark, lay):
    with pytest.raises(ContractError, match=r"b\.csv has columns \['i', 'u'\], but .*a\.csv has \['u', 'i'\]"):
        read(spark, lay(a__csv="u,i\n1,2\n", b__csv="i,u\n2,1\n"))


def test_json_records_that_do_not_parse_keep_their_text(spark, lay):
    folder = lay(a__jsonl='{"u": 1, "tags": ["a"]}\n{"u": \nnonsense\n{"u": 2, "tags": null}\n')
    rows = read(spark, folder).collect()
    assert {row["raw_text"] for row in rows} == {None, "nonsense", '{"u": '}
    assert {row["source"]["u"] for row in rows if row["raw_text"] is None} == {1, 2}


def test_parquet_keeps_order_types_and_odd_names(spark, lay):
    table = pa.table(
        {
            "B col.x": pa.array([1], pa.int32()),
            "a`b": pa.array(["x"]).dictionary_encode(),
            "props": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            "when": pa.array([1], pa.timestamp("ms")),
        }
    )
    frame = read(spark, lay(a__parquet=table))
    kinds = [(field.name, field.dataType.simpleString()) for field in frame.schema["source"].dataType]
    assert kinds == [("B col.x", "int"), ("a`b", "string"), ("props", "map<string,bigint>"), ("when", "timestamp_ntz")]
    assert frame.first()["source"]["B col.x"] == 1


def test_whole_numbers_may_be_wider_in_another_file(spark, lay):
    narrow, wide = pa.table({"u": pa.array([1], pa.int32())}), pa.table({"u": pa.array([2**40], pa.int64())})
    assert values(read(spark, lay(a__parquet=narrow, b__parquet=wide))) == [(1,), (2**40,)]


BAD = {
    "truncated": (
        lambda good: {"a__parquet": good, "b__parquet": b"PAR1 and no more"},
        r"b\.parquet is not readable Parquet",
    ),
    "empty file": (lambda good: {"a__parquet": good, "b__parquet": b""}, r"b\.parquet is not readable"),
    "a column less": (
        lambda good: {"a__parquet": good, "b__parquet": good.drop_columns("i")},
        r"b\.parquet has no column 'i'",
    ),
    "a column more": (
        lambda good: {"a__parquet": good, "b__parquet": good.append_column("x", pa.array([1]))},
        r"b\.parquet has column 'x', which .*a\.parquet lacks",
    ),
    "another type": (
        lambda good: {"a__parquet": good, "b__parquet": pa.table({"u": ["x"], "i": [1]})},
        r"column 'u' is string in .*b\.parquet, but int64 in",
    ),
    "nanoseconds": (
        lambda _: {"a__parquet": pa.table({"t": pa.array([1], pa.timestamp("ns"))})},
        "column 't' in .* holds nanoseconds, which Spark cannot read; write it in microseconds",
    ),
    "names by case": (lambda _: {"a__parquet": pa.table({"Item": [1], "item": [2]})}, "COLUMN_ALREADY_EXISTS"),
    "nothing": (lambda _: {}, "no such file or folder, or it is empty; see source.events"),
    "only hidden files": (lambda _: {"_SUCCESS": b""}, "or it is empty"),
    "an empty CSV file": (lambda _: {"a__csv": b""}, "has no columns"),
    "no known suffix": (lambda _: {"a__dat": b"x"}, "cannot tell the format"),
}


@pytest.mark.parametrize("case", BAD)
def test_an_unreadable_log_is_named_in_one_line(spark, lay, case):
    content, said = BAD[case]
    folder = lay(**content(pa.table({"u": [1], "i": [2]})))
    with pytest.raises(ContractError, match=said) as caught:
        read(spark, folder)
    assert "\n" not in str(caught.value)


def test_a_missing_table_of_the_catalog_is_a_contract_error(spark):
    with pytest.raises(ContractError, match="TABLE_OR_VIEW_NOT_FOUND"):
        read(spark, "no_such_table", format="table")


def test_a_glob_names_its_files(spark, lay):
    folder = lay(a1__csv="u\n1\n", a2__csv="u\n2\n", b__csv="v\n3\n")
    assert values(read(spark, f"{folder}/a*.csv")) == [("1",), ("2",)]
    assert source_format(FileSource(path=f"{folder}/a*"), "events") == "csv"
    assert source_format(FileSource(path=folder, format="json"), "events") == "json"


def test_a_table_is_written_once_into_a_fresh_folder(spark, tmp_path):
    path = str(tmp_path / "t")
    table = spark.range(10).withColumn("part", F.when(F.col("id") < 3, "a").otherwise("b"))
    write_table(table, path, partition_by="part")
    assert (count_rows(path), sorted(os.listdir(path))) == (10, ["._SUCCESS.crc", "_SUCCESS", "part=a", "part=b"])
    assert sum(rows for _, rows in footer_rows(path)) == read_table(spark, path).count() == 10
    with pytest.raises(PublishError, match="already holds files"):
        write_table(table, path)

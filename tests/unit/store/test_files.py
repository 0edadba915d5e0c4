import gzip
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from clickweave.errors import ContractError, PublishError
from clickweave.store import files


def test_what_is_written_is_read_back_and_no_temporary_file_stays(tmp_path):
    path = str(tmp_path / "new/folder/x.json")
    files.write_json(path, {"b": 1, "a": [2]})
    files.write_json(path, {"b": 2})
    assert files.read_json(path) == {"b": 2}
    assert os.listdir(tmp_path / "new/folder") == ["x.json"]


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = str(tmp_path / "x")
    contents = [bytes([number]) * 200_000 for number in range(20)]
    files.write_bytes(path, contents[0])
    with ThreadPoolExecutor(4) as pool:
        writes = [pool.submit(files.write_bytes, path, content) for content in contents]
        while not all(write.done() for write in writes):
            assert files.read_bytes(path) in contents
    assert [write.result() for write in writes] == [None] * 20


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = str(tmp_path / "x")
    files.write_bytes(path, b"old")
    monkeypatch.setattr(files.os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(PublishError, match="No space left"):
        files.write_bytes(path, b"new")
    assert files.read_bytes(path) == b"old"
    assert files.list_files(str(tmp_path)) == [path]


def test_of_many_creators_exactly_one_wins(tmp_path):
    path = str(tmp_path / "000001.json")
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: files.create_exclusive(path, str(number).encode()), range(40)))
    assert won.count(True) == 1
    assert files.read_bytes(path) == str(won.index(True)).encode()
    assert os.listdir(tmp_path) == ["000001.json"]


def test_hidden_files_are_no_data(tmp_path):
    for name in (
        "b.parquet",
        "a.parquet",
        "_SUCCESS",
        ".b.parquet.crc",
        "_temporary/0/c.parquet",
        "d/e.parquet",
        "f.tmp",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = [os.path.relpath(path, tmp_path) for path in files.list_files(str(tmp_path))]
    assert found == ["a.parquet", "b.parquet", "d/e.parquet"]
    assert files.list_files(str(tmp_path), "e.parquet") == [str(tmp_path / "d/e.parquet")]
    assert files.list_files(str(tmp_path / "absent")) == []


def test_a_folder_below_a_hidden_one_is_still_read(tmp_path):
    (tmp_path / "_work/data").mkdir(parents=True)
    (tmp_path / "_work/data/a.csv").write_text("x")
    assert len(files.list_files(str(tmp_path / "_work/data"))) == 1


def test_stamps_change_with_content_and_name(tmp_path):
    (tmp_path / "a").write_text("x")
    first = files.file_stamps(str(tmp_path))
    assert files.file_stamps(str(tmp_path)) == first
    (tmp_path / "a").write_text("xy")
    second = files.file_stamps(str(tmp_path))
    (tmp_path / "a").rename(tmp_path / "b")
    assert len({str(stamps) for stamps in (first, second, files.file_stamps(str(tmp_path)))}) == 3


def test_expand_knows_files_folders_and_globs(tmp_path):
    for name in ("a1.csv", "a2.csv", "b.csv"):
        (tmp_path / name).write_text("x")
    assert files.expand(str(tmp_path / "a*.csv")) == [str(tmp_path / "a1.csv"), str(tmp_path / "a2.csv")]
    assert files.expand(str(tmp_path)) == [str(tmp_path)]
    assert files.expand(str(tmp_path / "none")) == files.expand(str(tmp_path / "n*")) == []


def test_a_local_path_and_its_uri_are_the_same_place(tmp_path):
    files.write_text(f"file://{tmp_path}/x", "y")
    assert files.read_bytes(str(tmp_path / "x")) == b"y"


def test_the_first_line_of_a_packed_file(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfu,i\r\n1,2\r\n")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"u,i\n1,2\n"))
    (tmp_path / "empty.csv").write_bytes(b"")
    assert [files.first_line(str(tmp_path / name)) for name in ("a.csv", "a.csv.gz", "empty.csv")] == ["u,i", "u,i", ""]


def test_append_adds_to_the_end(tmp_path):
    path = str(tmp_path / "logs/log.jsonl")
    files.append_text(path, "a\n")
    files.append_text(path, "b\n")
    assert files.read_bytes(path) == b"a\nb\n"


def test_delete_takes_a_folder_and_forgives_its_absence(tmp_path):
    files.write_text(str(tmp_path / "x/y/z"), "1")
    files.delete_dir(str(tmp_path / "x"))
    files.delete_dir(str(tmp_path / "x"))
    assert not files.exists(str(tmp_path / "x"))


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda p: files.read_bytes(f"{p}/none"), ContractError),
        (lambda p: files.read_json(f"{p}/bad.json"), ContractError),
        (lambda p: files.first_line(f"{p}/none.csv"), ContractError),
        (lambda p: files.write_text(f"{p}/bad.json/below", "x"), PublishError),
        (lambda p: files.create_exclusive(f"{p}/bad.json/below", b"x"), PublishError),
        (lambda p: files.append_text(f"{p}/bad.json/below", "x"), PublishError),
        (lambda p: files.read_bytes("nosuch://host/x"), PublishError),
    ],
)
def test_every_refusal_is_one_of_our_errors_in_one_line(tmp_path, call, error):
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(error) as caught:
        call(tmp_path)
    assert "\n" not in str(caught.value)

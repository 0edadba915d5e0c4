import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clickweave.contracts.manifest import Manifest, Output
from clickweave.contracts.tables import PROVENANCE_COLUMNS
from clickweave.errors import ConfigError, ContractError, PublishError
from clickweave.store import files
from clickweave.store.export import RepeatPad, export_table
from clickweave.store.workspace import Workspace

SOURCE = pa.struct(
    [
        ("User Id", pa.int32()),
        ("origin", pa.string()),
        ("tags", pa.list_(pa.string())),
        ("props", pa.map_(pa.string(), pa.int64())),
        ("when", pa.timestamp("us", tz="UTC")),
        ("price", pa.decimal128(10, 2)),
    ]
)
ROWS = [
    {"User Id": 1, "origin": "shop", "tags": ["a"], "props": [("x", 1)], "when": 10, "price": None},
    {"User Id": None, "origin": None, "tags": None, "props": None, "when": None, "price": None},
]


def table_of(rows):
    columns = {
        "entity_id": pa.array([str(row["User Id"]) for row in rows], pa.string()),
        "label": pa.array([0] * len(rows), pa.int64()),
        "source": pa.array(rows, SOURCE),
        "origin": pa.array(["real"] * len(rows), pa.string()),
        "op": pa.array(["ingest"] * len(rows), pa.string()),
        "parent_id": pa.nulls(len(rows), pa.int64()),
        "weight": pa.array([1.0] * len(rows), pa.float64()),
        "run_id": pa.array(["k"] * len(rows), pa.string()),
    }
    return pa.table(columns)


@pytest.fixture
def place(tmp_path):
    return Workspace(str(tmp_path / "w"))


def lay(place, stage, name, folders):
    """Writes `folder -> list of files' rows` below a finished stage's output."""
    for folder, parts in folders.items():
        os.makedirs(place.path(f"{stage}/a/{name}/{folder}"), exist_ok=True)
        for number, rows in enumerate(parts):
            pq.write_table(
                table_of(rows), place.path(f"{stage}/a/{name}/{folder}/{number}.parquet"), write_page_checksum=True
            )
    fields = {"key": "k", "run_id": "k", "seed": 0, "config_hash": "c", "code_version": "v", "inputs": {}}
    place.commit(Manifest(stage=stage, outputs={name: Output(f"{stage}/a/{name}")}, **fields))


def export(place, table, tmp_path, part=None, adds_label=False):
    out = str(tmp_path / "new/out.parquet")
    rows = export_table(place, table, out, part=part, adds_label=adds_label)
    assert os.listdir(tmp_path / "new") == ["out.parquet"]
    found = pq.read_table(out)
    assert found.num_rows == rows
    return found


def test_train_comes_out_in_the_logs_own_columns_order_and_types(place, tmp_path):
    lay(place, "ingest", "real", {"part=train": [ROWS, ROWS[:1]], "part=holdout": [ROWS]})
    found = export(place, "train", tmp_path)
    assert found.schema.names == [field.name for field in SOURCE]
    assert found.schema.types == [field.type for field in SOURCE]
    assert found.to_pylist() == pa.array([*ROWS, ROWS[0]], SOURCE).to_pylist()


def test_provenance_never_hides_a_column_of_the_log(place, tmp_path):
    lay(place, "mix", "mixed", {"": [ROWS]})
    names = export(place, "mixed", tmp_path).schema.names
    expected = ["clickweave_origin" if name == "origin" else name for name in PROVENANCE_COLUMNS]
    assert names == [*[field.name for field in SOURCE], *expected]


def test_the_label_joins_only_where_asked_and_only_beside_provenance(place, tmp_path):
    lay(place, "augment", "augmented", {"": [ROWS]})
    lay(place, "align", "synthetic", {"": [ROWS]})
    assert "label" in export(place, "augmented", tmp_path, adds_label=True).schema.names
    assert "label" not in export(place, "augmented", tmp_path).schema.names
    assert "label" not in export(place, "synthetic", tmp_path, adds_label=True).schema.names


def test_an_empty_table_keeps_its_columns(place, tmp_path):
    lay(place, "align", "synthetic", {"": [[]]})
    found = export(place, "synthetic", tmp_path)
    assert (found.num_rows, found.schema.types) == (0, [field.type for field in SOURCE])


def test_an_empty_part_has_the_columns_of_its_neighbour(place, tmp_path):
    lay(place, "ingest", "real", {"part=train": [ROWS]})
    assert export(place, "holdout", tmp_path).schema.names == [field.name for field in SOURCE]
    assert export(place, "holdout", tmp_path, part="future").num_rows == 0


@pytest.mark.parametrize(
    ("table", "part", "error"),
    [
        ("reel", None, ConfigError),
        ("train", "future", ConfigError),
        ("holdout", "past", ConfigError),
        ("mixed", None, ContractError),
        ("published", None, ContractError),
    ],
)
def test_what_is_not_there_is_said(place, tmp_path, table, part, error):
    lay(place, "ingest", "real", {"part=train": [ROWS]})
    with pytest.raises(error):
        export_table(place, table, str(tmp_path / "o.parquet"), part=part, adds_label=False)
    assert not files.exists(str(tmp_path / "o.parquet"))


@pytest.mark.parametrize("harm", ["truncate", "flip"])
def test_a_damaged_file_is_named_as_unreadable_and_leaves_no_output(place, tmp_path, harm):
    lay(place, "mix", "mixed", {"": [ROWS, ROWS]})
    path = place.path("mix/a/mixed/1.parquet")
    data = bytearray(files.read_bytes(path))
    if harm == "flip":
        column = pq.read_metadata(path).row_group(0).column(2)  # the first field of `source`
        data[column.dictionary_page_offset + column.total_compressed_size - 1] ^= 0xFF
    files.write_bytes(path, bytes(data[: len(data) // 2] if harm == "truncate" else data))
    with pytest.raises(ContractError, match=r"1\.parquet"):
        export_table(place, "mixed", str(tmp_path / "o.parquet"), part=None, adds_label=False)
    assert os.listdir(tmp_path) == ["w"]


def test_an_output_that_cannot_be_written_is_a_storage_error(place, tmp_path):
    lay(place, "mix", "mixed", {"": [ROWS]})
    (tmp_path / "file").write_text("x")
    with pytest.raises(PublishError):
        export_table(place, "mixed", str(tmp_path / "file/o.parquet"), part=None, adds_label=False)


def test_short_histories_are_filled_by_whole_copies_up_to_a_length(place, tmp_path):
    users = [1] * 2 + [2] * 5 + [3] * 11
    rows = [{**ROWS[0], "User Id": user, "when": when} for when, user in enumerate(users)]
    lay(place, "ingest", "real", {"part=train": [rows[:4], rows[4:]]})
    out = str(tmp_path / "out.parquet")
    num = export_table(place, "train", out, part=None, adds_label=False, pad=RepeatPad(length=11, most=3))
    found = pq.read_table(out).to_pandas()
    assert len(found) == num == 2 * 4 + 5 * 2 + 11
    for user, copies in ((1, 4), (2, 2), (3, 1)):
        history = found[found["User Id"] == user]
        assert sorted(history["repeat"].unique()) == list(range(copies))
        wholes = [each["when"].tolist() for _, each in history.groupby("repeat")]
        assert all(whole == wholes[0] for whole in wholes)
    assert "repeat" not in export(place, "train", tmp_path).schema.names


def test_an_empty_part_is_filled_with_nothing(place, tmp_path):
    lay(place, "ingest", "real", {"part=train": [ROWS]})
    out = str(tmp_path / "out.parquet")
    assert export_table(place, "holdout", out, part=None, adds_label=False, pad=RepeatPad(5, 3)) == 0
    assert pq.read_table(out).schema.names[-1] == "repeat"


@pytest.mark.parametrize(("name", "stage"), [("mixed", "mix"), ("synthetic", "align")])
def test_the_order_of_a_curriculum_is_exported_with_the_provenance(place, tmp_path, name, stage):
    lay(place, stage, name, {"": [ROWS]})
    path = place.path(f"{stage}/a/{name}/0.parquet")
    pq.write_table(pq.read_table(path).append_column("order", pa.array([2, 1], pa.int32())), path)
    out = str(tmp_path / "o.parquet")
    assert export_table(place, name, out, part=None, adds_label=False) == 2
    found = pq.read_table(out)
    assert (found.column_names[-1] == "order") == (name == "mixed")
    assert name != "mixed" or found["order"].to_pylist() == [2, 1]

"""Logs of other shapes, each from the raw file to a published version by `clickweave run`."""

import pyarrow.parquet as pq
import pytest
import toys

GENERATORS = {  # what `auto` takes for a log, or what its recipe names
    "kinds": "journey",
    "flattened": "journey",
    "sessions_csv": "gan",
    "queries_json": "journey",
    "impressions": "autoregressive",
}


@pytest.fixture(scope="module")
def runs(cli, tmp_path_factory):
    """A function that runs the log of a name once and remembers it."""
    known = {}

    def run(name):
        if name not in known:
            folder = tmp_path_factory.mktemp(name)
            recipe = toys.write_recipe(folder, toys.LOGS[name](folder))
            place = folder / "workspace"
            done = cli("run", recipe, "--workspace", place)
            known[name] = (done, toys.Run(recipe, place, done.out, done.err))
        done, found = known[name]
        assert done.code == 0, done.err
        return found

    return run


@pytest.fixture
def export(cli, tmp_path):
    def export(run, table):
        out = tmp_path / f"{table}.parquet"
        done = cli("export", "--workspace", run.place, "--table", table, "--out", out)
        assert done.code == 0, done.err
        return pq.read_table(out)

    return export


@pytest.mark.parametrize("name", list(toys.LOGS))
def test_each_shape_of_log_reaches_a_published_version(runs, name):
    found = runs(name)
    assert [version["number"] for version in found.versions()] == [1]
    rows = found.manifest("ingest")["rows"]
    assert rows["quarantined"] == 0
    assert rows["train"] + rows["reference"] + rows["holdout"] + rows["duplicates"] == toys.NUM_ROWS
    made, asked = found.manifest("align")["rows"], found.manifest("sample")["rows"]
    if GENERATORS[name] == "journey":  # asked for histories; some events lie beyond the log's end
        assert asked["wanted"] < asked["sampled"] and 0.9 * asked["sampled"] < made["synthetic"] <= asked["sampled"]
    else:
        assert asked["wanted"] == rows["train"]
        assert 0.9 * rows["train"] < made["synthetic"] <= rows["train"]  # some are copies
    assert set(found.table("align", "synthetic")["op"].to_pylist()) == {GENERATORS[name]}


def test_attributes_in_the_log_are_joined_and_never_generated(runs, export):
    found = runs("flattened")
    synthetic, train = export(found, "synthetic"), export(found, "train")
    assert synthetic.schema.names == ["who", "brand", "what", "kind", "city", "price", "note", "at"]
    assert synthetic.schema.types == train.schema.types
    real_items = set(zip(*(train[name].to_pylist() for name in ("what", "brand", "price")), strict=True))
    assert set(zip(*(synthetic[name].to_pylist() for name in ("what", "brand", "price")), strict=True)) <= real_items
    cities = {}
    for who, city in zip(synthetic["who"].to_pylist(), synthetic["city"].to_pylist(), strict=True):
        assert city in set(train["city"].to_pylist())
        assert cities.setdefault(who, city) == city
    assert set(synthetic["kind"].to_pylist()) <= {"view", "cart", "buy"}
    assert set(synthetic["note"].to_pylist()) == {None}
    assert set(train["note"].to_pylist()) == {"x"}
    assert not set(synthetic["who"].to_pylist()) & set(train["who"].to_pylist())


def test_a_log_without_labels_gets_a_label_column_with_its_negatives(runs, export):
    found = runs("sessions_csv")
    augmented, mixed, synthetic = (export(found, table) for table in ("augmented", "mixed", "synthetic"))
    assert synthetic.schema.names == ["session", "sku", "ts"]
    assert augmented.schema.names[:4] == ["session", "sku", "ts", "label"]
    assert set(augmented["label"].to_pylist()) == {0}
    assert set(mixed["label"].to_pylist()) == {0, 1}
    assert all(name.startswith("syn-") for name in synthetic["session"].to_pylist())


def test_json_queries_keep_their_text(runs, export):
    synthetic, train = (export(runs("queries_json"), table) for table in ("synthetic", "train"))
    assert set(synthetic["q"].to_pylist()) <= set(train["q"].to_pylist())
    assert synthetic.schema.types == train.schema.types


def test_times_vectors_and_texts_come_back_in_the_logs_own_types(runs, export):
    found = runs("kinds")
    synthetic, train = (export(found, table) for table in ("synthetic", "train"))
    assert synthetic.schema.types == train.schema.types
    before = [
        clicked - asked
        for clicked, asked in zip(*(synthetic[n].to_pylist() for n in ("clicked", "asked")), strict=True)
    ]
    assert (min(before), max(before)) >= (1, 2)
    assert max(before) < 60
    tastes = {tuple(taste) for taste in synthetic["taste"].to_pylist()}
    assert {len(taste) for taste in tastes} == {3}
    assert not tastes & {tuple(taste) for taste in train["taste"].to_pylist()}
    assert len(tastes) > 4
    users = {}
    for query, user in zip(train["q"].to_pylist(), train["uid"].to_pylist(), strict=True):
        users.setdefault(query, set()).add(user)
    assert max(map(len, users.values())) >= 5
    assert all(len(users.get(query, range(5))) >= 5 for query in synthetic["q"].to_pylist())
    new = {query for query in synthetic["q"].to_pylist() if query not in users}
    assert any("汽车" in query for query in new)
    assert found.manifest("align")["metrics"]["replaced_texts"]["query"] >= 0


def test_impressions_keep_equal_rows_and_whole_positions(runs, export):
    found = runs("impressions")
    assert found.manifest("ingest")["rows"]["duplicates"] == 0
    synthetic, train = (export(found, table) for table in ("synthetic", "train"))
    assert set(synthetic["position"].to_pylist()) <= {1, 2, 3}
    shown = [p for p in synthetic["p"].to_pylist() if p is not None]
    assert min(shown) > 0
    assert max(shown) <= 1
    assert set(synthetic["click"].to_pylist()) <= {0, 1}
    assert synthetic.schema.types == train.schema.types

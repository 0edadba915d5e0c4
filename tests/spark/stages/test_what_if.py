"""Items that do not exist yet: what is wrong with their table is told before training, in one line."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clickweave.config.load import check_recipe
from clickweave.errors import ConfigError, ContractError
from clickweave.jobkit.cli import VARIANTS
from clickweave.stages import encode, ingest
from clickweave.stages.what_if import new_items

SCHEMA = {
    "user": "user",
    "item": "item",
    "item_features": {"kind": {"kind": "categorical", "column": "sort"}, "price": "numeric", "taste": "vector"},
}
GOOD = pd.DataFrame({"item": [7, 8], "sort": ["a", "b"], "price": [1.5, None], "taste": [[1.0, 2.0], None]})


def recipe_in(folder, *tables, **schema):
    targets = []
    for number, table in enumerate(tables):
        path = f"{folder}/{number}.{'json' if isinstance(table, str) else 'parquet'}"
        if isinstance(table, str):
            Path(path).write_text(table)
        elif table is not None:
            pq.write_table(table if isinstance(table, pa.Table) else pa.Table.from_pandas(table), path)
        targets.append({"name": "what_if", "items": path, "events": 2})
    raw = {
        "dataset": "shop",
        "source": {name: f"{folder}/{name}.parquet" for name in ("events", "items")},
        "schema": SCHEMA | schema,
        "split": {"holdout_share": 0.5, "reference_share": 0},
        "train": {"generator": "autoregressive"},
        "sample": {"targets": targets},
    }
    return check_recipe(raw, VARIANTS)


@pytest.fixture(scope="module")
def shop(stages_in, tmp_path_factory):
    """A folder with an ingested log of six items, whose ids are whole numbers, and a catalogue of one item more."""
    folder = tmp_path_factory.mktemp("shop")
    users, items = [f"u{n % 8}" for n in range(48)], [n % 6 for n in range(48)]
    pd.DataFrame({"user": users, "item": items}).to_parquet(folder / "events.parquet")
    names = list(range(7))
    table = {"item": names, "sort": ["a"] * 7, "price": [1.0] * 7, "taste": [[1.0, 2.0]] * 7}
    pd.DataFrame(table).to_parquet(folder / "items.parquet")
    stages_in(folder)(ingest, recipe_in(folder))
    return folder


@pytest.fixture
def read_by(shop, stages_in):
    """recipe -> its new items."""

    def read(recipe):
        found = []

        def keep(step):
            found.append(new_items(step))
            return SimpleNamespace(rows={})

        stages_in(shop)(SimpleNamespace(__name__="clickweave.stages.encode", run=keep), recipe)
        return found[0]

    return read


def test_new_items_are_rows_of_the_catalogue_with_the_number_of_their_target(shop, read_by):
    other = pd.DataFrame({"item": ["9"], "sort": ["c"], "price": ["12"], "taste": [[0.5, 0.5]], "more": [1]})
    made = read_by(recipe_in(shop, GOOD, other))
    rows = made.orderBy("item_id").select("item_id", "feature_kind", "feature_price", "feature_taste", "target")
    assert [tuple(row) for row in rows.collect()] == [
        ("7", "a", 1.5, [1.0, 2.0], 0),
        ("8", "b", None, None, 0),
        ("9", "c", 12.0, [0.5, 0.5], 1),
    ]
    assert read_by(recipe_in(shop)) is None


WRONG = {
    "not there": (None, ".items at .*0.parquet: no such file"),
    "not whole": ('{"item": 7, "sort": "a", "price": 1, "taste": [1.0, 2.0]}\n{"item": 8', "a record cannot be read"),
    "empty": (pa.Table.from_pandas(GOOD)[:0], "0.parquet: no rows"),
    "in the log": (GOOD.assign(item=[7, 3]), "item '3' exists already"),
    "in the catalogue alone": (GOOD.assign(item=[7, 6]), "item '6' exists already"),
    "twice": (GOOD.assign(item=[7, 7]), "2 rows for item_id '7'"),
    "no id": (GOOD.assign(item=[7, None]), "item id '' is no bigint"),
    "no number": (GOOD.assign(item=["7", "hat"]), "item id 'hat' is no bigint, as the log's column 'item' holds"),
    "no key": (GOOD.rename(columns={"item": "sku"}), "column 'item' missing in .*items.key"),
    "no column": (GOOD.drop(columns="sort"), "column 'sort' missing in .*0.parquet"),
    "no price": (GOOD.assign(price=["1", "cheap"]), "column 'price' of item '8' is not a number"),
    "price is a time": (
        GOOD.assign(price=pd.Timestamp(0).as_unit("us")),
        "column 'price' is timestamp.*, not a number",
    ),
    "longer vector": (GOOD.assign(taste=[[1.0], None]), "column 'taste' of item '7' is not a vector"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_new_items_is_told_by_encode(shop, stages_in, case):
    table, said = WRONG[case]
    recipe = recipe_in(shop, table)
    if table is None:
        recipe = recipe_in(shop, GOOD)
        (shop / "0.parquet").unlink()
    with pytest.raises(ContractError, match=rf"^sample.targets\[0\]: what_if: .*{said}"):
        stages_in(shop)(encode, recipe)


def test_an_item_of_two_targets_is_named(shop, read_by):
    with pytest.raises(ContractError, match=r"sample.targets\[1\]: what_if: item '8' exists already.*another target"):
        read_by(recipe_in(shop, GOOD, GOOD.assign(item=[8, 9])))


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"item": None, "query": "item"}, "what_if needs schema.item"),
        ({"item_features": {"price": "numeric"}}, "what_if needs a categorical or id feature in schema.item_features"),
    ],
)
def test_a_log_whose_items_are_not_told_apart_by_attributes_is_refused(tmp_path, schema, said):
    with pytest.raises(ConfigError, match=said):
        recipe_in(tmp_path, GOOD, **schema)

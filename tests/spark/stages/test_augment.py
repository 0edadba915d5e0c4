"""The augment stage: every operator through files, chains, and what the manifest tells."""

import pandas as pd
import pytest
from mall import MALL, MALL_TYPE, mall_rows

from clickweave.config.load import check_recipe
from clickweave.frames.augment.registry import OPERATORS, operator
from clickweave.jobkit.cli import VARIANTS
from clickweave.stages import augment, ingest

CHAIN = [{"name": "crop", "share": 1, "keep_share": 0.6}, {"name": "scale", "share": 1}]
WHOLE = {
    "fractal_scale": {"factor": 2, "users": 2, "items": 1},
    "borrow_neighbour": {"floor": 12},
    "cold_entity_rows": {"c": 9},
    "substitute": {"share": 1, "rate": 1, "label_tau": 0},
    "insert": {"share": 1, "rate": 0.5},
}


def entry(name):
    """An operator that makes some rows of the mall."""
    share = {"share": 1} if "share" in operator(name).Params.model_fields else {}
    return {"name": name, **share, **WHOLE.get(name, {})}


@pytest.fixture(scope="module")
def augmented(stages_in, tmp_path_factory):
    """The mall in a workspace, rewritten by every operator and a chain: real rows, made rows, catalogue, result."""
    folder = tmp_path_factory.mktemp("augment")
    names = [part.split()[0] for part in MALL_TYPE.split(", ")]
    pd.DataFrame(mall_rows(), columns=names).to_parquet(folder / "events.parquet")
    raw = {
        "dataset": "mall",
        "source": {"events": str(folder / "events.parquet")},
        "schema": MALL.model_dump(exclude_defaults=True),
        "split": {"holdout_share": 0, "reference_share": 0},
        "augment": {"operators": [*map(entry, OPERATORS), CHAIN]},
    }
    recipe = check_recipe(raw, VARIANTS)
    stage = stages_in(folder)
    _, read = stage(ingest, recipe)
    result, step = stage(augment, recipe)
    items = read.read_own("items").toPandas().set_index("item_id")["feature_category"]
    return read.read_own("real").toPandas(), step.read_own("augmented").toPandas(), items, result


def test_all_rows_that_were_added_are_told_by_operator(augmented):
    real, made, _, result = augmented
    told = made["op"].value_counts().to_dict()
    assert set(told) == {*OPERATORS, "crop+scale"}
    assert {name: result.rows[name] for name in told} == told
    assert result.rows["added"] == len(made)
    assert result.rows["in"] == len(real)
    parents = made.groupby("op")["parent_id"].nunique()
    assert result.metrics["left_out"] == (len(real) - parents).to_dict()
    assert result.metrics["left_out"]["crop+scale"] > 0


def test_each_row_tells_its_real_parent(augmented):
    real, made, _, _ = augmented
    assert set(made["parent_id"]) <= set(real["row_id"])
    assert not made["row_id"].duplicated().any()
    assert set(made["origin"]) == {"augmented"}


def test_a_chain_does_what_its_operators_do(augmented):
    real, made, _, _ = augmented
    chain = made[made["op"] == "crop+scale"]
    both = chain.merge(real, left_on="parent_id", right_on="row_id", suffixes=("", "_real"))
    assert len(both) == len(chain) == sum(-(-n * 6 // 10) for n in real.groupby("session_id").size())
    assert (both["session_id"] != both["session_id_real"]).all()
    known = both["feature_price"].notna()
    assert (both["feature_price"] != both["feature_price_real"])[known].mean() > 0.9
    assert (both["event_time"] == both["event_time_real"]).all()


def test_source_says_what_the_columns_say_and_attributes_follow_the_item(augmented):
    _, made, items, _ = augmented
    own = made[made["op"] != "fractal_scale"]
    source = pd.DataFrame(list(own["source"]))
    assert source["item"].tolist() == own["item_id"].tolist()
    assert source["user"].tolist() == own["user_id"].tolist()
    known = own["item_id"].isin(items.index).to_numpy()
    assert known.mean() > 0.9
    assert source["category"][known].tolist() == items[own["item_id"][known]].tolist()
    assert source["category"][~known].isna().all()

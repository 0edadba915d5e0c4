"""Columns with very many values: codes by join, vectors, digits, neighbours."""

import datetime as dt

import numpy as np
import pytest
from pyspark.sql import functions as F

from clickweave.codec import vectors
from clickweave.codec.analyse import fit_codec
from clickweave.codec.inputs import history_inputs, planned_columns, row_inputs
from clickweave.codec.neighbours import NEIGHBOURS, REACH
from clickweave.codec.spec import ENTITY, FIRST_VALUE, NULL_CODE, RARE_CODE
from clickweave.codec.tables import fit_tables
from clickweave.codec.wide import with_codes, with_cold_items, with_digits
from clickweave.config.log import SchemaConfig
from clickweave.config.stages import EncodeConfig

LOG = SchemaConfig.model_validate(
    {
        "user": "u",
        "item": "i",
        "query": "q",
        "event_time": {"column": "t", "unit": "s"},
        "item_features": {"group": "categorical", "price": "numeric"},
    }
)
CONFIG = EncodeConfig(direct_ids=50, min_users=1)
GROUPS, USERS, PER_GROUP = 5, 150, 30
START = dt.datetime(2023, 1, 1)


def train_rows():
    """Users who keep to one group of items, and ask for it; `odd` items have one event each."""
    rng, rows = np.random.default_rng(0), []
    for user in range(USERS):
        group = user % GROUPS
        for place in range(20):
            item = None if place == 7 else f"g{group}-{int(rng.integers(0, PER_GROUP))}"
            if place == 9 and user < GROUPS:
                item = f"g{group}-odd"
            query = f"look for {group} {int(rng.integers(0, 12))}"
            time = START + dt.timedelta(minutes=60 * user + place)
            rows.append((len(rows), f"u{user}", f"u{user}", item, query, time, 1))
    return rows


@pytest.fixture(scope="module")
def train(spark):
    kinds = "row_id bigint, entity_id string, user_id string, item_id string, query string, event_time timestamp"
    return spark.createDataFrame(train_rows(), f"{kinds}, label bigint").cache()


@pytest.fixture(scope="module")
def items(spark, train):
    known = [row[0] for row in train.where("item_id is not null").select("item_id").distinct().collect()]
    rows = [(item, item.split("-")[0], 1.0) for item in [*known, "g0-cold", "g1-cold"]] + [("blank", None, None)]
    return spark.createDataFrame(rows, "item_id string, feature_group string, feature_price double").cache()


def fitted(train, items, users, grain, config=CONFIG):
    inputs = history_inputs(train, users, LOG) if grain == ENTITY else row_inputs(train)
    spec = fit_codec(inputs, planned_columns(LOG, grain), config, grain=grain, fitted_on="x")
    return inputs, with_digits(with_cold_items(spec, items, max_values=config.max_values), config)


@pytest.fixture(scope="module")
def rows(train, items):
    inputs, spec = fitted(train, items, train, "row")
    return spec, fit_tables(inputs, items, spec, LOG, 0)


def column_of(spec, name):
    return next(column for column in spec.columns if column.name == name)


def group_of(values):
    return np.array([value.removeprefix("look for ").removeprefix("g")[0] for value in values])


def test_a_code_is_joined_to_every_row_once(train, items, rows):
    column = column_of(rows[0], "item_id")
    frame = train.select("row_id", "item_id").unionByName(
        train.sparkSession.createDataFrame([(-1, "never seen")], "row_id bigint, item_id string")
    )
    found = with_codes(frame, column).collect()
    assert sorted(row["row_id"] for row in found) == [-1, *range(USERS * 20)]
    for row in found:
        expected = {None: NULL_CODE, "never seen": RARE_CODE}.get(row["item_id"])
        if expected is None:
            assert column.values[row["code_item_id"] - FIRST_VALUE] == row["item_id"]
        else:
            assert row["code_item_id"] == expected


def test_catalogue_items_without_events_are_kept_last_with_count_zero_while_there_is_room(train, items, rows):
    column = column_of(rows[0], "item_id")
    assert column.values[-3:] == ("blank", "g0-cold", "g1-cold")
    assert column.counts[-3:] == (0, 0, 0) and min(column.counts[:-3]) > 0
    assert column.num_digits == 1
    known = len(column.values) - 3
    tight = fitted(train, items, train, "row", CONFIG.model_copy(update={"max_values": known + 1}))[1]
    assert column_of(tight, "item_id").values[known:] == ("blank",)
    narrow = fitted(train, items, train, "row", CONFIG.model_copy(update={"max_values": known - 2}))[1]
    assert column_of(narrow, "item_id").num_rare > 0
    assert "blank" not in column_of(narrow, "item_id").values
    assert all(column_of(narrow, "item_id").counts[place] > 0 for place in column_of(narrow, "item_id").rare_pool)


def test_tables_fit_their_columns(rows):
    spec, tables = rows
    wide = [column for column in spec.columns if column.num_digits]
    assert [column.name for column in wide] == ["entity_id", "query", "item_id"]
    assert set(tables) == {f"{column.name}.{part}" for column in wide for part in ("digits", "vectors")}
    for column in wide:
        digits, made = tables[f"{column.name}.digits"], tables[f"{column.name}.vectors"].astype(np.float32)
        assert (digits.shape, digits.dtype) == ((column.num_codes, column.num_digits), np.uint8)
        assert made.shape == (column.num_codes, vectors.DIM)
        norms = np.linalg.norm(made, axis=1)
        assert norms[:FIRST_VALUE].tolist() == [0, 0]
        assert norms[FIRST_VALUE:] == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize(("name", "least"), [("item_id", 0.4), ("query", 0.4), ("entity_id", 0.15)])
def test_values_that_are_used_alike_lie_near_each_other(rows, name, least):
    spec, tables = rows
    values = column_of(spec, name).values
    groups = np.array([int(value[1:]) % GROUPS for value in values]) if name == "entity_id" else group_of(values)
    used = np.array([value != "blank" for value in values])
    made = tables[f"{name}.vectors"][FIRST_VALUE:].astype(np.float32)[used]
    near = made @ made.T
    same = groups[used][:, None] == groups[used]
    assert near[same].mean() > near[~same].mean() + least


def test_items_without_events_and_with_few_lean_on_their_attributes(rows):
    spec, tables = rows
    values = list(column_of(spec, "item_id").values)
    made = tables["item_id.vectors"][FIRST_VALUE:].astype(np.float32)
    own = np.array([value.startswith("g0-") and value not in ("g0-cold", "g0-odd") for value in values])
    for value, least in (("g0-cold", 0.9), ("g0-odd", 0.8)):
        assert made[values.index(value)] @ made[own].mean(0) / np.linalg.norm(made[own].mean(0)) > least
    assert abs(made[values.index("blank")] @ made[own].mean(0)) < 0.7


def test_at_grain_entity_neighbours_are_the_items_that_most_entities_visited_close_by(train, items):
    inputs, spec = fitted(train, items, items.withColumnRenamed("item_id", "user_id"), ENTITY)
    tables = fit_tables(inputs, items, spec, LOG, 0)
    item = column_of(spec, "item_id")
    together = {}
    for user in range(USERS):
        seen = [row[3] for row in train_rows()[user * 20 : user * 20 + 20] if row[3] is not None]
        for place, one in enumerate(seen):
            for other in seen[max(place - REACH, 0) : place + REACH + 1]:
                if one != other:
                    together.setdefault(one, {}).setdefault(other, set()).add(user)
    shape, kinds = (item.num_codes, NEIGHBOURS), (np.int32, np.float32)
    found = [tables[f"item_id.{name}"] for name in ("neighbours", "neighbour_users")]
    assert [table.shape for table in found] == [shape, shape]
    assert tuple(table.dtype for table in found) == kinds
    for code, (codes, users) in enumerate(zip(*found, strict=True)):
        near = together.get(item.values[code - FIRST_VALUE], {}) if code >= FIRST_VALUE else {}
        expected = sorted((len(by) for by in near.values()), reverse=True)[:NEIGHBOURS]
        assert users.tolist() == expected + [0] * (NEIGHBOURS - len(expected))
        kept = codes[users > 0]
        assert len(set(kept.tolist())) == len(kept)
        assert all(len(near[item.values[k - FIRST_VALUE]]) == n for k, n in zip(kept, users[users > 0], strict=True))
        assert (codes[users == 0] == 0).all()


def test_narrow_columns_have_no_tables(train, items):
    config = EncodeConfig(direct_ids=2000, min_users=1)
    inputs, spec = fitted(train, items, train, "row", config)
    assert fit_tables(inputs, items, spec, LOG, 0) == {}
    assert {column.num_digits for column in spec.columns} == {0}


def test_without_entities_and_items_vectors_are_hashed_from_the_value(spark, train):
    log = SchemaConfig.model_validate({"query": "q"})
    inputs = row_inputs(train.drop("item_id").withColumn("item_id", F.lit(None).cast("string")))
    spec = fit_codec(inputs, planned_columns(log, "row"), CONFIG, grain="row", fitted_on="x")
    spec = with_digits(spec, CONFIG)
    tables = fit_tables(inputs, inputs, spec, log, 0)
    assert set(tables) == {"query.digits", "query.vectors"}
    made = tables["query.vectors"][FIRST_VALUE:].astype(np.float32)
    assert abs(made @ made.T - np.eye(len(made))).max() < 0.9

"""ingest, augment and encode on logs that lack something or hold odd columns."""

import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clickweave.config.load import check_recipe
from clickweave.errors import ContractError
from clickweave.jobkit.cli import VARIANTS
from clickweave.stages import augment, encode, ingest

NUM = 120
CROP, NEGATIVES = {"name": "crop", "share": 1.0}, {"name": "negatives"}


def log_of(**columns):
    base = {"i": pa.array([f"i{n % 9}" for n in range(NUM)])}
    return pa.table(base | columns)


USERS = pa.array([n % 30 for n in range(NUM)], pa.int32())
TIMES = pa.array([dt.datetime(2023, 1, 1) + dt.timedelta(minutes=n) for n in range(NUM)], pa.timestamp("ms"))
LOGS = {
    "int32 users, map and list columns": (
        log_of(
            u=USERS,
            t=TIMES,
            props=pa.array([[("k", n)] for n in range(NUM)], pa.map_(pa.string(), pa.int64())),
            tags=pa.array([["a"]] * NUM),
        ),
        {"user": "u", "item": "i", "event_time": {"column": "t"}},
        [CROP, NEGATIVES],
    ),
    "no time": (log_of(u=USERS, n=range(NUM)), {"user": "u", "item": "i"}, [NEGATIVES]),
    "a query alone": (
        pa.table({"u": USERS, "q": [f"query {n % 4}" for n in range(NUM)], "n": range(NUM)}),
        {"user": "u", "query": "q"},
        [],
    ),
    "sessions without users": (
        log_of(s=pa.array([f"s{n % 25}" for n in range(NUM)]), t=TIMES),
        {"session": "s", "item": "i", "event_time": {"column": "t"}},
        [CROP],
    ),
    "users all null": (
        log_of(u=pa.nulls(NUM, pa.string()), t=TIMES, x=pa.nulls(NUM, pa.float64())),
        {"user": "u", "item": "i", "event_time": {"column": "t"}, "features": {"x": "numeric"}},
        [CROP, NEGATIVES],
    ),
    "a dotted threshold": (
        pa.table(
            {"the item": [f"i{n % 9}" for n in range(NUM)], "user.rating": [n % 5 for n in range(NUM)], "n": range(NUM)}
        ),
        {"item": "the item", "labels": {"like": {"column": "user.rating", "at_least": 3}}},
        [NEGATIVES],
    ),
}


def recipe_of(tmp_path, table, schema, operators):
    pq.write_table(table, tmp_path / "log.parquet")
    raw = {"dataset": "d", "source": {"events": str(tmp_path / "log.parquet")}, "schema": schema}
    raw |= {"augment": {"operators": operators}, "encode": {"num_bins": 4}}
    return check_recipe(raw, VARIANTS)


@pytest.mark.parametrize("case", LOGS)
def test_an_odd_log_is_ingested_whole_augmented_and_encoded(tmp_path, stage_on, case):
    table, schema, operators = LOGS[case]
    recipe = recipe_of(tmp_path, table, schema, operators)
    result, step = stage_on(ingest, recipe)
    assert (result.rows["read"], result.rows["quarantined"], result.rows["real"]) == (NUM, 0, NUM)
    real = step.read_own("real")
    assert real.schema["source"].dataType.fieldNames() == table.schema.names
    found = real.select("source.*").toPandas()
    assert sorted(map(str, found[table.schema.names[0]])) == sorted(map(str, table.column(0).to_pylist()))
    grown, step = stage_on(augment, recipe)
    assert step.read_own("augmented").schema["source"].dataType == real.schema["source"].dataType
    assert grown.rows["added"] == sum(count for name, count in grown.rows.items() if name in ("crop", "negatives"))
    coded, _ = stage_on(encode, recipe)
    assert coded.rows.get("train", 0) + coded.rows.get("validation", 0) == coded.rows["in"] == result.rows["train"]


def test_a_label_column_of_nulls_stops_ingest_with_its_reason(tmp_path, stage_on):
    recipe = recipe_of(
        tmp_path,
        log_of(u=USERS, c=pa.nulls(NUM, pa.float64())),
        {"user": "u", "item": "i", "labels": {"click": "c"}},
        [],
    )
    with pytest.raises(ContractError, match=f"{NUM} of {NUM} rows are bad.*label is null"):
        stage_on(ingest, recipe)

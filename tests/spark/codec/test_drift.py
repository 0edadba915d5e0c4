"""Drift of new days against a fitted codec, by its columns."""

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from clickweave.codec.analyse import fit_codec, with_bin_counts
from clickweave.codec.drift import LABEL_RATE, compared_columns, measure_drift
from clickweave.codec.encode import encode_batch, shard_schema
from clickweave.codec.inputs import planned_columns, row_inputs
from clickweave.codec.wide import with_digits
from clickweave.config.log import SchemaConfig
from clickweave.config.stages import EncodeConfig
from clickweave.contracts.tables import DAY_US

LOG = SchemaConfig.model_validate(
    {
        "user": "u",
        "item": "i",
        "event_time": {"column": "t", "unit": "s"},
        "labels": {"click": "c"},
        "features": {"price": "numeric", "device": "categorical"},
    }
)
CONFIG = EncodeConfig(direct_ids=100)
OLD, NEW, MOST = 20_000, 500, 0.1


def events(spark, num, seed, day, **changes):
    """Rows of users with one or two events each."""
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, 2001)
    columns = {
        "user_id": [f"{day} {n}" for n in rng.integers(0, num, num)],
        "item_id": [f"i{n}" for n in rng.choice(2000, num, p=shares / shares.sum())],
        "label": rng.binomial(1, 0.3, num),
        "feature_price": rng.lognormal(size=num),
        "feature_device": rng.choice(["app", "web", "tv"], num, p=[0.5, 0.4, 0.1]),
    }
    columns |= {"event_time": pa.array(day * DAY_US + rng.integers(0, DAY_US, num), pa.timestamp("us", tz="UTC"))}
    columns |= {name: change(rng, num) for name, change in changes.items()}
    return row_inputs(spark.createDataFrame(pa.table(columns)).withColumn("entity_id", F.col("user_id")))


@pytest.fixture(scope="module")
def columns(spark):
    old = events(spark, OLD, 0, 19_000).cache()
    spec = fit_codec(old, planned_columns(LOG, "row"), CONFIG, grain="row", fitted_on="x")
    names, kind = [column.name for column in spec.columns], shard_schema(spec)
    shards = spark.createDataFrame(
        pa.Table.from_batches([encode_batch(spec, batch) for batch in old.select(*names).toArrow().to_batches()], kind)
    )
    spec = with_digits(with_bin_counts(spec, shards), CONFIG)
    assert next(column for column in spec.columns if column.name == "item_id").num_digits
    return compared_columns(spec, shards)


def measured(columns, rows):
    return measure_drift(rows, columns, OLD, NEW).columns


def test_users_and_days_are_not_compared(columns):
    names = {"event_clock", "item_id", "feature_price", "feature_device", "label"}
    assert {column.name for column in columns} == names


def test_new_days_and_new_users_of_the_same_law_do_not_drift(spark, columns):
    found = measured(columns, events(spark, NEW, 1, 19_100))
    assert set(found) == {column.name for column in columns} | {LABEL_RATE}
    assert max(found.values()) < 0.05


CHANGES = {
    "feature_device": lambda rng, num: rng.choice(["app", "web", "tv"], num, p=[0.35, 0.25, 0.4]),
    "item_id": lambda rng, num: [f"{'new' if rng.random() < 0.5 else 'i'}{n % 50}" for n in range(num)],
    "feature_price": lambda rng, num: 3 * rng.lognormal(size=num),
    LABEL_RATE: lambda rng, num: rng.binomial(1, 0.6, num),
}


@pytest.mark.parametrize("name", list(CHANGES))
def test_a_column_whose_law_has_changed_drifts_and_no_other(spark, columns, name):
    column = "label" if name == LABEL_RATE else name
    found = measured(columns, events(spark, NEW, 2, 19_100, **{column: CHANGES[name]}).repartition(3))
    assert found.pop(name) > MOST
    found.pop("label", None)
    assert max(found.values()) < MOST

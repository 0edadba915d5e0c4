"""Small logs in canonical columns, as ingest makes them."""

import pytest
from mall import MALL, MALL_TYPE, mall_rows
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.config.stages import IngestConfig
from clickweave.contracts.tables import event_columns
from clickweave.frames.normalise import canonical_events
from clickweave.frames.quality import entity_of_row, number_equal_rows
from clickweave.frames.sessions import cut_sessions

SHOP_TYPE = "user string, item string, ts bigint, click int, rating int, price double, stock int, note string"
SHOP = SchemaConfig.model_validate(
    {
        "user": "user",
        "item": "item",
        "event_time": {"column": "ts", "unit": "s"},
        "labels": {"click": "click"},
        "features": {"price": "numeric", "stock": "numeric"},
    }
)


def shop_rows(num_users=12, num_events=9):
    """Users with sessions of three events; prices are fractions, stocks whole, both with nulls."""
    rows = []
    for user in range(num_users):
        for event in range(num_events):
            number = user * num_events + event
            price = None if number % 7 == 0 else round(0.5 + (number * 37 % 100) / 3, 4)
            stock = None if number % 5 == 0 else number * 13 % 50
            time = 1_700_000_000 + user * 60 + event * 60 + (event // 3) * 7200
            rows.append((f"u{user}", f"i{number * 17 % 23}", time, number % 2, 3, price, stock, f"note {number}"))
    return rows


@pytest.fixture
def raw_of(spark):
    """rows, type -> the frame that store.tables.read_raw gives."""

    def make(rows, ddl) -> DataFrame:
        frame = spark.createDataFrame(rows, ddl)
        source = F.struct(*[F.col(f"`{name}`") for name in frame.columns]).alias("source")
        return frame.select(source, F.lit(None).cast("string").alias("raw_text"))

    return make


def real_events(raw, log) -> DataFrame:
    """Real rows in canonical columns with provenance; bad rows left out, duplicates kept."""
    good = canonical_events(raw, log, IngestConfig()).where(F.size("reasons") == 0)
    keyed = number_equal_rows(good).withColumn("entity_id", entity_of_row())
    if log.session is None and log.event_time is not None:
        keyed = cut_sessions(keyed, gap_s=log.session_gap)
    provenance = {"origin": F.lit("real"), "op": F.lit("ingest"), "parent_id": F.lit(None).cast("bigint")}
    keyed = keyed.withColumns(provenance | {"weight": F.lit(1.0), "run_id": F.lit("run")})
    return keyed.select(*event_columns(tuple(log.event_features)))


@pytest.fixture
def shop_log() -> SchemaConfig:
    return SHOP


@pytest.fixture
def real_of(raw_of):
    """rows, type, log -> real rows; by default those of the shop."""
    return lambda rows, ddl=SHOP_TYPE, log=SHOP: real_events(raw_of(rows, ddl), log)


@pytest.fixture(scope="session")
def kept_rows_of(spark):
    """rows, type, log -> real rows, kept in memory for fixtures that live longer than a test."""

    def make(rows, ddl, log):
        frame = spark.createDataFrame(rows, ddl)
        raw = frame.select(F.struct(*frame.columns).alias("source"), F.lit(None).cast("string").alias("raw_text"))
        return real_events(raw, log).cache()

    return make


@pytest.fixture(scope="session")
def shop(kept_rows_of):
    """The shop log as real rows."""
    return kept_rows_of(shop_rows(), SHOP_TYPE, SHOP)


@pytest.fixture(scope="session")
def mall(kept_rows_of):
    """The mall as real rows."""
    return kept_rows_of(mall_rows(), MALL_TYPE, MALL)

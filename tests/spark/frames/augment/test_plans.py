"""What an operator's plan costs: exchanges between tasks, where nothing is broadcast."""

import re

import pytest
from augmented import sources_of
from mall import MALL

from clickweave.frames.augment.chain import rewritten
from clickweave.frames.augment.copies import Sources
from clickweave.frames.augment.registry import OPERATORS, operator
from clickweave.store.tables import source_type

MOST_EXCHANGES = {
    **dict.fromkeys(("scale", "rotate", "feature_dropout", "bootstrap", "fractal_scale"), 0),
    **dict.fromkeys(("smote", "crop", "mask", "reorder", "delete"), 1),
    **dict.fromkeys(("time_warp", "day_shift", "prefix_windows"), 1),
    "mixup": 2,
    "position_resample": 2,
    "query_edit": 4,
    "insert": 8,
    "negatives": 8,
    "cold_entity_rows": 11,
    "cold_entity_rows of users": 15,
    "borrow_neighbour": 15,
    "substitute": 10,
}


def test_every_operator_has_a_line():
    assert {name.split()[0] for name in MOST_EXCHANGES} == set(OPERATORS)


@pytest.fixture(scope="module")
def on_disk(spark, mall, tmp_path_factory):
    """The mall and its side tables as the stage reads them: files, nothing cached."""
    folder, sources = tmp_path_factory.mktemp("plans"), sources_of(mall, MALL)
    for name, table in vars(sources).items():
        table.write.parquet(str(folder / name))
    return Sources(**{name: spark.read.parquet(str(folder / name)) for name in vars(sources)})


@pytest.fixture(scope="module")
def no_broadcast(spark):
    spark.conf.set("spark.sql.autoBroadcastJoinThreshold", -1)
    yield
    spark.conf.unset("spark.sql.autoBroadcastJoinThreshold")


@pytest.mark.parametrize("name", MOST_EXCHANGES)
def test_no_more_exchanges_than_the_docstring_says(on_disk, no_broadcast, name):
    chosen = operator(name.split()[0])
    params = chosen.Params(**{"entity": "user"} if name.endswith(" of users") else {})
    made = chosen.apply(on_disk, chosen.fit(on_disk, params, MALL), params, MALL, 0)
    plan = made._jdf.queryExecution().executedPlan().toString()
    assert "FileScan" in plan
    assert "Python" not in plan  # no row leaves the JVM
    assert plan.count("Exchange ") <= MOST_EXCHANGES[name]


@pytest.fixture
def whole_schemas(spark):
    spark.conf.set("spark.sql.maxMetadataStringLength", 10_000)
    yield
    spark.conf.unset("spark.sql.maxMetadataStringLength")


@pytest.mark.parametrize("name", OPERATORS)
def test_what_the_canonical_columns_tell_is_not_read_from_source_too(on_disk, whole_schemas, name):
    chosen = operator(name)
    made, _ = rewritten(on_disk, [chosen.Params(name=name)], MALL, source_type(on_disk.train), 0)
    plan = made.select("source")._jdf.queryExecution().executedPlan().toString()
    read = re.findall(r"source:struct<([^>]*)>", plan)
    assert read
    assert {field for each in read for field in each.split(",")} <= {"category:string", "note:string"}

"""One suite of laws for all strategies; a line in CASES each."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from chispa import assert_df_equality
from mall import MALL
from mixes import augmented, checked, columns_of, generated, mix_by, sources_of
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.errors import ConfigError, ContractError
from clickweave.frames.mix.join import check_row_ids, hash_by_origin
from clickweave.frames.mix.registry import STRATEGIES, strategy


@dataclass(frozen=True)
class Case:
    """A strategy's line.

    Attributes:
        params: with which it adds some rows of the mall, and not all where it draws.
        draws: whether another seed gives other rows.
        origins: of the rows in its mix.
        refused: logs that its defaults cannot do with, and what the error names.
    """

    params: dict[str, Any] = field(default_factory=dict)
    draws: bool = False
    origins: tuple[str, ...] = ("augmented", "generated", "real")
    more: tuple[str, ...] = ()
    refused: dict[str, str] = field(default_factory=dict)


NO_NUMBERS = dict.fromkeys(("rows", "queries", "sessions", "plain"), "numeric or vector event feature")
CASES = {
    "share": Case(draws=True),
    "concat": Case(),
    "balance": Case({"target": {0: 3, 1: 2}}, draws=True, refused=dict.fromkeys(("rows", "queries"), "schema.labels")),
    "cold_boost": Case({"c": 12}, draws=True, refused={"queries": "schema.item"}),
    "blend": Case({"synthetic_per_real": 1.5}, True, ("augmented", "blended", "real"), refused=NO_NUMBERS),
    "replace": Case(origins=("generated",)),
    "curriculum": Case(more=("order",)),
    "upweight": Case(),
}
LOGS = {
    "rows": ("item string", {"item": "item"}),
    "queries": ("user string, q string, ts bigint", {"user": "user", "query": "q", "event_time": ("ts", "s")}),
    "sessions": ("s string, item string, c int", {"session": "s", "item": "item", "labels": {"click": "c"}}),
    "plain": ("user string, item string, c int", {"user": "user", "item": "item", "labels": {"click": "c"}}),
}


def log_of(name):
    schema = dict(LOGS[name][1])
    if "event_time" in schema:
        schema["event_time"] = dict(zip(("column", "unit"), schema["event_time"], strict=True))
    return SchemaConfig.model_validate(schema)


@pytest.fixture(scope="module")
def mall_sources(mall):
    found = sources_of(mall, MALL)
    return replace(found, augmented=found.augmented.cache(), synthetic=found.synthetic.cache())


def moved(sources, num):
    """The same sources in other partitions and another order."""
    names = ("real", "augmented", "synthetic", "items")
    tables = {name: getattr(sources, name) for name in names}
    return replace(sources, **{n: t.orderBy(F.desc(t.columns[0])).repartition(num) for n, t in tables.items()})


def rows_of(mix):
    """Rows in any order, `source` as text."""
    return sorted(map(repr, mix.withColumn("source", F.to_json("source")).collect()))


def test_every_strategy_has_a_line():
    assert sorted(CASES) == sorted(STRATEGIES)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_same_mix_comes_out_on_any_partitioning(mall_sources, name):
    found = [rows_of(mix_by(name, moved(mall_sources, num), MALL, **CASES[name].params)) for num in (1, 2, 7)]
    assert len(found[0]) > 0
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("name", STRATEGIES)
def test_real_rows_stand_in_the_mix_as_they_are(mall_sources, mall, name):
    mix = mix_by(name, mall_sources, MALL, **CASES[name].params)
    real = mix.where("origin = 'real'").select(*columns_of(MALL))
    if not strategy(name).KEEPS_REAL:
        assert real.isEmpty()
        return
    assert hash_by_origin(real) == hash_by_origin(mall)
    assert_df_equality(real, mall.select(*columns_of(MALL)), ignore_nullable=True, ignore_row_order=True)


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_row_says_where_it_came_from(mall_sources, mall, name):
    mix = mix_by(name, mall_sources, MALL, **CASES[name].params).cache()
    check_row_ids(mix)
    assert tuple(sorted({row[0] for row in mix.select("origin").distinct().collect()})) == CASES[name].origins
    assert mix.where("weight is null or not weight > 0 or row_id is null or op is null").isEmpty()
    assert mix.where("(parent_id is not null) != (origin in ('augmented', 'blended'))").isEmpty()
    children = mix.where("parent_id is not null").select(F.col("parent_id").alias("row_id"))
    assert children.join(mall, "row_id", "left_anti").isEmpty()
    made = mix.where("origin = 'blended'")
    assert made.where("op != 'blend' or run_id != 'mix'").isEmpty()


@pytest.mark.parametrize("name", STRATEGIES)
def test_added_rows_keep_all_but_their_weight(mall_sources, name):
    """No generated or augmented row changes its time, its ids or anything else, and none stands twice."""
    mix = mix_by(name, mall_sources, MALL, **CASES[name].params)
    plain = [column for column in columns_of(MALL) if column != "weight"]
    whole = mall_sources.augmented.select(*plain).unionByName(mall_sources.synthetic.select(*plain))
    added = mix.where("origin in ('augmented', 'generated')").select(*plain)
    before = whole.join(added.select("row_id"), "row_id", "left_semi")
    assert_df_equality(added, before, ignore_nullable=True, ignore_row_order=True)
    if strategy(name).KEEPS_REAL:
        assert added.where("origin = 'augmented'").count() == mall_sources.augmented.count()


@pytest.mark.parametrize("name", STRATEGIES)
def test_columns_are_the_canonical_ones_in_order(mall_sources, mall, name):
    mix = mix_by(name, mall_sources, MALL, **CASES[name].params)
    assert mix.columns == [*columns_of(MALL), *CASES[name].more]
    kinds = {field.name: field.dataType for field in mall.schema}
    assert all(field.dataType == kinds.get(field.name, field.dataType) for field in mix.schema)


@pytest.mark.parametrize("name", STRATEGIES)
def test_another_seed_gives_other_rows_where_rows_are_drawn(mall_sources, name):
    found = [
        {row[0] for row in mix_by(name, mall_sources, MALL, seed, **CASES[name].params).select("row_id").collect()}
        for seed in (0, 1)
    ]
    assert (found[0] != found[1]) == CASES[name].draws


@pytest.mark.parametrize("name", STRATEGIES)
def test_without_synthetic_rows_the_mix_is_what_is_left(mall_sources, mall, name):
    bare = replace(mall_sources, synthetic=mall_sources.synthetic.limit(0), num_synthetic=0)
    if not strategy(name).KEEPS_REAL:
        with pytest.raises(ContractError, match="the synthetic side is empty") as caught:
            mix_by(name, bare, MALL)
        assert caught.value.exit_code == 3
        return
    mix = mix_by(name, bare, MALL, **CASES[name].params)
    assert mix.count() == mall.count() + mall_sources.augmented.count()


@pytest.mark.parametrize("name", STRATEGIES)
def test_defaults_run_on_the_mall(mall_sources, mall, name):
    mix = mix_by(name, mall_sources, MALL)
    assert mix.count() >= mall.count()
    assert hash_by_origin(mix).get("real") == (hash_by_origin(mall)["real"] if strategy(name).KEEPS_REAL else None)


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("name", STRATEGIES)
def test_defaults_run_on_any_log_or_say_what_it_lacks(real_of, name, log):
    schema, (kinds, _) = log_of(log), LOGS[log]
    if log in CASES[name].refused:
        with pytest.raises(ConfigError, match=CASES[name].refused[log]):
            checked(name, schema)
        return
    width = len(kinds.split(","))
    rows = [tuple([f"a{n % 5}", f"b{n % 7}", n % 2][:width]) for n in range(60)]
    if log == "rows":
        rows = [(f"i{n}",) for n in range(60)]
    if log == "queries":
        rows = [(f"u{n % 5}", f"red {n % 7}", 1_700_000_000 + n) for n in range(60)]
    real = real_of(rows, kinds, schema)
    mix = mix_by(name, sources_of(real, schema), schema).cache()
    check_row_ids(mix)
    assert mix.where("origin = 'real'").count() == (60 if strategy(name).KEEPS_REAL else 0)
    assert set(mix.columns) >= set(columns_of(schema))


def test_ids_that_stand_twice_are_told_by_origin(mall):
    made = generated(mall, MALL)
    both = mall.unionByName(made)
    check_row_ids(both)
    check_row_ids(both.unionByName(augmented(mall)))
    twice = both.unionByName(made.limit(3)).unionByName(mall.limit(2).withColumn("origin", F.lit("augmented")))
    with pytest.raises(ContractError, match="5 row ids stand more than once, in 2 real, 2 augmented, 6 generated rows"):
        check_row_ids(twice)
    check_row_ids(mall.unionByName(mall.limit(1)))  # what ingest let through is no matter of the mix

"""Real rows are never shuffled: what stands above their scan in each strategy's plan."""

from dataclasses import fields, replace

import pytest
from mall import MALL
from mixes import checked, sources_of

from clickweave.frames.mix.registry import STRATEGIES

DEFAULTS = {
    "balance": [{}, {"by": "user_activity"}],
    "share": [{}, {"by": "category"}],
    "cold_boost": [{}, {"by": "user"}],
}
JOINS = ("SortMergeJoin", "ShuffledHashJoin", "BroadcastHashJoin")
TWICE = ("blend",)  # reads real rows once more, to pair them


@pytest.fixture(scope="module")
def on_disk(spark, mall, tmp_path_factory):
    """The mall's sources as the stage reads them: files, nothing cached."""
    folder, sources = tmp_path_factory.mktemp("plans"), sources_of(mall, MALL)
    names = [each.name for each in fields(sources) if hasattr(getattr(sources, each.name), "write")]
    for name in names:
        getattr(sources, name).write.parquet(str(folder / name))
    return replace(sources, **{name: spark.read.parquet(str(folder / name)) for name in names})


@pytest.fixture(scope="module")
def no_broadcast(spark):
    spark.conf.set("spark.sql.autoBroadcastJoinThreshold", -1)
    yield
    spark.conf.unset("spark.sql.autoBroadcastJoinThreshold")


def scans(node, above=()):
    """(file, columns, names of the nodes above) of each scan."""
    name = node.nodeName()
    if name == "AdaptiveSparkPlan":
        return scans(node.initialPlan(), above)
    children = [node.children().apply(place) for place in range(node.children().size())]
    if not children:
        path = node.relation().location().rootPaths().mkString(",") if hasattr(node, "relation") else ""
        columns = [node.output().apply(place).name() for place in range(node.output().size())]
        return [(path.rpartition("/")[2], columns, above)] if name.startswith("Scan") else []
    return [found for child in children for found in scans(child, (*above, name))]


@pytest.mark.parametrize("name", STRATEGIES)
def test_whole_real_rows_pass_no_exchange(on_disk, no_broadcast, name):
    for given in DEFAULTS.get(name, [{}]):
        chosen, params = checked(name, MALL, **given)
        made = chosen.apply(on_disk, chosen.fit(on_disk, params, MALL), params, MALL, 0)
        plan = made._jdf.queryExecution().executedPlan()
        assert "Python" not in plan.toString()
        found = scans(plan)
        whole = [above for table, columns, above in found if table == "real" and "source" in columns]
        still = [above for above in whole if not any("Exchange" in node for node in above)]
        assert len(still) == int(chosen.KEEPS_REAL)
        assert len(whole) == len(still) + int(name in TWICE)
        others = [above for table, columns, above in found if table == "real" and "source" not in columns]
        assert all("HashAggregate" in above or "ObjectHashAggregate" in above for above in others)
        assert all(any(node in JOINS for node in above) for above in others)

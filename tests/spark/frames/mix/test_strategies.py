"""What each strategy promises beyond the laws that all keep."""

import pytest
from mall import MALL
from mixes import checked, generated, mix_by, sources_of
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import CONTINUED, KEY_COLUMNS
from clickweave.errors import ConfigError, ContractError
from clickweave.frames.mix import blend
from clickweave.frames.mix.balance import planned
from clickweave.frames.mix.curriculum import MOST_ITEMS, Bounds, bounds_of
from clickweave.frames.mix.join import check_same_columns
from clickweave.frames.mix.sources import MixSources

LOG = SchemaConfig.model_validate(
    {
        "user": "user", "item": "item", "labels": {"click": "click"}, "item_features": {"category": "categorical"},
        "features": {"device": "categorical", "stock": "numeric", "taste": "vector"},
    }
)  # fmt: skip
DEFAULTS = {
    "user_id": "concat('u', id)", "item_id": "concat('i', id % 10)", "label": "id % 2",
    "feature_device": "if(id % 3 = 0, 'web', 'app')", "feature_stock": "cast(id % 40 as double)",
    "feature_taste": "array(cast(id as double), 1.0D)", "weight": "1.0D",
}  # fmt: skip


@pytest.fixture
def rows(spark):
    """(number, origin, canonical column=SQL over id) -> that many rows in canonical columns."""

    def make(num, origin="real", **changed):
        said = DEFAULTS | {"op": f"'{origin}'"} | changed
        frame = spark.range(num).withColumns({name: F.expr(text) for name, text in said.items()})
        frame = frame.withColumns({"row_id": F.xxhash64("id", F.lit(origin)), "origin": F.lit(origin)})
        empty = dict.fromkeys((*KEY_COLUMNS, "run_id"), "string") | {"parent_id": "bigint", "position": "bigint"}
        empty |= {"propensity": "double", "event_time": "timestamp"}
        known = set(frame.columns)
        frame = frame.withColumns({n: F.lit(None).cast(t) for n, t in empty.items() if n not in known})
        frame = frame.withColumn("entity_id", F.coalesce("entity_id", "user_id"))
        source = F.struct(
            F.col("user_id").alias("user"), F.col("item_id").alias("item"), F.col("label").cast("int").alias("click"),
            F.col("feature_device").alias("device"), F.col("feature_stock").cast("int").alias("stock"),
            F.col("feature_taste").alias("taste"),
        )  # fmt: skip
        return frame.withColumn("source", source)

    return make


@pytest.fixture
def sources(rows, spark):
    """real, synthetic -> sources without augmented rows; items i0 to i9 in categories c0 to c2, i9 in none."""

    def make(real, synthetic, augmented=None):
        text = F.expr("if(id = 9, null, concat('c', id % 3))")
        items = spark.range(10).select(F.concat(F.lit("i"), "id").alias("item_id"), text.alias("feature_category"))
        none = rows(0, "augmented") if augmented is None else augmented
        return MixSources(real, none, synthetic, items, real.count(), synthetic.count(), "mix")

    return make


def counts(mix, *by, origin="generated"):
    """Group -> rows of an origin."""
    found = mix.where(F.col("origin") == origin).groupBy(*by).count().collect()
    return {row[0] if len(by) == 1 else tuple(row[:-1]): row["count"] for row in found}


def near(num, share):
    """A number of draws, within four standard deviations."""
    return pytest.approx(num * share, abs=4 * (num * share * (1 - share)) ** 0.5)


# share


def test_the_share_is_about_right(rows, sources):
    mixed = sources(rows(4000), rows(2000, "generated"))
    for ratio, share in ((0.15, 0.3), (0, 0), (9, 1)):
        found = mix_by("share", mixed, LOG, synthetic_per_real=ratio).where("origin = 'generated'").count()
        assert found == near(2000, share)


def test_the_share_holds_in_each_stratum_as_far_as_rows_reach(rows, sources):
    """Real rows are half clicks; of the 4000 synthetic ones 200 are."""
    mixed = sources(rows(4000), rows(4000, "generated", label="if(id < 200, 1, 0)"))
    found = counts(mix_by("share", mixed, LOG, synthetic_per_real=0.25, by="label"), "label")
    assert found == {0: near(3800, 500 / 3800), 1: 200}


@pytest.mark.parametrize("by", ["device", "category"])
def test_the_share_holds_in_each_category_and_where_there_is_none(rows, sources, by):
    some = {"feature_device": "if(id % 4 = 0, null, concat('d', id % 2))", "item_id": "concat('i', pmod(id, 10))"}
    mixed = sources(rows(3000, **some), rows(9000, "generated", **some))
    column = "feature_device" if by == "device" else "feature_category"
    real = counts(mixed.real.join(mixed.items, "item_id", "left"), column, origin="real")
    mix = mix_by("share", mixed, LOG, synthetic_per_real=0.5, by=by)
    found = counts(mix.join(mixed.items, "item_id", "left"), column)
    assert None in found
    assert set(found) == set(real)
    assert all(found[value] == near(3 * num, 1 / 6) for value, num in real.items())


# balance


def test_labels_come_out_equal_by_rows_where_they_reach_and_by_weight_where_not(rows, sources):
    """2000 real rows with 3 % clicks; synthetic ones of both labels."""
    real = rows(2000, label="if(id < 60, 1, 0)")
    for num, weight in ((4000, 1.0), (600, 1880 / 300)):
        mixed = sources(real, rows(num, "generated", label="id % 2"))
        mix = mix_by("balance", mixed, LOG).cache()
        assert set(counts(mix, "label")) == {1}
        assert mix.where("origin = 'real' and weight != 1").isEmpty()
        assert mix.where(F.col("origin") == "generated").where(F.abs(F.col("weight") - weight) > 1e-9).isEmpty()
        sums = {row["label"]: row["sum(weight)"] for row in mix.groupBy("label").sum("weight").collect()}
        assert sums[0] == 1940
        assert sums[1] == pytest.approx(1940, abs=1e-3 if num == 600 else 4 * 22)


def test_augmented_rows_count_for_what_they_weigh(rows, sources):
    real, copies = rows(1000, label="if(id < 100, 1, 0)"), rows(400, "augmented", label="1", weight="0.5D")
    chosen, params = checked("balance", LOG)
    plan = chosen.fit(sources(real, rows(1000, "generated"), copies), params, LOG).strata
    assert {each.value: (each.held, each.made) for each in plan} == {"0": (900, 500), "1": (300, 500)}
    assert {each.value: (each.keep, each.factor) for each in plan} == {"0": (0, 1), "1": (1, 1.2)}


@pytest.mark.parametrize("weights", [{"a": (9.0, 20.0), "b": (1.0, 4.0), "c": (0.0, 2.0)}, {"a": (5.0, 0.0)}, {}])
def test_the_plan_reaches_its_target(weights):
    target = {"a": 1.0, "b": 2.0, "c": 1.0, "unheard of": 5.0}
    for each in planned(weights, target, 100.0).strata:
        assert each.after == pytest.approx(each.target, abs=1e-5)
        assert 0 <= each.keep <= 1 <= each.factor


def test_the_plan_says_where_weights_end_and_rows_lack():
    weights = {"a": (90.0, 9.0), "b": (10.0, 2.0), "c": (0.0, 0.0)}
    plan = {each.value: each for each in planned(weights, dict.fromkeys("abc", 1.0), 10).strata}
    assert (plan["b"].keep, plan["b"].factor) == (1, 10)
    assert (plan["c"].keep, plan["c"].after) == (0, 0)
    assert plan["b"].after == pytest.approx(30 / 120)


def test_balance_to_named_values_leaves_the_others_alone(rows, sources):
    mixed = sources(rows(3000, item_id="concat('i', id % 3)"), rows(6000, "generated", item_id="concat('i', id % 10)"))
    mix = mix_by("balance", mixed, LOG, by="category", target={"c0": 3, "c1": 1.5})
    found = counts(mix.join(mixed.items, "item_id"), "feature_category")
    assert set(found) == {"c0"}
    assert found["c0"] == near(1800, 1000 / 1800)


def test_bands_count_real_events(rows, sources):
    """Item i0 has 1000 events, i1 50, the others none; user u0 all, synthetic users one each."""
    real = rows(1050, item_id="if(id < 1000, 'i0', 'i1')", user_id="'u0'")
    mixed = sources(real, rows(3000, "generated", item_id="concat('i', id % 3)", user_id="concat('syn-', id)"))
    chosen, params = checked("balance", LOG, by="item_popularity")
    plan = {each.value: (each.held, each.made) for each in chosen.fit(mixed, params, LOG).strata}
    assert plan == {"4": (1000, 1000), "2": (50, 1000), "0": (0, 1000)}
    chosen, params = checked("balance", LOG, by="user_activity")
    plan = {each.value: (each.held, each.made) for each in chosen.fit(mixed, params, LOG).strata}
    assert plan == {"4": (1050, 0), "1": (0, 3000)}


@pytest.mark.parametrize(
    ("name", "params", "said"),
    [
        ("balance", {"by": "stock"}, "by is 'stock', but must be label"),
        ("balance", {"target": {"2": 1.0}}, "mix.target: '2' is no level of the label; there are 0, 1"),
        ("balance", {"target": {}}, "name 1 to 200 values"),
        ("share", {"by": "colour"}, "by is 'colour'"),
        ("blend", {"by": ("stock",)}, "'stock' is no categorical or id event feature"),
    ],
)
def test_what_the_log_has_not_is_refused(name, params, said):
    with pytest.raises(ConfigError, match=said):
        checked(name, LOG, **params)


# cold_boost


def test_support_tapers_off_linearly(rows, sources):
    """Of items with 0, 5, 10 and 20 real events all, three quarters, half and none at c = 20."""
    real = rows(45, item_id="case when id < 5 then 'i5' when id < 15 then 'i10' when id < 35 then 'i20' end")
    items = "element_at(array('i0', 'i5', 'i10', 'i20', null), cast(id % 5 as int) + 1)"
    mixed = sources(real, rows(5000, "generated", item_id=items))
    found = counts(mix_by("cold_boost", mixed, LOG), "item_id")
    assert found == {"i0": 1000, "i5": near(1000, 0.75), "i10": near(1000, 0.5)}


def test_support_of_users_is_that_of_histories_that_go_on(rows, sources):
    real = rows(60, user_id="if(id < 10, 'few', 'many')")
    made = rows(3000, "generated", user_id="element_at(array('few', 'many', 'syn-1'), cast(id % 3 as int) + 1)")
    found = counts(mix_by("cold_boost", sources(real, made), LOG, by="user"), "user_id")
    assert found == {"few": near(1000, 0.5), "syn-1": 1000}


# blend


def test_numbers_lie_between_a_real_and_a_generated_row_of_equal_label_and_category(rows, sources):
    """Stocks and tastes of real rows are below 100; of donors 200, 400, ... by label and device."""
    number = "200D * (1 + label) + if(feature_device = 'web', 50, 0)"
    real = rows(400, label="id % 2", feature_stock="if(id = 0, 900D, cast(id % 100 as double))")
    made = rows(900, "generated", feature_stock=number, feature_taste=f"array({number}, -1.0D)", weight="3.0D")
    mixed = mix_by("blend", sources(real, made), LOG, synthetic_per_real=1, alpha=0.25)
    parents = real.select(F.col("row_id").alias("parent_id"), *[
        F.col(name).alias(f"own_{name}") for name in ("feature_stock", "feature_taste", "label", "feature_device")
    ])  # fmt: skip
    both = mixed.where("origin = 'blended'").join(parents, "parent_id").cache()
    assert both.count() == 400
    donor = "(200D * (1 + label) + if(feature_device = 'web', 50, 0))"
    assert both.where(f"feature_stock != round(0.25 * own_feature_stock + 0.75 * {donor})").isEmpty()
    wanted = f"array(0.25 * own_feature_taste[0] + 0.75 * {donor}, 0.25 * own_feature_taste[1] - 0.75)"
    assert both.where(f"feature_taste != {wanted}").isEmpty()
    assert both.where("label != own_label or feature_device != own_feature_device or weight != 2.5").isEmpty()
    assert both.where("source.stock != feature_stock or source.taste != feature_taste").isEmpty()


def test_without_a_generated_row_of_the_category_the_label_is_enough_and_without_the_label_nothing_is(rows, sources):
    real = rows(400, feature_stock="if(id = 0, 999D, 0D)")
    made = rows(200, "generated", label="1", feature_device="'tv'", feature_stock="100D", user_id="concat('syn-', id)")
    found = mix_by("blend", sources(real, made), LOG, synthetic_per_real=1).where("op = 'blend'")
    assert {row["label"] for row in found.collect()} == {1}
    assert found.count() == 200
    assert set(counts(found, "feature_stock", origin="blended")) == {50.0}


def test_ratios_above_one_blend_a_row_more_than_once_with_bounded_donors(rows, sources, monkeypatch):
    monkeypatch.setattr(blend, "DONORS", 3)
    real = rows(1000, feature_stock="if(id = 0, 5000D, 0D)", feature_device="'web'", label="1")
    made = rows(2000, "generated", feature_stock="cast(2 * id as double)", feature_device="'web'", label="1")
    found = mix_by("blend", sources(real, made), LOG, synthetic_per_real=2.5).where("op = 'blend'").cache()
    per_parent = found.groupBy("parent_id").count().groupBy("count").count().collect()
    numbers = {row[0]: row[1] for row in per_parent}
    assert set(numbers) == {2, 3}
    assert numbers[3] == near(1000, 0.5)
    assert len(counts(found, "feature_stock", origin="blended")) <= 6  # 3 donors for two different stocks
    assert found.select("row_id").distinct().count() == found.count()


def test_blended_rows_are_on_no_slate(mall):
    made = mix_by("blend", sources_of(mall, MALL), MALL, synthetic_per_real=1).where("origin = 'blended'")
    assert made.count() == mall.count()
    assert made.where("slate_id is not null or source.page is not null").isEmpty()
    assert made.where("user_id like 'syn%'").isEmpty()


# replace


def test_replace_leaves_out_histories_that_go_on(mall):
    new, old = generated(mall, MALL), generated(mall, MALL, salt="old")
    old = old.withColumns({"op": F.lit(f"journey{CONTINUED}"), "user_id": F.lit("u1"), "entity_id": F.lit("u1")})
    mix = mix_by("replace", sources_of(mall, MALL, new.unionByName(old)), MALL)
    assert {row["op"] for row in mix.select("op").distinct().collect()} == {"journey"}
    assert mix.count() == mall.count()
    assert mix.join(mall, "user_id", "left_semi").isEmpty()
    with pytest.raises(ContractError, match=r"the synthetic side is empty .* rows go"):
        mix_by("replace", sources_of(mall, MALL, old), MALL)


@pytest.mark.parametrize(("name", "value"), [("user_id", "u1"), ("parent_id", 7), ("origin", "augmented")])
def test_replace_refuses_what_is_anybodys(mall, name, value):
    made = generated(mall, MALL).withColumn(name, F.lit(value).cast(mall.schema[name].dataType))
    with pytest.raises(ContractError, match="generated rows of nobody alone"):
        mix_by("replace", sources_of(mall, MALL, made), MALL)


# curriculum


def test_rows_of_frequent_items_come_first(rows, sources):
    real = rows(1000, item_id="case when id < 400 then 'i1' when id < 700 then 'i2' else concat('r', id) end")
    made = rows(10, "generated", item_id="element_at(array('i1', 'i2', 'r700', 'new', null), cast(id % 5 as int) + 1)")
    mix = mix_by("curriculum", sources(real, made), LOG, stages=3)
    by_item = {row[0]: row[1] for row in mix.groupBy("item_id").agg(F.collect_set("order")).collect()}
    assert (by_item["i1"], by_item["i2"]) == ([1], [2])
    assert {order for item, (order,) in by_item.items() if item not in ("i1", "i2")} == {3}
    assert mix.schema["order"].dataType.simpleString() == "int"


def test_synthetic_rows_may_come_first_and_real_ones_last(rows, sources):
    mixed = sources(rows(30), rows(20, "generated"), rows(10, "augmented"))
    found = mix_by("curriculum", mixed, LOG, by="synthetic_first").groupBy("origin", "order").count().collect()
    assert {tuple(row) for row in found} == {("real", 3, 30), ("augmented", 2, 10), ("generated", 1, 20)}


def test_stages_have_about_equal_rows_and_few_items_travel():
    assert bounds_of([(400, 400), (300, 300), (1, 300)], 3) == Bounds((400, 300))
    assert bounds_of([(400, 1000)], 4) == Bounds((400, 400, 400))
    assert bounds_of([], 3) == Bounds(())
    assert bounds_of([(50, MOST_ITEMS * 5), (2, MOST_ITEMS * 5)], 3) == Bounds((50, 10))


# upweight


def test_added_rows_weigh_the_share_of_the_real_ones(rows, sources):
    mixed = sources(rows(100), rows(60, "generated", weight="2D"), rows(20, "augmented"))
    weights = dict(mix_by("upweight", mixed, LOG, share=0.7).groupBy("origin").avg("weight").collect())
    assert weights["real"] == 1
    assert weights["generated"] == pytest.approx(2 * weights["augmented"])
    assert 60 * weights["generated"] + 20 * weights["augmented"] == pytest.approx(70)
    fixed = dict(mix_by("upweight", mixed, LOG, weight=0.3).groupBy("origin").max("weight").collect())
    assert fixed == {"real": 1, "generated": 0.3, "augmented": 0.3}


# sources that do not fit


def test_a_schema_that_drifted_is_told_by_its_first_column(rows):
    real, made = rows(1), rows(1, "generated")
    check_same_columns(real, made, "synthetic", LOG)
    changes = {
        r"source has 'click' \(bigint\) in synthetic where real has 'click' \(int\)": made.withColumn(
            "source", F.col("source").withField("click", F.col("label"))
        ),
        r"source has 'new' \(int\) in synthetic where real has no column": made.withColumn(
            "source", F.col("source").withField("new", F.lit(1))
        ),
        "source has 'stock' .* in synthetic where real has 'device'": made.withColumn(
            "source", F.col("source").dropFields("device")
        ),
        "column 'feature_stock' is string in synthetic, but double": made.withColumn("feature_stock", F.lit("x")),
        "column 'feature_taste' is missing in synthetic": made.drop("feature_taste"),
    }
    for said, other in changes.items():
        with pytest.raises(ContractError, match=said):
            check_same_columns(real, other, "synthetic", LOG)


def test_a_ratio_is_a_number_by_the_time_a_strategy_is_asked(rows, sources):
    mixed = sources(rows(1), rows(1, "generated"))
    with pytest.raises(AssertionError):
        mix_by("share", mixed, LOG, synthetic_per_real="auto")

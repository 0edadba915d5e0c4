"""Operators on rows: vectors keep their length, numbers their range and company, queries their script."""

import math
import string

import numpy as np
import pytest
from augmented import rows_by
from mall import MALL

from clickweave.config.log import SchemaConfig
from clickweave.errors import ConfigError
from clickweave.frames.augment.groups import fit_giants, parts_of
from clickweave.frames.augment.numbers import free_features
from clickweave.frames.augment.registry import operator

QUERIES = SchemaConfig.model_validate({"user": "u", "item": "i", "query": "q", "labels": {"click": "c"}})


def both(mall, mall_table, name, **params):
    """Copies beside their parents, whose columns end in _real."""
    made = rows_by(name, mall, MALL, **params).toPandas()
    return made.merge(mall_table, left_on="parent_id", right_on="row_id", suffixes=("", "_real"))


@pytest.mark.parametrize("per", ["run", "session"])
def test_rotated_vectors_keep_their_length_and_turn_by_no_more_than_the_angle(mall, mall_table, per):
    rows = both(mall, mall_table, "rotate", share=1, angle=0.4, per=per)
    assert len(rows) == mall_table["feature_taste"].notna().sum()
    new, old = (np.array(rows[name].tolist()) for name in ("feature_taste", "feature_taste_real"))
    norms = np.linalg.norm(new, axis=1), np.linalg.norm(old, axis=1)
    assert norms[0] == pytest.approx(norms[1], rel=1e-12)
    angles = np.arccos(np.clip((new * old).sum(1) / norms[0] / norms[1], -1, 1))
    assert angles.max() <= 0.4 + 1e-9
    assert angles.max() > 0.1
    distances = [np.linalg.norm(each[:, None] - each[None], axis=2) for each in (new, old)]
    assert np.allclose(*distances) == (per == "run")


def test_dropped_features_are_a_share_of_those_that_were_there(mall, mall_table):
    rows = both(mall, mall_table, "feature_dropout", share=1, rate=0.3, columns=["price", "device"])
    known = sum(mall_table[name].notna().sum() for name in ("feature_price", "feature_device"))
    gone = sum((rows[name].isna() & rows[f"{name}_real"].notna()).sum() for name in ("feature_price", "feature_device"))
    assert gone == pytest.approx(0.3 * known, abs=4 * (known * 0.21) ** 0.5)
    assert rows["feature_stock"].equals(rows["feature_stock_real"])
    kept = rows["feature_price"].notna()
    assert (rows["feature_price"] == rows["feature_price_real"])[kept].all()


def test_mixed_numbers_are_means_of_two_rows_of_one_label_and_device(mall, mall_table):
    rows = both(mall, mall_table, "mixup", share=1, alpha=0.5)
    assert len(rows) == len(mall_table)
    changed = rows[(rows["feature_price"] != rows["feature_price_real"]) & rows["feature_price"].notna()]
    assert len(changed) > len(rows) / 2
    for row in changed.head(40).itertuples():
        group = mall_table[(mall_table["label"] == row.label) & (mall_table["feature_device"] == row.feature_device)]
        partner = 2 * row.feature_price - row.feature_price_real
        assert np.abs(group["feature_price"] - partner).min() < 1e-9
    assert (rows["feature_stock"].dropna() % 1 == 0).all()
    assert (rows["feature_stock"].isna() == rows["feature_stock_real"].isna()).all()


def test_new_rows_of_the_rarer_label_lie_between_a_row_and_one_like_it(mall, mall_table):
    rows = both(mall, mall_table, "smote", ratio=2, k=3)
    rare = mall_table[mall_table["label"] == 1]
    assert set(rows["label"]) == {1}
    assert len(rows) == pytest.approx(2 * len(rare), abs=6)
    for name in ("feature_price", "feature_stock"):
        assert rows[name].dropna().between(rare[name].min(), rare[name].max()).all()
    assert (rows["feature_device"] == rows["feature_device_real"]).all()
    assert (rows["feature_price"] != rows["feature_price_real"]).mean() > 0.5
    apart = (rows["feature_price"] - rows["feature_price_real"]).abs().mean()
    assert apart < 0.6 * (rare["feature_price"].max() - rare["feature_price"].min()) / 3  # unrelated rows: 1/3 of it


def test_neighbours_are_near_in_all_features_not_on_one_line_alone(real_of):
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 1, (600, 3))
    features = {"x": "numeric", "y": "numeric", "z": "numeric"}
    log = SchemaConfig.model_validate({"item": "i", "labels": {"click": "c"}, "features": features})
    rows = [(f"i{n}", int(n < 250), *map(float, places[n])) for n in range(600)]
    train = real_of(rows, "i string, c int, x double, y double, z double", log)
    made = rows_by("smote", train, log, k=3).toPandas()
    moved = made.merge(train.toPandas(), left_on="parent_id", right_on="row_id", suffixes=("", "_real"))
    apart = sum((moved[f"feature_{name}"] - moved[f"feature_{name}_real"]) ** 2 for name in "xyz") ** 0.5
    rare = places[:250]
    among = np.sort(np.linalg.norm(rare[:, None] - rare[None], axis=2), axis=1)[:, 1:]
    nearest, any_two = among[:, :3].mean() / 2, among.mean() / 2  # half: the share u is even
    assert len(moved) == 250
    assert apart.mean() < nearest + 0.35 * (any_two - nearest)


def test_a_row_alone_in_its_group_is_not_mixed_and_donors_are_few(real_of):
    log = SchemaConfig.model_validate({"item": "i", "features": {"x": "numeric", "kind": "categorical"}})
    rows = [(f"i{n}", float(n), "big") for n in range(3_000)] + [
        ("a", 1.0, "alone"),
        ("b", 1.0, None),
        ("c", 5.0, None),
    ]
    train = real_of(rows, "i string, x double, kind string", log)
    made = rows_by("mixup", train, log, share=1, alpha=0).toPandas().set_index("item_id")
    assert set(made.index) == {f"i{n}" for n in range(3_000)} | {"b", "c"}
    assert made["feature_x"]["b"] == 5.0  # nulls are equal here
    assert made["feature_x"]["c"] == 1.0
    assert 600 < made["feature_x"].nunique() <= 1_002


def test_giant_groups_alone_are_cut_into_parts(spark):
    rows = spark.range(30_000).selectExpr("id", "if(id < 25000, 'big', concat('small', id % 100)) as name")
    giants = fit_giants(rows, "name")
    assert list(giants.values()) == [25_000]
    parts = rows.select("name", parts_of(giants, "name").alias("parts")).distinct().toPandas()
    assert parts.set_index("name")["parts"].to_dict() == {"big": 3} | {f"small{n}": 1 for n in range(100)}
    assert fit_giants(rows.where("id < 9000"), "name") == {}


def test_a_feature_that_has_another_role_stays():
    roles = {"item": "i", "position": "p", "labels": {"click": "c", "like": {"column": "r", "at_least": 3}}}
    features = {"p": "numeric", "c": "numeric", "r": "numeric", "i": "id", "x": "numeric", "y": "categorical"}
    log = SchemaConfig.model_validate(roles | {"features": features})
    assert free_features(log) == {"x": "numeric", "y": "categorical"}


@pytest.fixture
def queries(real_of):
    """texts -> real rows, each with a user and an item of its own."""
    return lambda texts: real_of(
        [(f"u{n}", f"i{n}", text, 1) for n, text in enumerate(texts)], "u string, i string, q string, c int", QUERIES
    )


def edits(one, other):
    """Levenshtein distance with swaps of neighbours (Damerau 1964) of two texts."""
    rows = [list(range(len(other) + 1))]
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


def test_letters_of_any_script_are_edited_within_bounds(queries):
    texts = ["running shoes for men", "红色运动鞋男士", "кроссовки", "café crème brûlée", "🎁🎄🎅🎁 gift", "ab", "电影"]
    train = queries([f"{text}{'' if n == 0 else n}" for n in range(12) for text in texts])
    made = rows_by("query_edit", train, QUERIES, share=1, rate=0.3, max_edits=2,
                   kinds=["swap_letters", "drop_letter", "double_letter"])  # fmt: skip
    real = {row["row_id"]: row["query"] for row in train.collect()}
    rows = made.select("parent_id", "query").collect()
    assert len(rows) > 50
    for row in rows:
        before, after = real[row["parent_id"]], row["query"]
        assert 1 <= edits(before, after) <= 4  # two edits, each of at most two steps where letters repeat
        assert set(after) <= set(before)
        after.encode("utf-8")
    assert not {"ab", "电影"} & {real[row["parent_id"]] for row in rows}  # too short


def test_signs_of_several_code_points_are_not_taken_apart(queries):
    joined = ["cafe\u0301 creme", "👩\u200d👧 gifts", "👍🏽 thumbs up", "🇩🇪 flag pins"]
    made = rows_by("query_edit", queries(joined), QUERIES, share=1, kinds=["swap_letters", "drop_letter"])
    assert made.isEmpty()


def test_every_letter_may_be_dropped(queries):
    train = queries(["abcd"] * 200)
    made = rows_by("query_edit", train, QUERIES, share=1, kinds=["drop_letter"], max_edits=1)
    assert {row[0] for row in made.select("query").distinct().collect()} == {"bcd", "acd", "abd", "abc"}


@pytest.mark.parametrize(("kind", "more"), [("swap_letters", 0), ("drop_letter", -1), ("double_letter", 1)])
def test_each_of_as_many_parts_as_edits_are_allowed_gets_one(queries, kind, more):
    train = queries([string.ascii_letters[:length] for length in range(4, 26)] * 4)
    made = rows_by("query_edit", train, QUERIES, share=1, rate=0.3, max_edits=5, kinds=[kind])
    real = {row["row_id"]: row["query"] for row in train.collect()}
    rows = [(real[row["parent_id"]], row["query"]) for row in made.collect()]
    assert len(rows) == len(real)
    for before, after in rows:
        num = min(math.ceil(len(before) * 0.3), 5, len(before) // 2)
        assert len(after) == len(before) + more * num
        if kind == "swap_letters":
            touched = [place for place, letter in enumerate(before) if after[place] != letter]
        else:
            touched = [place for place, letter in enumerate(before) if after.count(letter) == 1 + more]
        starts = [len(before) * part // num for part in range(num)]
        parts = [sum(start <= place for start in starts) - 1 for place in touched]
        assert parts == [part for part in range(num) for _ in range(1 + (more == 0))]


def test_words_are_dropped_or_swapped_whole_and_once(queries):
    train = queries([f"red  shoes size {n}" for n in range(30)] + ["shoes"])
    made = rows_by("query_edit", train, QUERIES, share=1, rate=1, max_edits=5, kinds=["drop_word", "swap_words"])
    real = {row["row_id"]: row["query"].split() for row in train.collect()}
    rows = [(real[row["parent_id"]], row["query"].split()) for row in made.collect()]
    assert len(rows) == 30
    lost = {len(before) - len(after) for before, after in rows}
    assert lost == {0, 1}
    assert all(set(after) <= set(before) and after != before for before, after in rows)
    swapped = [(before, after) for before, after in rows if len(before) == len(after)]
    assert {sum(a != b for a, b in zip(*pair, strict=True)) for pair in swapped} == {2}


def test_another_query_led_to_the_same_item(real_of):
    texts = {"i1": ["red shoes", "crimson sneakers"], "i2": ["phone", "mobile"], "i3": ["alone"]}
    rows = [(f"u{n}{q}", item, q, 1) for n in range(4) for item, group in texts.items() for q in group]
    rows += [("v", "i3", "never clicked", 0)]
    train = real_of(rows, "u string, i string, q string, c int", QUERIES)
    made = rows_by("query_edit", train, QUERIES, share=1, kinds=["coclick"]).collect()
    assert len(made) == 17
    for row in made:
        assert row["query"] in texts[row["item_id"]]
    swapped = {(row["item_id"], row["query"]) for row in made}
    assert swapped == {
        ("i1", "red shoes"),
        ("i1", "crimson sneakers"),
        ("i2", "phone"),
        ("i2", "mobile"),
        ("i3", "alone"),
    }


def test_a_query_for_which_an_item_counts_little_does_not_stand_in(real_of):
    """`everything` leads to each of 40 items once, `shoe 7` and `red 7` to item 7 alone, ten times each."""
    rows = [("u", f"i{n}", query, 1) for n in range(40) for query in (f"shoe {n}", f"red {n}") for _ in range(10)]
    rows += [("u", f"i{n}", "everything", 1) for n in range(40)]
    train = real_of(rows, "u string, i string, q string, c int", QUERIES)
    made = {
        row[0] for row in rows_by("query_edit", train, QUERIES, share=1, kinds=["coclick"]).select("query").collect()
    }
    assert "shoe 7" in made
    assert "everything" not in made


def test_a_query_is_as_relevant_as_nine_tenths_of_real_clicks(real_of, monkeypatch):
    """Against quantiles by numpy; the same where the queries of items are not sent to every executor."""
    rng = np.random.default_rng(0)
    numbers = enumerate(np.minimum(rng.zipf(1.5, (3_000, 2)), 9).tolist())
    rows = [(f"u{n}", f"i{item}", f"query {query}", int(n % 3 == 0)) for n, (item, query) in numbers]
    train = real_of(rows, "u string, i string, q string, c int", QUERIES)
    clicked = train.where("label = 1").select("item_id", "query").toPandas()
    clicks = clicked.groupby(["item_id", "query"]).size()
    shares = (clicks / clicks.groupby("query").transform("sum")).round(3)
    least = np.quantile(np.repeat(shares, clicks), 0.1)
    made = rows_by("query_edit", train, QUERIES, share=1, kinds=["coclick"]).select("parent_id", "item_id", "query")
    table = made.toPandas()
    assert set(zip(table["item_id"], table["query"], strict=True)) == set(shares[shares >= least].index)
    assert (shares < least).sum() > 10
    monkeypatch.setattr("clickweave.frames.augment.query_edit.MOST_BROADCAST", 0)
    shuffled = rows_by("query_edit", train, QUERIES, share=1, kinds=["coclick"]).select(*table.columns).toPandas()
    assert set(shuffled.itertuples(index=False)) == set(table.itertuples(index=False))


def test_a_category_stands_in_for_a_query(real_of):
    features = {"item_features": {"kind": "categorical"}}
    log = SchemaConfig.model_validate(QUERIES.model_dump(exclude_defaults=True) | features)
    rows = [(f"u{n}", f"i{n % 2}", f"red shoes {n}", 1, ("boots", "bags")[n % 2]) for n in range(6)]
    train = real_of(rows, "u string, i string, q string, c int, kind string", log)
    made = rows_by("query_edit", train, log, share=1, kinds=["category"]).collect()
    assert sorted((row["item_id"], row["query"]) for row in made) == [("i0", "boots")] * 3 + [("i1", "bags")] * 3


def test_days_of_users_come_again_whole_and_about_as_often_as_asked(mall, mall_table):
    made = rows_by("bootstrap", mall, MALL, share=1.5).toPandas()
    real = mall_table.assign(day=mall_table["event_time"].dt.floor("D"))
    days = real.groupby(["entity_id", "day"]).size()
    made = made.merge(real[["row_id", "day"]], left_on="parent_id", right_on="row_id", suffixes=("", "_real"))
    times = made.groupby(["entity_id", "day", "parent_id"]).size()
    by_day = times.groupby(level=[0, 1]).agg(["min", "max", "size"])
    assert (by_day["min"] == by_day["max"]).all()
    assert by_day["size"].equals(days.loc[by_day.index])
    assert by_day["max"].sum() == pytest.approx(1.5 * len(days), abs=4 * (1.5 * len(days)) ** 0.5)
    assert len(by_day) == pytest.approx(len(days) * (1 - math.exp(-1.5)), abs=4 * (len(days) * 0.2) ** 0.5)


REFUSED = [
    ("rotate", {}, {"item": "i"}, "rotate needs a vector event feature"),
    ("rotate", {"columns": ["x"]}, {"item": "i", "features": {"x": "numeric"}}, "'x' is not a vector event feature"),
    ("feature_dropout", {}, {"item": "i"}, "feature_dropout needs an event feature"),
    ("mixup", {}, {"item": "i", "features": {"x": "vector"}}, "mixup needs a numeric event feature"),
    ("smote", {}, {"item": "i", "features": {"x": "numeric"}}, "smote needs schema.labels"),
    ("query_edit", {}, {"item": "i"}, "query_edit needs schema.query"),
    ("bootstrap", {}, {"user": "u", "item": "i"}, "bootstrap needs sessions"),
    ("mask", {}, {"user": "u", "query": "q", "event_time": {"column": "t"}}, "mask needs schema.item"),
    ("time_warp", {}, {"item": "i", "event_time": {"column": "t"}}, "time_warp needs sessions"),
    ("insert", {}, {"user": "u", "query": "q", "event_time": {"column": "t"}}, "insert needs schema.item"),
    ("negatives", {"source": "slate"}, {"item": "i"}, "negatives with source: slate needs schema.slate"),
    ("position_resample", {}, {"item": "i", "labels": {"c": "c"}}, "position_resample needs schema.position"),
    ("cold_entity_rows", {}, {"item": "i", "item_features": {"x": "numeric"}}, "a categorical or id feature"),
    ("cold_entity_rows", {"entity": "user"}, {"item": "i", "event_time": {"column": "t"}}, "user needs schema.user"),
    ("cold_entity_rows", {"entity": "user"}, {"item": "i", "user": "u"}, "entity: user needs sessions"),
    ("borrow_neighbour", {}, {"item": "i", "event_time": {"column": "t"}}, "borrow_neighbour needs schema.user"),
]


@pytest.mark.parametrize(("name", "params", "schema", "said"), REFUSED, ids=[row[3] for row in REFUSED])
def test_what_the_log_lacks_is_named(name, params, schema, said):
    log = SchemaConfig.model_validate(schema)
    with pytest.raises(ConfigError, match=f"^augment operator {name}") as caught:
        operator(name).Params(**params).check(log)
    assert said in str(caught.value)

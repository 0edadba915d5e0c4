"""Operators on items: neighbours, popularity, positions, cold items and sparse users."""

import numpy as np
import pandas as pd
import pytest
from augmented import rows_by, sources_of
from mall import MALL
from scipy.stats import ks_2samp

from clickweave.config.log import SchemaConfig
from clickweave.frames.augment.chain import needs_neighbours, rewritten
from clickweave.frames.augment.position_resample import Params, examined, fit
from clickweave.frames.augment.registry import operator
from clickweave.frames.source_rows import with_source

START = 1_700_000_000
TASTES = SchemaConfig.model_validate(
    {
        "user": "u",
        "item": "i",
        "event_time": {"column": "t", "unit": "s"},
        "labels": {"click": "c"},
        "item_features": {"kind": "categorical", "brand": "categorical"},
    }
)
TYPE = "u string, i string, t bigint, c int, kind string, brand string"
EXAMINED = (0.9, 0.6, 0.4, 0.25, 0.15)  # chance that a position is looked at, from the first
PAGES = SchemaConfig.model_validate({"user": "u", "item": "i", "position": "p", "labels": {"click": "c"}})


def tastes(num_users=300, seed=0):
    """Sessions of one kind of items each, items of a kind by Zipf's law, gaps log-normal."""
    rng, rows = np.random.default_rng(seed), []
    weights = 1 / np.arange(1, 16)
    for user in range(num_users):
        kind, time = user % 3, START + int(rng.integers(0, 86_400 * 20))
        for item in rng.choice(15, 6, replace=False, p=weights / weights.sum()):
            rows.append((f"u{user}", f"i{kind}-{item}", time, int(item % 2), f"k{kind}", f"b{item % 4}"))
            time += 1 + int(rng.lognormal(3.5, 1))
    return rows


@pytest.fixture(scope="module")
def shop_of_tastes(kept_rows_of):
    return kept_rows_of(tastes(), TYPE, TASTES)


@pytest.fixture(scope="module")
def taste_table(shop_of_tastes):
    return shop_of_tastes.toPandas()


def kind_of(items):
    return items.str.split("-").str[0]


def gini(items):
    ordered = np.sort(items.value_counts().to_numpy().astype(float))
    return (2 * np.arange(1, len(ordered) + 1) - len(ordered) - 1) @ ordered / (len(ordered) * ordered.sum())


def test_neighbours_are_visited_together_or_alike(shop_of_tastes):
    found = sources_of(shop_of_tastes, TASTES).neighbours.toPandas()
    assert not found.duplicated(["item_id", "neighbour_id"]).any()
    assert (found["item_id"] != found["neighbour_id"]).all()
    assert found["similarity"].between(0, 1, inclusive="right").all()
    assert (kind_of(found["item_id"]) == kind_of(found["neighbour_id"])).all()
    assert set(found["item_id"]) == {f"i{kind}-{item}" for kind in range(3) for item in range(15)}
    ranked = found.sort_values(["item_id", "rank"])
    assert (ranked.groupby("item_id")["similarity"].diff().dropna() <= 0).all()
    assert ranked.groupby("item_id")["rank"].apply(lambda ranks: list(ranks) == list(range(1, len(ranks) + 1))).all()
    brand = {f"i{kind}-{item}": item % 4 for kind in range(3) for item in range(15)}
    same = found["item_id"].map(brand) == found["neighbour_id"].map(brand)
    assert found["similarity"][same].mean() > found["similarity"][~same].mean() + 0.1


def test_similarity_is_the_normalised_information_of_common_sessions(real_of):
    log = SchemaConfig.model_validate({"user": "u", "item": "i"})
    held = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "x"), ("d", "z"), ("e", "z"), ("e", "y")]
    found = sources_of(real_of(held * 2, "u string, i string", log), log).neighbours.toPandas()
    pairs = found.set_index(["item_id", "neighbour_id"])["similarity"].to_dict()
    expected = np.log(2 * 5 / (3 * 3)) / -np.log(2 / 5)
    assert pairs == {("x", "y"): pytest.approx(expected), ("y", "x"): pytest.approx(expected)}


def test_of_a_session_of_many_items_few_are_paired(real_of):
    log = SchemaConfig.model_validate({"user": "u", "item": "i"})
    held = [(user, f"i{n}") for user in ("a", "b") for n in range(400)] + [(f"u{n}", "z") for n in range(9)]
    found = sources_of(real_of(held, "u string, i string", log), log).neighbours
    assert 0 < found.count() < 400  # all would be 8,000: twenty of each item


def test_swapped_items_are_of_their_kind_and_popularity_stays(shop_of_tastes, taste_table):
    made = rows_by("substitute", shop_of_tastes, TASTES, share=1, rate=1, tau=0, label_tau=0).toPandas()
    rows = made.merge(taste_table, left_on="parent_id", right_on="row_id", suffixes=("", "_real"))
    assert (rows["item_id"] != rows["item_id_real"]).mean() > 0.3
    assert (kind_of(rows["item_id"]) == kind_of(rows["item_id_real"])).all()
    real = taste_table[taste_table["row_id"].isin(made["parent_id"])]
    assert abs(gini(made["item_id"]) - gini(real["item_id"])) < 0.02


def test_a_click_goes_with_near_items_alone(shop_of_tastes, taste_table):
    made = rows_by("substitute", shop_of_tastes, TASTES, share=1, rate=1, tau=0, label_tau=1).toPandas()
    rows = made.merge(taste_table, left_on="parent_id", right_on="row_id", suffixes=("", "_real"))
    changed = rows[rows["item_id"] != rows["item_id_real"]]
    assert len(changed) > 50
    assert set(changed["label"]) == {0}


def test_clicked_items_keep_a_law_of_their_own(shop_of_tastes, taste_table):
    """Odd items are clicked, even ones never: a click that went by the popularity of all events would leave them."""
    made = rows_by("substitute", shop_of_tastes, TASTES, share=1, rate=1, tau=0, label_tau=0).toPandas()
    real = taste_table[taste_table["row_id"].isin(made["parent_id"])]
    for label in (0, 1):
        shares = [rows[rows["label"] == label]["item_id"].value_counts(normalize=True) for rows in (made, real)]
        assert set(shares[0].index) <= set(shares[1].index)
        assert shares[0].sub(shares[1], fill_value=0).abs().sum() / 2 < 0.1
    changed = made.merge(taste_table, left_on="parent_id", right_on="row_id", suffixes=("", "_real"))
    assert (changed["item_id"] != changed["item_id_real"])[changed["label"] == 1].mean() > 0.1


def test_an_item_with_nearly_all_events_is_swapped_like_any_other(real_of):
    rows = [(f"u{n}", "hit" if n % 10 else "miss", START + n, 0, "k", f"b{n % 2}") for n in range(5_000)]
    rows += [(f"u{n}", f"i{n % 4}", START + n + 5, 0, "k", "b0") for n in range(5_000)]
    made = rows_by("substitute", real_of(rows, TYPE, TASTES), TASTES, share=0.5, rate=0.5)
    assert made.count() > 100


def test_inserted_items_stand_between_their_session_s_events(shop_of_tastes, taste_table):
    made = rows_by("insert", shop_of_tastes, TASTES, share=1).toPandas()
    made = made.sort_values(["session_id", "event_time", "row_id"])
    real = taste_table.set_index("row_id")
    new = made["item_id"] != real.loc[made["parent_id"], "item_id"].to_numpy()
    gaps = taste_table.groupby("session_id").size().sub(1).sum()
    assert new.sum() == pytest.approx(0.1 * gaps, abs=4 * (0.09 * gaps) ** 0.5)
    assert new.groupby(made["session_id"]).any().all()
    assert not new[made.groupby("session_id")["event_time"].transform("max") == made["event_time"]].any()
    assert (kind_of(made["item_id"])[new] == kind_of(real.loc[made["parent_id"][new], "item_id"]).to_numpy()).all()
    assert not made.duplicated(["session_id", "event_time"]).any()
    held = taste_table[taste_table["session_id"].isin(real.loc[made["parent_id"], "session_id"])]
    assert set(made["parent_id"]) == set(held["row_id"])  # sessions come whole

    def seconds(rows):
        rows = rows.sort_values(["session_id", "event_time"])
        return rows.groupby("session_id")["event_time"].diff().dropna().dt.total_seconds()

    whole = pd.concat([made, taste_table[~taste_table["row_id"].isin(made["parent_id"])]])
    assert ks_2samp(seconds(whole), seconds(taste_table)).statistic < 0.05


def test_long_sessions_get_no_event(shop_of_tastes):
    assert rows_by("insert", shop_of_tastes, TASTES, share=1, rate=1, max_len=6).isEmpty()
    assert not rows_by("insert", shop_of_tastes, TASTES, share=1, rate=1, max_len=7).isEmpty()


def test_no_event_falls_inside_a_slate(real_of):
    roles = {"user": "u", "item": "i", "event_time": {"column": "t", "unit": "s"}, "slate": "s"}
    log = SchemaConfig.model_validate(roles)
    rows = [
        (f"u{user}", f"i{user % 2 * 4 + (slate + place) % 4}", START + slate * 100 + place * 20, f"s{user}-{slate}")
        for user in range(40)
        for slate in range(3)
        for place in range(3)
    ]
    made = rows_by("insert", real_of(rows, "u string, i string, t bigint, s string", log), log, share=1, rate=1)
    new = made.where("slate_id is null").toPandas()
    assert len(new) > 10
    seconds = (new["event_time"] - pd.Timestamp(START, unit="s")).dt.total_seconds() % 100
    assert seconds.between(41, 99).all()


def test_mates_of_a_slate_are_its_unclicked_items(mall, mall_table):
    made = rows_by("negatives", mall, MALL, ratio=5, source="slate").toPandas()
    rows = made.merge(mall_table, left_on="parent_id", right_on="row_id", suffixes=("", "_real"))
    shown = set(map(tuple, mall_table[mall_table["label"] == 0][["slate_id", "item_id"]].to_numpy()))
    clicked = set(map(tuple, mall_table[mall_table["label"] == 1][["entity_id", "item_id"]].to_numpy()))
    assert set(zip(rows["slate_id_real"], rows["item_id"], strict=True)) <= shown
    assert not set(zip(rows["entity_id"], rows["item_id"], strict=True)) & clicked
    assert not rows.duplicated(["parent_id", "item_id"]).any()
    assert 0.5 < len(rows) / (mall_table["label"] == 1).sum() <= 2  # slates of three, one click each


def test_weights_undo_the_draws_by_popularity(shop_of_tastes):
    made = rows_by("negatives", shop_of_tastes, TASTES, ratio=10, alpha=1, weigh=True).toPandas()
    shares = made.groupby("item_id")["weight"].sum() / made["weight"].sum()
    counts = made["item_id"].value_counts(normalize=True)
    assert shares.std() < 0.4 * counts.std()


def pages(num=4_000, seed=0):
    """Shows of a known position-based model: user, item, position, click."""
    rng = np.random.default_rng(seed)
    relevant = rng.uniform(0.2, 0.9, 30)
    rows = []
    for user in range(num):
        for place, item in enumerate(rng.choice(30, 5, replace=False)):
            click = int(rng.random() < EXAMINED[place] * relevant[item])
            rows.append((f"u{user}", f"i{item}", place + 1, click))
    return rows


@pytest.fixture(scope="module")
def shown(kept_rows_of):
    return kept_rows_of(pages(), "u string, i string, p int, c int", PAGES)


def test_examination_is_recovered_from_clicks(shown):
    found = fit(sources_of(shown, PAGES), Params(), PAGES)
    assert found.positions == (1, 2, 3, 4, 5)
    assert found.theta == pytest.approx(np.array(EXAMINED) / EXAMINED[0], abs=0.05)
    assert found.relevance == pytest.approx(0.55 * EXAMINED[0], abs=0.05)


def test_relevant_items_at_the_top_do_not_pass_for_examination():
    """Where the better items stand first, click rates alone are steeper than theta."""
    rng = np.random.default_rng(0)
    item, place = np.repeat(np.arange(40), 5), np.tile(np.arange(5), 40)
    relevant = np.linspace(0.9, 0.2, 40)
    shows = 1 + 4_000 * np.exp(-((item / 8 - place) ** 2)) // 1
    clicks = rng.binomial(shows.astype(int), np.array(EXAMINED)[place] * relevant[item])
    theta, _ = examined(item, place, shows, clicks, num_places=5)
    rates = np.bincount(place, clicks) / np.bincount(place, shows)
    errors = [np.abs(each / each[0] - np.array(EXAMINED) / EXAMINED[0]).max() for each in (theta, rates)]
    assert errors[0] < 0.04
    assert errors[1] > 0.08


def test_places_where_the_drawn_items_were_never_shown_are_known_too():
    counts = np.array([0, 1]), np.array([10, 10]), np.array([5, 2])
    theta, _ = examined(np.zeros(2, int), *counts, num_places=4)
    assert theta.tolist() == pytest.approx([1, 0.4, 0, 0], abs=0.05)


def test_clicks_by_position_keep_their_rates(shown):
    real = shown.toPandas()
    made = rows_by("position_resample", shown, PAGES, share=1).toPandas()
    rates = [each.assign(c=each["label"] >= 1).groupby("position")["c"].mean() for each in (made, real)]
    assert (rates[0] - rates[1]).abs().max() < 0.02
    moved = made.merge(real, left_on="parent_id", right_on="row_id", suffixes=("", "_real"))
    assert (moved["position"] != moved["position_real"]).all()
    assert len(moved) == pytest.approx(0.8 * len(real), rel=0.02)
    by_item = [each.groupby("item_id")["label"].mean() for each in (made, real)]
    assert np.corrcoef(*by_item)[0, 1] > 0.9


def test_labels_from_thresholds_stay_and_weights_tell_the_place(real_of):
    labels = {"labels": {"like": {"column": "c", "at_least": 1}}}
    log = SchemaConfig.model_validate(PAGES.model_dump(exclude_defaults=True) | labels)
    train = real_of(pages(12_000), "u string, i string, p int, c int", log)
    real, made = train.toPandas(), rows_by("position_resample", train, log, share=1).toPandas()
    moved = made.merge(real, left_on="parent_id", right_on="row_id", suffixes=("", "_real"))
    assert len(moved) == pytest.approx(0.8 * len(real), rel=0.02)
    assert (moved["label"] == moved["label_real"]).all()
    weighed = made.assign(clicks=made["weight"] * made["label"]).groupby("position")[["clicks", "weight"]].sum()
    rates = real.groupby("position")["label"].mean()
    assert (weighed["clicks"] / weighed["weight"] - rates).abs().max() < 0.02


def test_cold_items_get_events_of_items_like_them(real_of):
    rows = [(f"u{n}", f"i{n % 4}", START + n, 1, "k0", f"b{n % 2}") for n in range(80)]
    rows += [("u1", "new", START + 9, 1, "k0", "b0"), ("u2", "odd", START + 9, 1, "k9", "b0")]
    train = real_of(rows, TYPE, TASTES)
    made = rows_by("cold_entity_rows", train, TASTES, c=5, k=1, cap=7, weight=0.4)
    parents = {row["row_id"]: row["item_id"] for row in train.collect()}
    found = made.collect()
    assert {row["item_id"] for row in found} == {"new"}  # nothing is like `odd`
    assert len(found) == 7
    assert {parents[row["parent_id"]] for row in found} == {"i0"}  # of those with kind and brand in common the first
    assert {row["weight"] for row in found} == {0.4}
    whole = with_source(made, TASTES, train.schema["source"].dataType, attributes={}).collect()
    assert {row["source"]["i"] for row in whole} == {"new"}


PEOPLE = SchemaConfig.model_validate(
    TASTES.model_dump(exclude_defaults=True) | {"user_features": {"job": "categorical", "city": "categorical"}}
)


def test_cold_users_get_events_of_users_like_them_and_keep_their_own_attributes(real_of):
    people = {"like": ("j1", "x"), "less": ("j1", "z"), "other": ("j2", "x")}
    rows = [(who, f"{who}-{n}", START + n, n % 2, "k", "b", *about) for who, about in people.items() for n in range(20)]
    rows += [(f"cold{n}", "once", START + 9, 1, "k", "b", "j1", "x") for n in range(40)]
    rows += [("lone", "once", START + 9, 1, "k", "b", "j9", "x"), ("bare", "once", START + 9, 1, "k", "b", None, None)]
    train = real_of(rows, f"{TYPE}, job string, city string", PEOPLE)
    params = operator("cold_entity_rows").Params(entity="user", c=5, k=1, cap=7, weight=0.4)
    made, _ = rewritten(sources_of(train, PEOPLE), [params], PEOPLE, train.schema["source"].dataType, 0)
    made = made.toPandas()
    assert made["user_id"].value_counts().to_dict() == {f"cold{n}": 7 for n in range(40)}  # nobody is like the others
    assert set(made["item_id"].str.split("-").str[0]) == {"like"}
    assert made["parent_id"].nunique() <= 10  # half of the twenty, to all forty together
    assert set(made["weight"]) == {0.4}
    again = operator("cold_entity_rows").Params(entity="user", c=5, k=2, cap=20)
    made, _ = rewritten(sources_of(train, PEOPLE), [again], PEOPLE, train.schema["source"].dataType, 0)
    assert not needs_neighbours([again])
    found = made.select("source.*").toPandas()
    assert set(found["i"].str.split("-").str[0]) == {"like", "less"}
    assert set(found["u"]) == {f"cold{n}" for n in range(40)}
    assert set(found["city"]) == {"x"}  # never the lender's


def test_a_sparse_user_borrows_some_events_of_the_one_who_shares_most(real_of):
    day = 86_400
    rows = [("sparse", item, START + 3 * day, 1, "k", "b") for item in ("i1", "i2")]
    rows += [("like", f"i{n}", START + n * 60, 1, "k", "b") for n in range(1, 13)]
    rows += [("other", f"i{n}", START + n * 60, 1, "k", "b") for n in range(2, 14)]
    rows += [("lone", "z", START + 6 * day, 1, "k", "b"), ("end", "i13", START + 5 * day, 1, "k", "b")]
    made = rows_by("borrow_neighbour", real_of(rows, TYPE, TASTES), TASTES, max_events=9, r=0.5, weight=0.3).collect()
    parents = {row["row_id"]: row for row in real_of(rows, TYPE, TASTES).collect()}
    mine = [row for row in made if row["user_id"] == "sparse"]
    assert {parents[row["parent_id"]]["user_id"] for row in mine} == {"like"}
    assert len(mine) == 6  # half of twelve
    assert len({row["session_id"] for row in mine}) == 1
    assert {row["weight"] for row in made} == {0.3}
    for row in mine:
        moved = row["event_time"] - parents[row["parent_id"]]["event_time"]
        assert moved.total_seconds() == 3 * day
    assert {row["user_id"] for row in made} == {"sparse", "end"}


def test_a_lender_is_never_lent_as_a_whole_and_sessions_come_as_they_were(real_of):
    day = 86_400
    rows = [("lender", f"i{n}", START + (n // 6) * day + n, 1, "k", "b") for n in range(3_000)]
    rows += [(f"u{n}", "i0", START, 1, "k", "b") for n in range(200)]
    train = real_of(rows, TYPE, TASTES)
    made = rows_by("borrow_neighbour", train, TASTES, max_events=5, r=0.5).toPandas()
    assert made["user_id"].nunique() == 200
    assert made.groupby("user_id").size().max() <= 5
    assert made["parent_id"].nunique() <= 20  # of 3,000: no more than users could differ by
    few = [row for row in rows if row[0] != "lender" or row[2] < START + 2 * day]
    made = rows_by("borrow_neighbour", real_of(few, TYPE, TASTES), TASTES, max_events=9, r=0.5).toPandas()
    assert made["parent_id"].nunique() == 6  # half of twelve, to all 200 users together
    parents = train.toPandas().set_index("row_id")
    made["real"] = parents.loc[made["parent_id"], "session_id"].to_numpy()
    assert (made.groupby("session_id")["real"].nunique() == 1).all()
    assert (made.groupby(["user_id", "real"])["session_id"].nunique() == 1).all()
    assert made["real"].nunique() == 2

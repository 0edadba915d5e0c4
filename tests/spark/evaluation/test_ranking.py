"""Cases and arms by Spark, and the whole of the ranking figures with recommenders that a test can afford."""

import json
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

from clickweave.config.base import Section
from clickweave.config.stages import EvaluateConfig
from clickweave.evaluation.ranking.arms import (
    Part,
    Plan,
    arm_events,
    count_consumed,
    entities_again,
    items_apart,
    thin,
)
from clickweave.evaluation.ranking.cases import (
    Catalogue,
    content_of,
    fit_catalogue,
    future_cases,
    holdout_cases,
    substituted,
)
from clickweave.evaluation.ranking.figures import NAMES
from clickweave.evaluation.ranking.utility import judge_ranking, recommenders_for
from clickweave.evaluation.recommenders.protocol import Task

QUICK = EvaluateConfig(utility="quick")


class Params(Section):
    pass


class Together:
    """Items that were had together, the damped counts of their users; `damp` 0 is plain popularity."""

    def __init__(self, counts, ids, damp):
        self.counts, self.ids, self.damp = counts, ids, damp

    def score(self, histories, candidates):
        places = self.ids.get_indexer(candidates)
        owned = np.zeros((histories.num_users, len(self.ids)))
        known = self.ids.get_indexer(histories.item_ids)
        np.add.at(owned, (histories.owners[known >= 0], known[known >= 0]), 1.0)
        alike = self.counts / np.sqrt(1.0 + np.outer(np.diag(self.counts), np.diag(self.counts)))
        scores = self.damp * owned @ alike + (1 - self.damp) * np.diag(self.counts) / self.counts.max()
        return np.where(places >= 0, scores[:, places], 0.0).astype(np.float32)


def _together(damp):
    def fit(events, items, users, task, params):
        rows = events.where(F.col("label") >= task.level).select("entity_id", "item_id", "weight").toPandas()
        table = rows.pivot_table("weight", "entity_id", "item_id", "sum", fill_value=0.0).clip(upper=1)
        return Together(table.T.to_numpy() @ table.to_numpy(), pd.Index(table.columns, dtype=object), damp)

    return SimpleNamespace(Params=Params, fit=fit)


TOYS = {"popularity": _together(0.0), **{f"together{damp}": _together(damp) for damp in (1.0, 0.9, 0.7, 0.5)}}


@pytest.fixture(scope="module")
def task(make_inputs):
    return Task(make_inputs().schema, level=1, seed=0)


@pytest.fixture
def log(to_table, toy):
    """Events of one user each as (seconds, item, label) pairs, others as the toy's."""

    def build(users, origin="real"):
        rows = [(user, *event) for user, events in users.items() for event in events]
        frame = toy(1, 9, "x", origin=origin, per_user=len(rows))
        user, second, item, label = (list(column) for column in zip(*rows, strict=True))
        return to_table(frame.assign(entity_id=user, user_id=user, ts=second, item_id=item, label=label))

    return build


def _items(cases, catalogue, pairs):
    found = {user: set() for user in cases.histories.user_ids}
    for user, item in zip(pairs.users, pairs.items, strict=True):
        found[cases.histories.user_ids[user]].add(catalogue.items[item])
    return found


def test_last_fifth_is_to_be_found_and_only_what_is_new_and_a_candidate(log, task):
    catalogue = Catalogue(np.array(list("abcdefghijk"), object), np.arange(11))
    holdout = log(
        {
            "ten": [(n, item, 1) for n, item in enumerate("abcdefghij")],
            "two": [(9, "b", 1), (5, "a", 1)],
            "again": [(1, "a", 1), (2, "a", 1)],
            "unknown": [(1, "a", 1), (2, "?", 1)],
            "one": [(1, "a", 1), (2, "b", 0)],
        }
    )
    cases = holdout_cases(holdout, task, catalogue)
    assert _items(cases, catalogue, cases.targets) == {"ten": {"i", "j"}, "two": {"b"}}
    assert _items(cases, catalogue, cases.seen) == {"ten": set("abcdefgh"), "two": {"a"}}
    assert cases.histories.item_ids.tolist() == [*"abcdefgh", "a"]
    assert cases.left_out == {"seen": 1, "unknown": 1}


def test_cases_are_bounded_seeded_and_the_same_on_any_partitioning(make_inputs, task):
    inputs = make_inputs()
    catalogue = fit_catalogue(inputs.train, inputs.items, task)
    one = holdout_cases(inputs.holdout, task, catalogue, max_users=30)
    two = holdout_cases(inputs.holdout.repartition(7), task, catalogue, max_users=30)
    other = holdout_cases(inputs.holdout, Task(task.schema, 1, seed=1), catalogue, max_users=30)
    assert 20 < one.num_users <= 30
    for part in ("seen", "targets"):
        assert (getattr(one, part).items == getattr(two, part).items).all()
    assert (one.histories.item_ids == two.histories.item_ids).all()
    assert set(one.histories.user_ids) != set(other.histories.user_ids)


def test_slices_tell_cold_users_and_rare_items_by_events_in_train(log, task):
    catalogue = Catalogue(np.array([f"i{n}" for n in range(10)], object), np.array([50, 5, 6, 1, 1, 1, 1, 1, 1, 1]))
    seen = [(second, f"i{second}", 1) for second in (3, 4, 5, 6)]
    targets = {"cold": "i1", "warm": "i0", "warm too": "i2"}
    holdout = log({user: [*seen[user == "cold" :], (9, item, 1)] for user, item in targets.items()})
    cases = holdout_cases(holdout, task, catalogue)
    assert _items(cases, catalogue, cases.targets) == {user: {item} for user, item in targets.items()}
    assert {name: inside.tolist() for name, inside in cases.slices(catalogue).items()} == {
        "all": [True, True, True],
        "cold_users": [True, False, False],
        "rare_items": [True, False, False],
        "head_items": [False, True, False],
        "tail_items": [True, False, True],
    }


def test_future_events_are_found_from_those_of_train(log, task):
    catalogue = Catalogue(np.array(list("abcdef"), object), np.ones(6, int))
    train = log({"u": [(1, "a", 1), (2, "b", 1)], "v": [(1, "a", 1)]})
    future = log({"u": [(5, "c", 1), (6, "a", 1)], "new": [(5, "d", 1)]})
    cases = future_cases(train, future, task, catalogue)
    assert _items(cases, catalogue, cases.targets) == {"u": {"c"}}
    assert cases.histories.item_ids.tolist() == ["a", "b"]


def test_candidates_are_the_items_that_exist(make_inputs, task, spark):
    inputs = make_inputs()
    known = inputs.items.where("item_id != '3'").withColumn("what_if", F.lit(False))
    unreal = spark.createDataFrame([("made-up", "war", True)], known.schema)
    catalogue = fit_catalogue(inputs.train, known.unionByName(unreal), task)
    assert set(catalogue.items) == {str(number) for number in range(120)}  # 3 is one of train's own
    counts = inputs.train.where("label >= 1").groupBy("item_id").count().toPandas().set_index("item_id")["count"]
    assert dict(zip(catalogue.items, catalogue.events, strict=True)) == {
        item: counts.get(item, 0) for item in catalogue.items
    }
    content = content_of(inputs.items, task, catalogue)
    assert content.shape[0] == 120
    alike = (content @ content.T).toarray() > 0
    genre = np.array([int(item) % 4 for item in catalogue.items])
    assert (alike == (genre[:, None] == genre[None])).all()


def test_a_tenth_of_history_items_is_substituted_and_nothing_else(make_inputs, task):
    inputs = make_inputs()
    catalogue = fit_catalogue(inputs.train, inputs.items, task)
    cases = holdout_cases(inputs.holdout, task, catalogue)
    other = substituted(cases, catalogue, 0.1, seed=0)
    changed = (other.histories.item_ids != cases.histories.item_ids).mean()
    assert 0.05 < changed < 0.15
    assert other.seen is cases.seen
    assert other.targets is cases.targets
    assert (other.histories.starts == cases.histories.starts).all()


def test_entities_again_are_whole_and_new_and_as_many_as_asked(make_inputs):
    train = make_inputs().train
    again, other = (
        entities_again(df, 1.5, salt="s", seed=0).toPandas().sort_values("row_id")
        for df in (train, train.repartition(5))
    )
    assert again["row_id"].tolist() == other["row_id"].tolist()
    assert not set(again["entity_id"]) & set(train.toPandas()["entity_id"])
    assert again["row_id"].is_unique
    sizes = again.groupby("entity_id").size()
    assert set(sizes) == {20}
    assert len(sizes) == pytest.approx(180, abs=4 * np.sqrt(180))
    copies = pd.Series([name.split("#")[0] for name in sizes.index]).value_counts()
    assert (120 - len(copies)) / 120 == pytest.approx(np.exp(-1.5), abs=0.13)
    assert copies.max() > 2


def test_items_apart_are_all_there_and_no_users_own(make_inputs):
    train = make_inputs().train
    before = train.toPandas().set_index("row_id").sort_index()
    one, two = (
        items_apart(df, salt="s", seed=0).toPandas().set_index("row_id").sort_index()
        for df in (train, train.repartition(5))
    )
    assert one["item_id"].equals(two["item_id"])
    assert sorted(one["item_id"]) == sorted(before["item_id"])
    assert one["entity_id"].equals(before["entity_id"])
    own = before.groupby("entity_id")["item_id"].agg(set)
    kept = np.mean([item in own[user] for user, item in zip(one["entity_id"], one["item_id"], strict=True)])
    chance = np.mean([np.mean(before["item_id"].isin(items)) for items in own])
    assert kept == pytest.approx(chance, abs=0.04)


def test_items_apart_leave_out_rows_without_an_item(make_inputs):
    train = make_inputs().train.withColumn("item_id", F.when(F.col("item_id") != "3", F.col("item_id")))
    with_item = train.where("item_id is not null").count()
    apart = items_apart(train, salt="s", seed=0).toPandas()
    assert len(apart) == with_item < train.count()
    assert apart["item_id"].notna().all()


def test_shares_of_entities_are_nested(make_inputs):
    train = make_inputs().train
    few, more = ({row["entity_id"] for row in thin(train, s, salt="s", seed=0).collect()} for s in (0.1, 0.5))
    assert few < more
    assert len(more) == pytest.approx(60, abs=22)


def test_arms_hold_what_their_plan_says(make_inputs, fresh, toy, to_table, task):
    mixed = pd.concat([toy(120, 1, "u"), toy(10, 5, "a", origin="augmented").assign(op="crop"), fresh.head(400)])
    inputs = make_inputs(fresh, mixed=to_table(mixed))
    counts = count_consumed(inputs, task)
    liked = mixed[mixed["label"] >= 1]["origin"].value_counts()
    assert (counts.train, counts.extra) == (liked["real"], liked["augmented"] + liked["generated"])
    assert counts.ops == {"crop": liked["augmented"]}
    assert counts.synthetic == (fresh["label"] >= 1).sum()
    plan = Plan("x", (Part("train"), Part("op", op="crop")), 0)
    rows = arm_events(plan, inputs).toPandas()
    assert len(rows) == 2600
    assert rows["entity_id"].str.startswith("a").sum() == 200
    assert len(arm_events(Plan("x", (Part("extra"),), 0), inputs).toPandas()) == 600


def _counted(name, toy, fits):
    def fit(*args):
        fits[name] += 1
        return toy.fit(*args)

    return SimpleNamespace(Params=toy.Params, fit=fit)


@pytest.fixture(scope="module")
def quick(make_inputs, fresh):
    return judge_ranking(make_inputs(fresh, config=QUICK), recommenders=TOYS)


def _by_name(rows):
    return {row.name: row for row in rows}


def test_perfect_generator_teaches_what_real_rows_teach(quick):
    rows, detail = quick
    assert tuple(row.name for row in rows) == NAMES
    found = _by_name(rows)
    assert found["NDCG@10, train on S"].score > 0.85
    assert found["NDCG@10, train on S"].ceiling > 2 * detail["random_ndcg"]
    assert found["agreement of recommenders"].grade != "na"
    assert found["intra-list distance"].grade == "reported"
    assert found["NDCG@10, items substituted"].grade == found["AUC, items substituted"].grade == "reported"
    assert found["AUC, items substituted"].value < 0
    assert found["NDCG@10, train on S"].control_grades == {"independent": "red"}
    assert [arm["arm"] for arm in detail["arms"]] == ["real", "synthetic", "independent", "mixed", "repeated"]
    assert detail["robustness"]["substituted"]["real"]["auc"] > 0.5
    assert "popularity" not in detail["recommenders"]["averaged"]
    json.dumps(detail, allow_nan=False)


def test_columns_without_ties_teach_less(make_inputs, fresh, quick):
    torn = fresh.assign(item_id=fresh["item_id"].sample(frac=1, random_state=0).to_numpy())
    rows, _ = judge_ranking(make_inputs(torn, config=QUICK), recommenders=TOYS)
    name = "NDCG@10, train on S"
    assert _by_name(rows)[name].grade == "red"
    assert _by_name(rows)[name].score < _by_name(quick[0])[name].score - 0.1


def test_figures_are_the_same_on_any_partitioning(make_inputs, fresh, quick):
    inputs = make_inputs(fresh, config=QUICK)
    tables = {name: getattr(inputs, name).repartition(7) for name in ("train", "holdout", "synthetic", "mixed")}
    again = judge_ranking(type(inputs)(**{**vars(inputs), **tables}), recommenders=TOYS)
    assert again == quick


def test_full_mode_has_all_arms_and_curves(make_inputs, fresh, toy, to_table):
    mixed = pd.concat([toy(120, 1, "u"), toy(30, 5, "a", origin="augmented").assign(op="crop"), fresh.head(400)])
    config = EvaluateConfig(utility="full", utility_seeds=2)
    inputs = make_inputs(fresh, mixed=to_table(mixed), config=config)
    toys, fits = {name: TOYS[name] for name in ("popularity", "together1.0")}, Counter()
    rows, detail = judge_ranking(inputs, recommenders={name: _counted(name, toy, fits) for name, toy in toys.items()})
    arms = {arm["arm"] for arm in detail["arms"]}
    assert fits == {"popularity": 4, "together1.0": 2 * len(arms)}  # once an arm, and where arms are compared
    assert {"real + crop", "real + crop: repeated", "real + 1 synthetic", "0.05 of real + extra"} <= arms
    assert detail["seeds"] == 2
    assert len(detail["sparsity"]) == 5
    assert {row["arm"] for row in detail["uplifts"]} >= {"mixed", "real + crop", "real + 0.5 synthetic"}
    assert detail["recommended"]["ratio"] is not None or detail["recommended"]["reason"] == "no measurable uplift"
    assert "2 recommenders are fewer than 5" in _by_name(rows)["agreement of recommenders"].note


def test_a_mix_without_real_rows_is_no_uplift_of_them(make_inputs, fresh, to_table):
    inputs = make_inputs(fresh, mixed=to_table(fresh), config=QUICK)
    rows, detail = judge_ranking(inputs, recommenders={name: TOYS[name] for name in ("popularity", "together1.0")})
    assert [arm["arm"] for arm in detail["arms"]] == ["real", "synthetic", "independent"]
    assert _by_name(rows)["ranking uplift"].note == "not applicable: the mixed set holds no real rows"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"config": EvaluateConfig(utility="off")}, "switched off"),
        ({"item": None, "query": "q"}, "the log has no items"),
        ({"user": None, "session": None}, "its own entity"),
        ({"few": 5}, "fewer than 20"),
        ({"few": 0}, "fewer than 20"),
    ],
)
def test_what_cannot_be_said_says_why(make_inputs, fresh, toy, changes, reason):
    few = {"holdout": toy(5, 2, "h").head(20 * changes["few"])} if "few" in changes else {}
    inputs = make_inputs(fresh, config=QUICK, **few)
    if "config" in changes:
        inputs = type(inputs)(**{**vars(inputs), **changes})
    elif not few:
        inputs = type(inputs)(**{**vars(inputs), "schema": inputs.schema.model_copy(update=changes)})
    rows, detail = judge_ranking(inputs, recommenders=TOYS)
    assert tuple(row.name for row in rows) == NAMES
    assert {row.grade for row in rows} == {"na"}
    assert all(reason in row.note for row in rows)
    assert reason in detail["reason"]


def test_quick_takes_its_recommenders_from_the_registry(make_inputs, fresh):
    rows, detail = judge_ranking(make_inputs(fresh, config=QUICK))
    assert detail["seeds"] == 1
    assert detail["recommenders"]["tried"] == ["popularity", "als", "item_knn", "content", "sequential_rules"]
    assert _by_name(rows)["NDCG@10, train on S"].grade != "na"
    assert "of 5 recommenders" in _by_name(rows)["agreement of recommenders"].note


@pytest.mark.parametrize(
    ("missing", "last"), [({"item_features": {}}, "hybrid"), ({"event_time": None}, "hybrid"), ({}, "sequential_rules")]
)
def test_quick_has_five_recommenders_where_a_log_lacks_times_or_attributes(make_inputs, missing, last):
    inputs = make_inputs(config=QUICK)
    found = list(recommenders_for(replace(inputs, schema=inputs.schema.model_copy(update=missing))))
    assert len(found) == 5
    assert found[-1] == last

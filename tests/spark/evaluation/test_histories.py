"""Counts and features of histories against a plain loop over users, and scipy."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import shoppers
from pyspark.sql import functions as F
from scipy.stats import entropy, ks_2samp

from clickweave.evaluation.counts import ks_of_counts
from clickweave.evaluation.items import category_column, count_items, item_tokens
from clickweave.evaluation.sequences import histories
from clickweave.evaluation.sequences.behaviour import judge_behaviour
from clickweave.evaluation.sequences.controls import control_histories, draw_histories
from clickweave.evaluation.sequences.histories import BIGRAM, GAP, MAX_TOKENS, SESSION, USER


@pytest.fixture(scope="module")
def frames():
    made = shoppers.shoppers(60, 3, "s")
    made.loc[made.index[::17], "item_id"] = None
    made.loc[made.index[::5], "time_s"] = made["time_s"].iloc[0]  # ties
    return {"train": shoppers.shoppers(80, 1, "u"), "holdout": shoppers.shoppers(70, 2, "h"), "synthetic": made}


@pytest.fixture(scope="module")
def inputs(spark, frames):
    return shoppers.make_inputs(spark, *frames.values())


@pytest.fixture(scope="module")
def tokens(inputs):
    return item_tokens(count_items(inputs), MAX_TOKENS)


@pytest.fixture(scope="module")
def events(inputs, tokens):
    return histories.history_events(inputs, {}, tokens).cache()


@pytest.fixture(scope="module")
def plain(frames, tokens):
    """Per side the users' events in time order, with tokens."""
    found = {}
    for side, frame in frames.items():
        told = shoppers.with_sessions(frame).assign(token=lambda rows: rows["item_id"].map(tokens))
        found[side] = [user for _, user in told.sort_values(["user_id", "time_s", "row_id"]).groupby("user_id")]
    return found


def _counts(table, side, figure):
    rows = table[(table["side"] == side) & (table["figure"] == figure)]
    return rows.set_index("value")["count"].to_dict()


def _by_hand(values):
    return pd.Series(values).value_counts().to_dict()


@pytest.mark.parametrize("side", ["train", "holdout", "synthetic"])
def test_counts_are_those_of_a_loop_over_users(events, plain, side):
    steps, lengths = histories.count_steps(events), histories.count_lengths(events)
    users = plain[side]
    gaps = np.concatenate([np.diff(user["time_s"].to_numpy()) for user in users])
    pairs = [
        int(a * MAX_TOKENS + b)
        for user in users
        for a, b in zip(user["token"], user["token"].iloc[1:], strict=False)
        if not (np.isnan(a) or np.isnan(b))
    ]
    assert _counts(steps, side, GAP) == _by_hand(gaps * 1_000_000)
    assert _counts(steps, side, BIGRAM) == _by_hand(pairs)
    assert _counts(lengths, side, USER) == _by_hand([len(user) for user in users])
    sessions = [len(part) for user in users for _, part in user.groupby("session_id")]
    assert _counts(lengths, side, SESSION) == _by_hand(sessions)
    sums = lengths[(lengths["side"] == side) & (lengths["figure"] == USER)][["with_item", "repeated"]].sum()
    repeated = sum(
        item in list(user["item_id"].iloc[:place])
        for user in users
        for place, item in enumerate(user["item_id"])
        if item
    )
    assert sums.tolist() == [sum(user["item_id"].notna().sum() for user in users), repeated]


def test_features_are_those_of_a_loop_over_users(events, plain):
    table = histories.user_features(events, dict.fromkeys(plain, 1.0), 1, 0).set_index(["side", "entity_id"])
    for side, users in plain.items():
        assert len(table.loc[side]) == len(users)
        for user in users:
            found = table.loc[(side, user["user_id"].iloc[0])]
            gaps = np.diff(user["time_s"].to_numpy())
            logs = np.log1p(gaps)
            items, known = user["item_id"].dropna(), user["token"].dropna()
            hours = user["time_s"] // 3600 % 24
            wanted = {
                "events": np.log(len(user)),
                "gap mean": gaps.mean(),
                "gap log mean": logs.mean(),
                "gap log median": np.median(logs),
                "gap log sd": logs.std(),
                "item repeats": items.duplicated().mean(),
                "category repeats": known.duplicated().mean(),
                "item entropy": entropy(items.value_counts()),
                "category entropy": entropy(known.value_counts()),
                "hour 13": (hours == 13).mean(),
                "weekday 0": ((user["time_s"] // 86_400 + 3) % 7 == 0).mean(),
                "label 1": user["label"].mean(),
                "first label": user["label"].iloc[0],
                "last label": user["label"].iloc[-1],
            }
            assert found[list(wanted)].to_dict() == pytest.approx(wanted, abs=1e-9)
            assert found[[f"hour {hour}" for hour in range(24)]].sum() == pytest.approx(1.0, abs=1e-9)
    whole = table.loc["train"]
    pairs = whole[[f"pair {cell}" for cell in range(32)]].sum(axis=1).to_numpy()
    assert pairs == pytest.approx(1 - np.exp(-whole["events"].to_numpy()), abs=1e-9)  # one fewer than events


def test_nothing_depends_on_the_partitioning(inputs, tokens, events):
    names = ("train", "holdout", "synthetic")
    moved = type(inputs)(**{**vars(inputs), **{name: getattr(inputs, name).repartition(5) for name in names}})
    again = histories.history_events(moved, {}, tokens)
    for count in (histories.count_steps, histories.count_lengths):
        pd.testing.assert_frame_equal(count(events), count(again))
    features = [histories.user_features(df, dict.fromkeys(names, 0.5), 1, 7) for df in (events, again)]
    pd.testing.assert_frame_equal(*features)
    assert 50 < len(features[0]) < 150
    made = [control_histories(one) for one in (inputs, moved)]
    for name, frame in made[0].items():
        pd.testing.assert_frame_equal(frame, made[1][name])


def test_long_histories_count_to_their_four_hundredth_event(spark, inputs, tokens):
    robot = shoppers.shoppers(40, 4, "r").assign(user_id="robot")
    long = type(inputs)(**{**vars(inputs), "synthetic": shoppers.to_table(spark, robot, "generated")})
    features = histories.user_features(histories.history_events(long, {}, tokens), {"synthetic": 1.0}, 1, 0)
    assert np.exp(features["events"]).tolist() == pytest.approx([400])


def test_very_many_gaps_are_binned_and_their_distance_stays(events, monkeypatch):
    exact = histories.count_steps(events)
    monkeypatch.setattr(histories, "MAX_VALUES", 100)
    monkeypatch.setattr(histories, "_BINS_PER_E", 256)
    binned = histories.count_steps(events)
    pairs = [table[table["figure"] == BIGRAM].reset_index(drop=True) for table in (exact, binned)]
    pd.testing.assert_frame_equal(*pairs)
    assert len(binned) < len(exact)

    def distance(table):
        gaps = {s: rows.set_index("value")["count"] for s, rows in table[table["figure"] == GAP].groupby("side")}
        return ks_of_counts(gaps["train"], gaps["synthetic"])

    assert distance(binned) == pytest.approx(distance(exact), abs=0.01)


def test_distance_of_gaps_over_all_rows_is_scipys(events, plain):
    steps = histories.count_steps(events)
    gaps = {s: rows.set_index("value")["count"] for s, rows in steps[steps["figure"] == GAP].groupby("side")}
    drawn = {s: np.concatenate([np.diff(user["time_s"].to_numpy()) for user in users]) for s, users in plain.items()}
    wanted = ks_2samp(drawn["synthetic"], drawn["holdout"]).statistic
    assert ks_of_counts(gaps["synthetic"], gaps["holdout"]) == pytest.approx(wanted, abs=1e-9)


def test_histories_that_go_on_with_real_ones_and_blended_rows_are_left_out(spark, inputs, tokens):
    made = inputs.synthetic
    continued = made.withColumn("op", F.lit("journey:continue"))
    blended = made.withColumn("origin", F.lit("blended"))
    mixed = type(inputs)(**{**vars(inputs), "synthetic": continued.unionByName(blended).unionByName(made)})
    counted = histories.history_events(mixed, {}, tokens).where("side = 'synthetic'").count()
    assert counted == made.count()


def test_items_are_counted_over_all_rows_and_known_by_train_or_catalogue(spark, inputs, frames):
    extra = pa.table({"item_id": ["new", "what"], "feature_category": [None, "c1"], "what_if": [False, True]})
    listed = inputs.items.withColumn("what_if", F.lit(False)).where("item_id not in ('3', '5')")
    items = listed.unionByName(spark.createDataFrame(extra))
    made = frames["synthetic"].copy()
    made["item_id"] = ["what", "new", "gone", "3", *made["item_id"].iloc[4:]]
    held = type(inputs)(**{**vars(inputs), "items": items, "synthetic": shoppers.to_table(spark, made, "generated")})
    counts = count_items(held)
    for side, frame in {**frames, "synthetic": made}.items():
        wanted = frame["item_id"].dropna().value_counts()
        assert counts[side][counts[side] > 0].to_dict() == wanted.to_dict()
    assert counts.index[~counts["known"]].tolist() == ["gone"]
    assert counts.loc["30", "category"] == "c1"
    assert category_column(inputs.schema, None) is None


def test_sample_of_histories_is_bounded_and_of_whole_users(inputs, frames):
    config = inputs.config.model_copy(update={"sample_rows": 100})
    few = type(inputs)(**{**vars(inputs), "config": config, "train": inputs.holdout.unionByName(inputs.train)})
    drawn = draw_histories(few)
    both = pd.concat([frames["train"], frames["holdout"]])
    lengths = both.groupby("user_id").size()
    assert 70 < drawn["entity_id"].nunique() < 130
    assert (drawn.groupby("entity_id").size() == lengths.reindex(sorted(drawn["entity_id"].unique()))).all()


def test_log_of_queries_alone_has_lengths_and_nothing_of_items(inputs):
    schema = inputs.schema.model_copy(update={"item": None, "query": "q", "item_features": {}})
    tables = {
        name: getattr(inputs, name).withColumns({"item_id": F.lit(None).cast("string"), "query": F.lit("red shoe")})
        for name in ("train", "holdout", "synthetic")
    }
    judged = judge_behaviour(type(inputs)(**{**vars(inputs), **tables, "schema": schema, "items": None}))
    said = {row.name for rows, _ in judged.values() for row in rows if row.grade != "na"}
    assert said == {"session length", "gap between events", "events per user"}

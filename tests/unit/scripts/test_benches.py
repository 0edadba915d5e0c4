"""What the benches share: runs under a cap, tables for public generators and back, a made-up codec."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from benches.dcr import compared_columns, dcr_share, two_parts
from benches.ids import Encoded, write_codec
from benches.judge import flat_schema
from benches.logs import as_numbers_and_text, discrete_columns, in_schema
from benches.measure import Figure, run, write_figures
from benches.roles import log_table
from benches.sampling import turns_of
from benches.sequences import Log, c2st, copied_share, features, item_knn_ndcg, owned_runs, read_log, shared_mass

from clickweave.codec.spec import CodecSpec
from clickweave.config.log import SchemaConfig
from clickweave.evaluation.columns import Column

SLEEPS_IN_A_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "held = bytearray(200 << 20); import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_a_run_past_its_cap_is_ended_with_its_children_and_told_so(tmp_path):
    log = tmp_path / "log"
    started = time.monotonic()
    ended = run([sys.executable, "-c", SLEEPS_IN_A_CHILD], log=log, minutes=0.1)
    assert time.monotonic() - started < 30
    assert ended.problem == "did not end in 0.1 minutes"
    assert ended.peak_mib > 200  # that of the child
    child = int(log.read_text())
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_a_failed_run_is_told_by_its_code_and_last_line(tmp_path):
    ended = run(
        [sys.executable, "-c", "print('first'); raise SystemExit('no such thing')"], log=tmp_path / "log", minutes=1
    )
    assert ended.problem.startswith("ended with code 1: no such thing")


def test_a_run_that_works_has_no_problem(tmp_path):
    ended = run([sys.executable, "-c", "print('done')"], log=tmp_path / "log", minutes=1)
    assert (ended.problem, (tmp_path / "log").read_text()) == ("", "done\n")


def test_figures_are_a_list_of_name_value_unit_and_ratio(tmp_path):
    out = tmp_path / "figures.json"
    write_figures(out, [Figure("step", 1.5, "ms"), Figure("step ratio", 1.1, "ratio", "step")])
    found = json.loads(out.read_text())
    assert found[0] == {"name": "step", "value": 1.5, "unit": "ms", "ratio_to": None}
    assert found[1]["ratio_to"] == "step"


def test_what_a_public_generator_is_given_comes_back_as_it_was():
    log = SchemaConfig.model_validate(
        {
            "user": "u",
            "item": "i",
            "event_time": {"column": "t"},
            "features": {"year": "numeric", "genre": "categorical", "price": "numeric"},
        }
    )
    table = pa.table(
        {
            "u": pa.array([1, 2**60, 3], pa.int64()),
            "i": pa.array(["a", None, "c"]),
            "t": pa.array([10**15, 10**15 + 1, 5], pa.timestamp("us", tz="UTC")),
            "year": pa.array([1999, None, 2001], pa.int32()),
            "genre": pa.array([None, "drama", "x y"]),
            "price": pa.array([0.5, 1.25, None], pa.float64()),
        }
    )
    frame = pd.concat([table.to_pandas()] * 15, ignore_index=True)
    frame["price"] = np.where(frame["price"].isna(), np.nan, np.arange(len(frame)) / 4)
    discrete = discrete_columns(frame, log)
    assert discrete == ["u", "i", "year", "genre"]
    given = as_numbers_and_text(frame, discrete)
    assert all(isinstance(value, str) for name in discrete for value in given[name])
    back = in_schema(given, table.schema)
    assert back.schema == table.schema
    assert back.slice(0, 3).drop(["price"]).equals(table.drop(["price"]))
    assert back["price"].to_pylist() == [None if np.isnan(value) else value for value in frame["price"]]


@pytest.mark.parametrize("num_items", [300, 20_000])
def test_a_made_up_codec_has_a_path_of_digits_for_every_code(tmp_path, num_items):
    from safetensors.numpy import load

    write_codec(tmp_path, num_items, num_items)
    codec = CodecSpec.from_json((tmp_path / "codec.json").read_text())
    tables = load((tmp_path / "tables.safetensors").read_bytes())
    assert len(codec.columns) == 11
    for column in codec.columns:
        if column.num_digits:
            assert tables[f"{column.name}.digits"].shape == (num_items + 2, column.num_digits)
            assert (tables[f"{column.name}.digits"][2:, 0] > 0).all()
            assert tables[f"{column.name}.vectors"].shape == (num_items + 2, 32)


@pytest.mark.parametrize("generator", ["autoregressive", "gan", "vae"])
def test_each_turn_tells_the_rate_of_each_way_to_sample(tmp_path, generator):
    write_codec(tmp_path, 300, 200, direct_ids=250)
    turns = turns_of(tmp_path, generator, turns=2)
    assert len(turns) == 2
    assert all(set(turn) == {"plain", "sample", "decoded"} and min(turn.values()) > 0 for turn in turns)


def test_a_rank_is_given_rows_of_the_shards_of_a_workspace(tmp_path):
    from clickweave.models.autoregressive.params import Params

    write_codec(tmp_path, 300, 300)
    encoded = Encoded(*(str(tmp_path / name) for name in ("codec.json", "tables.safetensors", "shards")))
    codec = encoded.read_codec()
    rows = 1000
    places = np.arange(rows, dtype=np.int32)
    columns = {name: places % 50 if "_id" in name else np.ones(rows, np.int32) for name in codec.code_columns}
    columns |= {name: (places / rows).astype(np.float32) for name in codec.position_columns}
    for part in ("train", "validation"):
        (tmp_path / "shards" / f"part={part}").mkdir(parents=True)
        pq.write_table(pa.table(columns), tmp_path / "shards" / f"part={part}" / "0.parquet", write_page_checksum=True)
    batches = encoded.batches(codec, Params(), 100, 3)
    assert [batch.num_rows for batch in batches] == [100] * 3
    seen = np.concatenate([batch.positions_BP[:, 0].numpy() for batch in batches])
    assert len(set(seen.tolist())) == 300
    item = codec.code_columns.index("code_item_id")
    codes = np.concatenate([batch.codes_BC[:, item].numpy() for batch in batches])
    assert (codes == np.round(seen * rows).astype(int) % 50).all()


VALUE, NUMBER = Column("v", "v", "values", "event"), Column("n", "n", "number", "event")


def drawn_rows(rows, seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"v": rng.choice(["a", "b", None], rows), "n": rng.normal(size=rows)})


def test_half_of_unseen_rows_and_all_copies_lie_nearer_to_train():
    train, holdout, unseen = (drawn_rows(2000, seed) for seed in range(3))
    columns = [VALUE, NUMBER]
    assert abs(dcr_share(unseen, train, holdout, columns) - 0.5) < 0.04
    assert dcr_share(train.sample(500, random_state=0), train, holdout, columns) == 1
    assert dcr_share(holdout, train, holdout, columns) == 0


def test_a_row_as_near_to_train_as_to_the_holdout_counts_half_whatever_the_order():
    train = pd.DataFrame({"v": ["a", "b", None], "n": [0.0, 1.0, np.nan]})
    holdout = pd.DataFrame({"v": [None, "a", "c"], "n": [np.nan, 0.0, 1.0]})
    rows = pd.DataFrame({"v": ["a", None, "b", "c"], "n": [0.0, np.nan, 1.0, 1.0]})
    for order in ([0, 1, 2], [2, 0, 1]):
        found = [dcr_share(rows.iloc[[row]], train.iloc[order], holdout, [VALUE, NUMBER]) for row in range(4)]
        assert found == [0.5, 0.5, 1.0, 0.0]


def test_null_is_far_from_every_number_and_a_number_is_near_by_rank():
    train = pd.DataFrame({"n": [0.0, np.nan]})
    holdout = pd.DataFrame({"n": [1000.0, 1.0]})
    rows = pd.DataFrame({"n": [np.nan, -5.0, 2.0, 900.0]})
    found = [dcr_share(rows.iloc[[row]], train, holdout, [NUMBER]) for row in range(4)]
    assert found == [1.0, 1.0, 0.0, 0.0]


def test_sides_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="3 train rows against 2"):
        dcr_share(drawn_rows(2, 0), drawn_rows(3, 1), drawn_rows(2, 2), [VALUE])


def test_a_distance_leaves_out_dates_and_takes_attributes_of_users_when_asked():
    log = SchemaConfig.model_validate(
        {
            "user": "u",
            "item": "i",
            "event_time": {"column": "t"},
            "labels": {"click": "c"},
            "item_features": {"genre": "categorical"},
            "user_features": {"age": "numeric"},
        }
    )
    names = {
        users: [column.name for column in compared_columns(flat_schema(log), log, users=users)] for users in (0, 1)
    }
    assert names[0] == ["item_id", "label", "feature_genre", "hour"]
    assert sorted(names[1]) == sorted([*names[0], "feature_age"])


def test_two_parts_share_no_user_and_lose_no_row():
    rows = pd.DataFrame({"entity_id": [f"u{number % 40}" for number in range(400)], "n": range(400)})
    parts = two_parts(rows, seed=0)
    assert [len(part) for part in parts] == [240, 160]
    assert not set(parts[0]["entity_id"]) & set(parts[1]["entity_id"])
    assert sorted(pd.concat(parts)["n"]) == list(rows["n"])
    assert all(part["n"].is_monotonic_increasing for part in parts)


def histories(seed, *, gap_s=100.0, users=150):
    """Users with 4 to 12 events on 20 items; an item is mostly followed by the next one."""
    rng, parts = np.random.default_rng(seed), []
    for user in range(users):
        num = int(rng.integers(4, 13))
        item = (rng.integers(20) + np.cumsum(rng.random(num) < 0.8)) % 20
        at_s = rng.integers(1e6) + np.cumsum(rng.exponential(gap_s, num))
        parts.append(pd.DataFrame({"user": user, "item": item, "label": "view", "at_s": at_s}))
    return Log(pd.concat(parts, ignore_index=True))


def test_the_classifier_on_histories_tells_other_gaps_and_not_other_seeds():
    same, other, slow = (features(log, ["view"]) for log in (histories(1), histories(2), histories(3, gap_s=400)))
    assert c2st(same, other) < 0.58
    gaps = [name for name in other if name.startswith("gap")]
    assert c2st(slow[gaps], other[gaps]) > 0.85


def test_shares_of_frequent_items_are_compared_alone():
    holdout = Log(pd.DataFrame({"item": ["a"] * 30 + ["b"] * 10 + ["c"] * 9}))
    assert shared_mass(holdout, holdout) == 1
    assert shared_mass(Log(pd.DataFrame({"item": ["a"] * 5 + ["b"] * 5 + ["c"] * 90})), holdout) == pytest.approx(0.75)


def test_item_knn_finds_what_follows_and_learns_nothing_from_shuffled_items():
    train, holdout = histories(1, users=400), histories(2)
    shuffled = train.events.assign(item=np.random.default_rng(0).permutation(train.events["item"]))
    assert item_knn_ndcg(train, holdout) > item_knn_ndcg(Log(shuffled), holdout) + 0.1


def test_runs_of_one_user_are_told_from_those_of_two():
    items = {1: [1, 2, 3, 4, 5, 6], 2: [1, 2, 3, 4, 5], 3: [9, 9, 9, 9]}
    rows = [{"user": user, "item": item} for user, each in items.items() for item in each]
    log = Log(pd.DataFrame(rows))
    owned = owned_runs(log)
    assert len(owned) == 1, "2 to 6; 1 to 5 has two owners, and four items are no run"
    assert copied_share(log, owned) == pytest.approx(1 / 3)


def test_logs_are_read_by_user_in_order_of_time_and_in_seconds():
    schema = SchemaConfig.model_validate(
        {
            "event_time": {"column": "t", "unit": "ms"},
            "user": "u",
            "item": "i",
            "labels": {"column": "b", "order": ["view", "buy"]},
        }
    )
    table = pd.DataFrame({"u": [2, 1, 1], "i": [7, 8, 9], "t": [5000, 3000, 1000], "b": ["buy", "view", "view"]})
    events = read_log(table, schema).events
    assert events["item"].tolist() == [9, 8, 7] and events["at_s"].tolist() == [1.0, 3.0, 5.0]
    assert events["label"].tolist() == ["view", "view", "buy"]


def test_parts_of_a_log_share_items_but_no_users_or_slates():
    one, two = (log_table(2000, items=50, part=part).to_pandas() for part in (0, 1))
    assert not set(one["user"]) & set(two["user"])
    assert not set(one["page"]) & set(two["page"])
    assert set(one["item"]) & set(two["item"])


def test_a_hot_item_holds_its_share_and_keeps_one_category():
    log = log_table(5000, items=500, hot_share=0.2).to_pandas()
    assert 0.2 <= (log["item"] == 0).mean() < 0.35
    assert (log.groupby("item")["category"].nunique() == 1).all()

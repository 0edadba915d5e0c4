import numpy as np
import pandas as pd
import pytest

from clickweave.evaluation.sequences.controls import bootstrap_histories, independent_histories, redraw_items


def _histories(seed=0, users=200):
    """Items go round a ring, one or two steps at a time, and people start at a or d."""
    rng = np.random.default_rng(seed)
    parts = []
    for user in range(users):
        start = rng.choice([0, 3])
        place = (start + np.r_[0, np.cumsum(rng.integers(1, 3, rng.integers(0, 9)))]) % 6
        items = np.array(list("abcdef"))[place]
        time = np.sort(rng.integers(0, 10**9, len(items))).astype(float)
        parts.append(pd.DataFrame({"entity_id": f"u{user:03d}", "time_us": time, "item_id": items}))
    frame = pd.concat(parts, ignore_index=True)
    frame = frame.assign(row_id=np.arange(len(frame)), label=rng.integers(0, 2, len(frame)).astype(float))
    return frame.assign(session_id=frame["entity_id"] + "-0", colour=frame["item_id"].str.upper())


def _pairs(frame):
    before = frame.groupby("entity_id")["item_id"].shift()
    return pd.crosstab(before, frame["item_id"], normalize="index")


def _redraw(frame, seed=0):
    return redraw_items(frame, seed, ("item_id", "colour"), time="time_us")


def test_chain_keeps_everything_but_items_and_attributes_follow_them():
    frame = _histories()
    redrawn = _redraw(frame)
    kept = ["entity_id", "time_us", "row_id", "label", "session_id"]
    pd.testing.assert_frame_equal(redrawn[kept], frame[kept])
    assert (redrawn["item_id"] != frame["item_id"]).mean() > 0.3
    assert (redrawn["colour"] == redrawn["item_id"].str.upper()).all()


def test_chain_starts_and_steps_as_real_histories_do():
    frame = _histories(users=3000)
    redrawn = _redraw(frame)
    firsts = redrawn.groupby("entity_id")["item_id"].first().value_counts(normalize=True)
    assert set(firsts.index) == {"a", "d"}
    assert firsts["a"] == pytest.approx(0.5, abs=0.05)
    assert _pairs(redrawn).to_numpy() == pytest.approx(_pairs(frame).to_numpy(), abs=0.05)
    assert ((_pairs(frame) == 0) == (_pairs(redrawn) == 0)).all(axis=None)


def test_chain_is_the_same_for_any_order_of_rows_and_another_for_another_seed():
    frame = _histories()
    shuffled = frame.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(_redraw(frame), _redraw(shuffled))
    assert not _redraw(frame).equals(_redraw(frame, seed=1))


def test_events_without_item_stay_and_single_events_have_no_chain():
    frame = _histories()
    frame.loc[frame.index[::4], ["item_id", "colour"]] = None
    redrawn = _redraw(frame)
    assert redrawn["item_id"].isna().tolist() == frame["item_id"].isna().tolist()
    alone = frame.groupby("entity_id").head(1)
    assert set(_redraw(alone)["item_id"].dropna()) <= set(alone["item_id"].dropna())
    assert len(_redraw(frame.head(0))) == 0


def test_bootstrap_draws_whole_histories_under_new_names():
    frame = _histories()
    drawn = bootstrap_histories(frame, 0)
    assert drawn["entity_id"].nunique() == frame["entity_id"].nunique()
    whole = frame.groupby("entity_id")["item_id"].agg("".join)
    for name, items in drawn.groupby("entity_id")["item_id"].agg("".join).items():
        assert whole[name.split("/")[0]] == items
    assert 0.5 < drawn["entity_id"].str.split("/").str[0].nunique() / 200 < 0.75


def test_independent_columns_keep_marginals_and_cut_sessions_anew():
    frame = _histories()
    permuted = independent_histories(frame, 0, gap_us=10**8)
    for name in ("entity_id", "time_us", "item_id", "label"):
        assert sorted(permuted[name]) == sorted(frame[name])
    assert _pairs(permuted).loc["a", "a"] > 0.05
    pause = permuted.groupby("entity_id")["time_us"].diff()
    new = permuted["session_id"] != permuted["session_id"].shift()
    assert (new == (pause.isna() | (pause > 10**8))).all()
    mapped = independent_histories(frame, 0, gap_us=None)
    assert (mapped["session_id"] == mapped["entity_id"] + "-0").all()

"""Operators on sessions and users: order and funnel, gaps, weekdays, places of targets."""

import numpy as np
import pytest
from augmented import rows_by
from scipy.stats import ks_2samp

from clickweave.config.log import SchemaConfig

SHOPS = SchemaConfig.model_validate(
    {
        "user": "u",
        "item": "i",
        "event_time": {"column": "t", "unit": "s"},
        "labels": {"column": "b", "order": ["view", "cart", "buy"]},
    }
)
TYPE = "u string, i string, t bigint, b string"
START = 1_700_000_000
SESSION = ["entity_id", "session_id"]


def visits(num_users=80, seed=0):
    """Sessions of 2 to 12 events with log-normal gaps, some items looked at, put into the cart and bought."""
    rng, rows = np.random.default_rng(seed), []
    for user in range(num_users):
        time = START + int(rng.integers(0, 20 * 86_400))
        for _ in range(int(rng.integers(1, 6))):
            time += int(rng.integers(3_600, 3 * 86_400))
            for _ in range(int(rng.integers(1, 5))):
                item = f"i{rng.integers(0, 30)}"
                for kind in ("view", "cart", "buy")[: int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))]:
                    rows.append((f"u{user}", item, time, kind))
                    time += 1 + int(rng.lognormal(3.5, 1))
    return rows


@pytest.fixture(scope="module")
def shops(spark, request):
    """real_of is a function's fixture; this keeps its rows for the module."""
    from pyspark.sql import functions as F

    frame = spark.createDataFrame(visits(), TYPE)
    make = request.getfixturevalue("real_events_of")
    raw = frame.select(F.struct(*frame.columns).alias("source"), F.lit(None).cast("string").alias("raw_text"))
    return make(raw, SHOPS).cache()


@pytest.fixture(scope="module")
def table(shops):
    return in_order(shops.toPandas())


def in_order(rows):
    return rows.sort_values([*SESSION, "event_time", "row_id"])


def copies(shops, table, name, **params):
    """Copies in the order of their time, beside the place of their parent in its session."""
    made = rows_by(name, shops, SHOPS, **params).toPandas()
    table = table.assign(place=table.groupby(SESSION).cumcount(), n=table.groupby(SESSION)["row_id"].transform("size"))
    real = table[["row_id", "place", "n", "session_id", "event_time"]]
    return in_order(made.merge(real, left_on="parent_id", right_on="row_id", suffixes=("", "_real")))


def gaps(rows, time="event_time"):
    return rows.groupby(SESSION)[time].diff().dropna().dt.total_seconds().to_numpy()


def test_masked_items_are_no_items_and_the_last_event_stays(shops, table):
    made = copies(shops, table, "mask", share=1, rate=0.4)
    masked = made["item_id"] == "syn-mask"
    open_events = table.groupby(SESSION).size().sub(1).sum()
    assert masked.sum() == pytest.approx(0.4 * open_events, abs=4 * (0.24 * open_events) ** 0.5)
    assert not masked[made["place"] == made["n"] - 1].any()
    assert masked.groupby(made["session_id"]).any().all()
    assert made["slate_id"].isna().all()


def test_a_window_is_reordered_on_its_own_times_and_labels_keep_their_order(shops, table):
    made = copies(shops, table, "reorder", share=1, rate=0.5)
    real_times = table.groupby("session_id")["event_time"].apply(list)
    for _, rows in made.groupby("session_id"):
        assert rows["event_time"].tolist() == real_times[rows["session_id_real"].iloc[0]]
        moved = np.flatnonzero(rows["event_time"].to_numpy() != rows["event_time_real"].to_numpy())
        assert 2 <= moved[-1] - moved[0] + 1 <= max(2, round(0.5 * len(rows)) + 1)
        for _, events in rows.groupby("item_id"):
            assert (np.diff(events["place"]) > 0).all()
    assert made["session_id"].nunique() > 30


def test_with_an_event_goes_what_followed_from_it(shops, table):
    made = copies(shops, table, "delete", share=1, rate=0.2)
    for (_, parent), rows in made.groupby(["session_id", "session_id_real"]):
        whole = table[table["session_id"] == parent]
        kept = set(rows["parent_id"])
        assert 0 < len(kept) < len(whole)
        for _, events in whole.groupby("item_id"):
            gone = 9
            for event in events.itertuples():
                assert event.row_id not in kept or event.label <= gone
                gone = min(gone, event.label) if event.row_id not in kept else gone
    num = table[table["session_id"].isin(made["session_id_real"])]
    assert 0.2 < 1 - len(made) / len(num) < 0.45
    assert (made.groupby("session_id")["place"].diff().dropna() > 0).all()


def test_warped_gaps_have_the_logs_law_and_no_gap_cuts_a_session(shops, table):
    made = copies(shops, table, "time_warp", share=1, sigma=0.2)
    real, warped = gaps(table), gaps(made)
    assert ks_2samp(real, warped).statistic < 0.05
    assert warped.max() <= 1800
    assert (warped >= 0).all()
    firsts = made.groupby("session_id").first()
    assert (firsts["event_time"] == firsts["event_time_real"]).all()
    factors = made.groupby("session_id")[["event_time", "event_time_real"]].apply(
        lambda rows: np.ptp(rows["event_time"]) / np.ptp(rows["event_time_real"])
    )
    assert np.log(factors.astype(float)).std() == pytest.approx(0.2, abs=0.06)


def test_shifted_days_keep_weekday_hour_and_gaps(shops, table):
    made = copies(shops, table, "day_shift", share=1, days=14)
    moves = (made["event_time"] - made["event_time_real"]).dt.total_seconds() / 86_400
    assert set(moves) <= {-14, -7, 7, 14}
    assert len(set(moves)) == 4
    assert moves.groupby([made["entity_id"], made["event_time_real"].dt.floor("D")]).nunique().mean() < 1.05
    assert len(made) > len(table) / 2


@pytest.mark.parametrize("b", [0, 3])
def test_views_end_with_their_target_and_are_contiguous(shops, table, b):
    made = rows_by("prefix_windows", shops, SHOPS, views_per_user=4, b=b, max_len=5).toPandas()
    table = table.sort_values(["entity_id", "event_time", "row_id"])
    users = table.groupby("entity_id")["row_id"]
    table = table.assign(at=users.cumcount(), n=users.transform("size"))
    real = table[["row_id", "at", "n"]]
    made = in_order(made.merge(real, left_on="parent_id", right_on="row_id", suffixes=("", "_real")))
    assert made["session_id"].nunique() == pytest.approx(4 * (users.size() >= 2).sum(), abs=4)
    views = made.groupby("session_id")["at"]
    assert (views.diff().dropna() == 1).all()
    assert views.size().between(2, 6).all()
    last = made.groupby("session_id").last()

    def mean_place(most):
        places = np.arange(1, most + 1)
        return (places * np.diff((np.arange(most + 1) / most) ** (b + 1))).sum() / most

    expected = (last["n"] - 1).map(mean_place).mean()
    assert (last["at"] / (last["n"] - 1)).mean() == pytest.approx(expected, abs=0.04)


def test_users_with_many_events_get_more_views_with_a_high_exponent(shops, table):
    events = table.groupby("entity_id").size()
    busy = set(events[events > events.median()].index)
    shares = []
    for a in (0, 2):
        made = rows_by("prefix_windows", shops, SHOPS, views_per_user=4, a=a).toPandas()
        views = made.drop_duplicates("session_id")["entity_id"].isin(busy)
        shares.append(views.mean())
    weights = (events - 1.0) ** 2
    expected = weights[list(busy)].sum() / weights.sum()
    assert shares[0] == pytest.approx(len(busy) / (events >= 2).sum(), abs=0.05)
    assert shares[1] == pytest.approx(expected, abs=0.06)


def test_a_mask_fits_ids_that_are_numbers(real_of):
    log = SchemaConfig.model_validate({"session": "s", "item": "i", "event_time": {"column": "t", "unit": "s"}})
    rows = [(session, event, START + event) for session in range(5) for event in range(6)]
    for kind, mask in (("int", 1 << 30), ("bigint", 1 << 62)):
        train = real_of(rows, f"s int, i {kind}, t bigint", log)
        made = rows_by("mask", train, log, share=1, rate=1).collect()
        assert {row["item_id"] for row in made} == {str(mask), "5"}


def test_a_giant_session_is_cut_short_like_any_other(real_of):
    rows = [("u", f"i{number % 50}", START + number // 2, "view") for number in range(30_000)]
    rows += [("v", "i1", START, "view"), ("v", "i2", START + 9, "view")]
    train = real_of(rows, TYPE, SHOPS)
    for name in ("reorder", "delete", "prefix_windows", "time_warp"):
        made = rows_by(name, train, SHOPS, **({} if name == "prefix_windows" else {"share": 1}))
        assert made.count() > 0

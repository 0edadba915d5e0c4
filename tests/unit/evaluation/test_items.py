import numpy as np
import pandas as pd
import pytest

from clickweave.evaluation.items import (
    BANDS,
    DISTINCT,
    FREQUENCIES,
    INVENTED,
    item_tokens,
    judge_items,
    popularity_bands,
    rank_frequency,
)


def _counts(train, holdout, synthetic, **columns):
    ids = [f"i{n:03d}" for n in range(len(train))]
    sides = {"train": train, "holdout": holdout, "synthetic": synthetic}
    return pd.DataFrame({**sides, "category": None, "known": True, **columns}, index=ids)


def _law(seed, num=300, rows=30_000, power=0.8):
    shares = 1 / np.arange(1, num + 1) ** power
    return np.random.default_rng(seed).multinomial(rows, shares / shares.sum())


def _judge(counts, **controls):
    rows, detail = judge_items(counts, controls, 0)
    return {row.name: row for row in rows}, detail


def test_figures_of_equal_sizes_are_those_by_hand():
    counts = _counts([20, 20, 5, 5], [10, 30, 9, 1], [15, 15, 20, 0])
    rows, detail = _judge(counts)
    # cells: the two items with 10 events in H, and the rest
    ours = 1 - (abs(15 - 10) + abs(15 - 30) + abs(20 - 10)) / 100
    real = 1 - (abs(20 - 10) + abs(20 - 30) + abs(10 - 10)) / 100
    assert rows[FREQUENCIES].value == pytest.approx(ours, abs=1e-9)
    assert rows[FREQUENCIES].ceiling == pytest.approx(real, abs=1e-9)
    assert rows[FREQUENCIES].score == pytest.approx(ours / real, abs=1e-9)
    assert rows[DISTINCT].value == pytest.approx(3 / 4, abs=1e-9)
    # bands 2, 6, 8 and 9 of T hold one item each
    assert rows[BANDS].value == pytest.approx((5 + 15 + 11 + 1) / 100, abs=1e-9)
    assert rows[BANDS].score == pytest.approx((5 + 15 + 11 + 1) / 100 - (10 + 10 + 4 + 4) / 100, abs=1e-9)
    assert detail["rows_a_side"] == 50


def test_another_sample_of_the_law_is_not_red_whatever_its_size():
    for rows in (8_000, 30_000, 200_000):
        judged, _ = _judge(_counts(_law(1), _law(2), _law(3, rows=rows)))
        assert all(row.grade != "red" for row in judged.values()), judged


def test_flat_popularity_is_red():
    judged, _ = _judge(_counts(_law(1), _law(2), _law(3, power=0.0)))
    assert judged[FREQUENCIES].grade == judged[BANDS].grade == "red"


def test_head_alone_is_red_in_distinct_items():
    head = np.where(np.arange(300) < 150, _law(3), 0)
    assert _judge(_counts(_law(1), _law(2), head))[0][DISTINCT].grade == "red"


def test_one_invented_item_is_red_and_a_known_one_is_not():
    ours = _law(3)
    train = np.where(np.arange(300) == 7, 0, _law(1))
    known = np.arange(300) != 7
    rows, detail = _judge(_counts(train, _law(2), ours, known=known))
    assert rows[INVENTED].grade == "red"
    assert detail["invented"] == {"ids": 1, "events": int(ours[7])}
    assert _judge(_counts(train, _law(2), ours))[0][INVENTED].grade == "green"


def test_a_smaller_control_is_held_against_a_ceiling_of_its_size():
    ids = pd.Series(np.repeat([f"i{n:03d}" for n in range(300)], _law(4, rows=1500)))
    rows, _ = _judge(_counts(_law(1), _law(2), _law(3)), bootstrap=ids)
    assert rows[FREQUENCIES].controls["bootstrap"] > 0.95


def test_no_rows_or_no_frequent_items_leave_nothing_to_say():
    nothing = np.zeros(300, dtype=np.int64)
    assert {row.grade for row in _judge(_counts(_law(1), _law(2), nothing))[0].values()} == {"na"}
    assert _judge(_counts([1] * 300, [1] * 300, [1] * 300))[0][FREQUENCIES].grade == "na"


def test_bands_hold_a_tenth_of_the_events_each():
    events = _law(1, num=5000, rows=500_000, power=0.3)
    bands = popularity_bands(events)
    assert np.bincount(bands, weights=events) / events.sum() == pytest.approx(0.1, abs=0.005)
    assert events[bands == 0].min() >= events[bands == 9].max()
    assert popularity_bands(np.array([0, 3])).tolist() == [10, 5]


def test_tokens_are_categories_by_events_then_others_then_none():
    counts = _counts([10, 5, 4, 1, 2], [0] * 5, [0] * 5, category=["b", "a", "a", "c", None])
    assert item_tokens(counts, 4).tolist() == [0, 1, 1, 2, 3]
    plain = counts.assign(category=None)
    assert item_tokens(plain, 12).tolist() == popularity_bands(plain["train"].to_numpy()).tolist()


def test_rank_frequency_is_bounded_and_falls():
    curve = rank_frequency(_law(1, num=3000, rows=100_000))
    assert len(curve) <= 60
    assert curve[0][0] == 1
    shares = [share for _, share in curve]
    assert shares == sorted(shares, reverse=True)

"""Operators on sessions and histories: each keeps the order, the window and the shares that it promises."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import DAY_US
from clickweave.errors import ConfigError, ContractError
from clickweave.frames.augment import prefix_windows
from clickweave.frames.augment.copies import Sources
from clickweave.frames.augment.registry import operator
from clickweave.frames.source_rows import with_source

TYPE = "user string, item string, ts bigint, event string"
LOG = SchemaConfig.model_validate(
    {
        "user": "user", "item": "item", "event_time": {"column": "ts", "unit": "s"},
        "labels": {"column": "event", "order": ["view", "cart", "buy"]},
    }
)  # fmt: skip
GAP_S = 1800
DAYS = 30
FIRST = 1_700_438_400  # 2023-11-20 00:00 UTC
SEQUENCES = ("time_warp", "day_shift", "mask", "reorder", "delete", "prefix_windows")


def history_rows(num_users=40, seed=0):
    """Users with two sessions of 1 to 30 events on each of three days of a month; every third item that is seen is then
    put in the cart, every sixth bought. Gaps are lognormal, up to the session gap.
    """
    rng, rows = np.random.default_rng(seed), []
    for user in range(num_users):
        for day in rng.choice(DAYS, 3, replace=False):
            for hour in (2, 14):
                time = FIRST + int(day) * 86_400 + hour * 3600 + int(rng.integers(3600))
                for number in range(int(rng.integers(1, 21))):
                    item = f"i{rng.integers(200)}"
                    for level in ["view", "cart", "buy"][: 1 + (number % 3 == 0) + (number % 6 == 0)]:
                        rows.append((f"u{user}", item, time, level))
                        time += int(min(1 + rng.lognormal(4, 1), GAP_S))
    return rows


@pytest.fixture
def history(real_of):
    """Real rows of `history_rows`."""
    return real_of(history_rows(), TYPE, LOG)


def sessions_of(rows, columns=("row_id",)):
    """(entity, session) -> tuples of time in microseconds and columns, in order of time, ties by row_id."""
    found = defaultdict(list)
    time_us = F.unix_micros("event_time").alias("us")
    for row in rows.orderBy("event_time", "row_id").select("entity_id", "session_id", time_us, *columns).collect():
        found[row["entity_id"], row["session_id"]].append(tuple(row)[2:])
    return dict(found)


def with_parents(made, real):
    """Each copied session as (events of the copy, events of its parent): time, parent's row_id, item, label."""
    copies = sessions_of(made, ("parent_id", "item_id", "label"))
    parents = sessions_of(real, ("row_id", "item_id", "label"))
    home = {event[1]: key for key, events in parents.items() for event in events}
    pairs = []
    for events in copies.values():
        keys = {home[event[1]] for event in events}
        assert len(keys) == 1  # no copy of two sessions
        pairs.append((events, parents[keys.pop()]))
    return pairs


def funnel_breaks(events):
    """(parent id, parent id) of events of one item, the stronger before the weaker."""
    breaks = set()
    for place, (_, late_id, item, label) in enumerate(events):
        breaks |= {(early[1], late_id) for early in events[:place] if early[2] == item and early[3] > label}
    return breaks


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_log_without_sessions_is_refused_by_name(name):
    log = SchemaConfig.model_validate({"item": "item"})
    with pytest.raises(ConfigError, match=f"augment operator {name} needs sessions"):
        operator(name).Params(name=name).check(log)


def test_warped_sessions_keep_their_order_their_gaps_law_and_the_window(made_by, history):
    pairs = with_parents(made_by("time_warp", history, LOG, share=1, sigma=0.2), history)
    last = history.agg(F.max(F.unix_micros("event_time"))).first()[0]
    gaps, factors = ([], []), []
    for copy, parent in pairs:
        assert copy[0][0] == parent[0][0]
        assert copy[-1][0] <= last
        moments = {event[1]: event[0] for event in copy}
        times = [moments[event[1]] for event in parent]  # every event, in the parent's order
        assert times == sorted(times)
        assert all((time - times[0]) % 1_000_000 == 0 for time in times)
        for side, events in zip(gaps, (copy, parent), strict=True):
            side.extend(np.diff([event[0] for event in events]))
        factors.append((copy[-1][0] - copy[0][0]) / (parent[-1][0] - parent[0][0]))
    assert len(gaps[0]) == len(gaps[1]) > 2000
    assert max(gaps[0]) <= GAP_S * 1_000_000
    grid = np.sort(np.concatenate(gaps))
    cdfs = [np.searchsorted(np.sort(side), grid, "right") / len(side) for side in gaps]
    assert np.abs(cdfs[0] - cdfs[1]).max() < 0.05
    assert 0.1 < np.std(np.log(factors)) < 0.25


def test_a_session_at_the_end_of_the_log_is_not_warped_past_it(real_of, made_by):
    rows = [(f"u{user}", f"i{event}", FIRST + event * 100, "view") for user in range(30) for event in range(10)]
    made = made_by("time_warp", real_of(rows, TYPE, LOG), LOG, share=1, sigma=1)
    ends = [events[-1][0] // 1_000_000 - FIRST for events in sessions_of(made).values()]
    assert len(ends) == 30
    assert max(ends) <= 900
    assert min(ends) < 500


def test_views_that_span_sessions_are_warped_by_no_more_than_sigma(made_by, history):
    """As in a chain; such views have pauses of days, which no factor can bring below the session gap."""
    views = made_by("prefix_windows", history, LOG, views_per_user=3)
    warped = made_by("time_warp", views, LOG, share=1, sigma=0.2)
    lengths = [
        {key[1]: events[-1][0] - events[0][0] for key, events in sessions_of(rows).items()} for rows in (views, warped)
    ]
    factors = [length / lengths[0][session.removesuffix("-time_warp0")] for session, length in lengths[1].items()]
    assert len(factors) > 80
    assert min(factors) > 0.4  # exp(-4.5 * sigma)


def test_days_move_by_whole_weeks_together_and_inside_the_window(made_by, history):
    made = made_by("day_shift", history, LOG, share=1, days=21)
    first, last = history.agg(*[how(F.unix_micros("event_time")) for how in (F.min, F.max)]).first()
    shifts = defaultdict(set)
    users = {row["row_id"]: row["user_id"] for row in history.select("row_id", "user_id").collect()}
    for copy, parent in with_parents(made, history):
        moved = {new[0] - old[0] for new, old in zip(sorted(copy), sorted(parent), strict=True)}
        assert len(moved) == 1
        assert first <= copy[0][0] <= copy[-1][0] <= last
        shifts[users[parent[0][1]], parent[0][0] // DAY_US] |= moved
    assert all(len(moved) == 1 for moved in shifts.values())  # of both sessions of a day
    weeks = Counter(moved.pop() / (7 * DAY_US) for moved in shifts.values())
    assert set(weeks) == {-3, -2, -1, 1, 2, 3}
    assert len(shifts) > 0.8 * len({(users[p[0][1]], p[0][0] // DAY_US) for p in sessions_of(history).values()})


def test_masks_never_hide_the_last_event_and_follow_the_rate(made_by, history):
    pairs = with_parents(made_by("mask", history, LOG, share=1, rate=0.3), history)
    masked = before_last = 0
    for copy, parent in pairs:
        assert [event[:2] + event[3:] for event in sorted(copy)] == [event[:2] + event[3:] for event in sorted(parent)]
        items = {event[1]: event[2] for event in copy}
        hidden = [items[event[1]] == "syn-mask" for event in parent]
        assert any(hidden)
        assert not hidden[-1]
        assert all(hides or items[event[1]] == event[2] for hides, event in zip(hidden, parent, strict=True))
        if len(parent) >= 12:  # of short sessions only those with a mask are here
            masked, before_last = masked + sum(hidden), before_last + len(hidden) - 1
    assert masked / before_last == pytest.approx(0.3, abs=4 * (0.21 / before_last) ** 0.5)


def test_a_masked_copy_is_masked_again_only_with_one_item_more(made_by, history):
    """As in a chain of two masks, both fitted to the real rows."""

    def num_masks(rows):
        sessions = sessions_of(rows, ("item_id",))
        return {session: sum(item == "syn-mask" for _, item in events) for (_, session), events in sessions.items()}

    mask = operator("mask")
    once = made_by("mask", history, LOG, share=1, rate=0.3)
    before = num_masks(once)
    after = num_masks(mask.apply(Sources(once), None, mask.Params(share=1, rate=0.1), LOG, 1))
    assert after
    assert all(num > before[session.removesuffix("-mask1")] for session, num in after.items())


@pytest.mark.parametrize(("kind", "code"), [("bigint", 2**62), ("int", 2**30)])
def test_a_mask_is_a_number_where_items_are_and_never_a_real_item(real_of, made_by, kind, code):
    rows = [("u", event, FIRST + event, "view") for event in range(20)]
    train = real_of(rows, f"user string, item {kind}, ts bigint, event string", LOG)
    made = made_by("mask", train, LOG, share=1, rate=0.5)
    found = with_source(made, LOG, train.schema["source"].dataType, attributes={}).select("source.item").collect()
    assert {row[0] for row in found if row[0] >= 20} == {code}
    real = real_of([*rows, ("v", code, FIRST, "view")], f"user string, item {kind}, ts bigint, event string", LOG)
    with pytest.raises(ContractError, match="a real item is called"):
        made_by("mask", real, LOG)


def test_reordering_moves_single_events_of_one_window_and_leaves_moments_and_funnel(made_by, history):
    pairs = with_parents(made_by("reorder", history, LOG, share=1, rate=0.3), history)
    for copy, parent in pairs:
        assert [event[0] for event in copy] == [event[0] for event in parent]
        assert sorted(event[1:] for event in copy) == sorted(event[1:] for event in parent)
        after = {event[1]: event[0] for event in copy}
        moved = [place for place, event in enumerate(parent) if after[event[1]] != event[0]]
        assert len(moved) >= 2  # never the same session again
        assert moved[-1] - moved[0] < max(2, round(0.3 * len(parent)))
        assert funnel_breaks(copy) <= funnel_breaks(parent)
    sessions = [events for events in sessions_of(history).values() if len(events) >= 2]
    assert 0.7 * len(sessions) < len(pairs) <= len(sessions)


def test_events_of_one_moment_trading_places_are_no_new_order(real_of, made_by):
    """As on a result page, whose items are all of one time."""
    rows = [(f"u{user}", f"i{place}", FIRST + place // 3 * 60, "view") for user in range(60) for place in range(6)]
    history = real_of(rows, TYPE, LOG)
    pairs = with_parents(made_by("reorder", history, LOG, share=1, rate=0.5), history)
    assert len(pairs) > 15  # half of the windows hold both moments
    for copy, parent in pairs:
        assert [event[0] for event in copy] == [event[0] for event in parent]
        after = {event[1]: event[0] for event in copy}
        assert any(after[event[1]] != event[0] for event in parent)


def test_deleting_leaves_no_purchase_whose_click_is_gone(made_by, history):
    pairs = with_parents(made_by("delete", history, LOG, share=1, rate=0.2), history)
    assert len(pairs) == len([events for events in sessions_of(history).values() if len(events) >= 2])
    gone = before = 0
    for copy, parent in pairs:
        kept = {event[1] for event in copy}
        assert 1 <= len(copy) < len(parent)
        assert sorted(copy) == sorted(event for event in parent if event[1] in kept)
        for place, (_, row_id, item, label) in enumerate(parent):
            dropped = [e[3] for e in parent[:place] if e[2] == item and e[1] not in kept and e[3] < label]
            assert row_id not in kept or not dropped
        views = [event[1] for event in parent if event[3] == 1]  # weakest labels go by the rate alone
        if len(parent) >= 20:
            gone, before = gone + len(set(views) - kept), before + len(views)
    assert gone / before == pytest.approx(0.2, abs=4 * (0.16 / before) ** 0.5)


def views_of(made, train):
    """(user, session of the view) -> places of its events in the user's history."""
    places, histories = {}, defaultdict(int)
    for row in train.orderBy("event_time", "row_id").select("row_id", "entity_id").collect():
        places[row["row_id"]] = (row["entity_id"], histories[row["entity_id"]])
        histories[row["entity_id"]] += 1
    views = defaultdict(list)
    for key, events in sessions_of(made, ("parent_id",)).items():
        for _, parent in events:
            user, place = places[parent]
            assert user == key[0]
            views[key].append(place)
    return {key: sorted(found) for key, found in views.items()}, histories


def test_users_of_many_events_get_no_more_views_than_can_be_looked_up(real_of, made_by, monkeypatch):
    rows = [(f"u{n}", f"i{e}", FIRST + e, "view") for n, length in enumerate((4, 40)) for e in range(length)]
    train = real_of(rows, TYPE, LOG)
    wanted = {"views_per_user": 100, "a": 1, "max_len": 5}
    for most, of_many in ((prefix_windows.MOST_LOOKUPS, (185, 186)), (200, (5,))):  # forty events in five views each
        monkeypatch.setattr(prefix_windows, "MOST_LOOKUPS", most)
        views, _ = views_of(made_by("prefix_windows", train, LOG, **wanted), train)
        counts = Counter(user for user, _ in views)
        assert counts["u0"] in (14, 15)  # 3 of 42 parts of 200 views
        assert counts["u1"] in of_many


@pytest.mark.parametrize(("a", "b", "c", "max_len"), [(0, 0, 0, 5), (1, 2, 3, 1000)])
def test_views_are_contiguous_and_follow_their_powers(real_of, made_by, a, b, c, max_len):
    times = [FIRST + event * 1000 + event // 4 * 7200 for event in range(41)]  # sessions of four
    rows = [(f"u{u}", f"i{e}", times[e], "view") for u in range(80) for e in range(11 if u % 2 else 41)]
    train = real_of(rows, TYPE, LOG)
    made = made_by("prefix_windows", train, LOG, views_per_user=10, a=a, b=b, c=c, max_len=max_len)
    views, lengths = views_of(made, train)
    assert len(views) == pytest.approx(800, abs=40)  # the fraction of each user's number is drawn
    of_long = sum(lengths[user] == 41 for user, _ in views) / len(views)
    assert of_long == pytest.approx(4**a / (4**a + 1), abs=0.03)
    shares, seen = [], []
    for (user, _), places in views.items():
        assert places == list(range(places[0], places[-1] + 1))
        assert 2 <= len(places) <= max_len + 1  # at least one event before the next one
        if lengths[user] == 41:
            shares.append(places[-1] / 40)
            seen.append((len(places) - 1) / min(places[-1], max_len))
    # the mean of a power's distribution on [0, 1] is (p + 1) / (p + 2); rounding up adds half a step
    assert np.mean(shares) == pytest.approx((b + 1) / (b + 2) + 0.5 / 40, abs=0.05)
    assert np.mean(seen) > (c + 1) / (c + 2)
    assert np.mean(seen) < (c + 1) / (c + 2) + 0.15


def test_views_without_a_power_of_length_choose_users_before_the_shuffle(made_by, history, capsys):
    made_by("prefix_windows", history, LOG, views_per_user=0.1).explain()
    plan = capsys.readouterr().out
    assert "prefix_windows count" in plan[plan.rindex("Exchange hashpartitioning(entity_id") :]


@pytest.mark.parametrize("name", SEQUENCES)
def test_copies_of_mapped_sessions_that_are_slates_keep_one_id_of_the_raw_type(real_of, made_by, name):
    """A log without users, in which one column is the session and the slate."""
    log = SchemaConfig.model_validate(
        {"session": "s", "slate": "s", "item": "i", "event_time": {"column": "t", "unit": "ms"}}
    )
    rows = [(s, f"i{e}", FIRST * 1000 + s * 3 * DAY_US // 1000 + e * 1500) for s in range(6) for e in range(8)]
    train = real_of(rows, "s int, i string, t bigint", log)
    whole = {"views_per_user": 2} if name == "prefix_windows" else {"share": 1}
    made = made_by(name, train, log, **whole)
    found = with_source(made, log, train.schema["source"].dataType, attributes={}).collect()
    assert len({row["session_id"] for row in found}) >= 4
    for row in found:
        assert row["source"]["s"] >= 2**30
        assert row["session_id"] == row["slate_id"] == str(row["source"]["s"])
        assert row["entity_id"] == f"session-{row['session_id']}"

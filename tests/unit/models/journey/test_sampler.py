"""Drawn histories: their length, time and totals, what never happens in them, and logs without some of it."""

from dataclasses import replace

import pytest
import torch

from clickweave.codec.spec import LONG_GAP_US
from clickweave.contracts.tables import DAY_US, HOUR_US

NUM = 200


def draw(net, log, n=NUM, seed=1):
    return net.sample(n, log.rng(seed))


def events_of(made, n=NUM):
    """Events of each history."""
    return torch.bincount(made.owner_R, minlength=n)


def first_of(made):
    return torch.cat([torch.ones(1, dtype=torch.bool), made.owner_R[1:] != made.owner_R[:-1]])


def spans_of(made, n=NUM):
    """Microseconds from the first event of each history to its last."""
    last = torch.zeros(n, dtype=torch.long).scatter_reduce(0, made.owner_R, made.time_us_R, "amax")
    return last - made.time_us_R[first_of(made)]


def test_histories_have_their_length_and_never_run_backwards(net, log):
    made = draw(net, log)
    assert torch.equal(events_of(made), net.times.lengths(made.entities))
    assert (made.owner_R.diff() >= 0).all()
    assert (made.time_us_R.diff()[~first_of(made)[1:]] >= 0).all()
    assert torch.equal(made.time_us_R[first_of(made)], net.times.start_us(made.entities))


def test_the_last_event_comes_at_the_end_of_the_drawn_span(net, log):
    made = draw(net, log)
    several = net.times.lengths(made.entities) > 1
    assert torch.equal(spans_of(made)[several], net.times.spans_us(made.entities)[several])


def test_contradictory_parts_of_time_are_drawn_again(net, log):
    raw = net.entities.sample(NUM, log.rng(1))
    made = draw(net, log).entities
    returns_us = [net.totals.returns(entities) * LONG_GAP_US for entities in (raw, made)]
    spans_us = [net.times.spans_us(entities) for entities in (raw, made)]
    contradict = [(span < least).float().mean() for span, least in zip(spans_us, returns_us, strict=True)]
    assert contradict[0] > 0.1 and contradict[1] == 0


def test_histories_that_would_leave_the_window_start_elsewhere(log):
    net = log.fresh(log.with_column(log.bins("span_days", 2.0, 3.0)))
    net.clock.last_us = 103 * DAY_US - 1  # two days from day 101 on lie beyond it
    raw = net.entities.sample(NUM, log.rng(1))
    assert (net.times.start_us(raw) + net.times.spans_us(raw) > net.clock.last_us).float().mean() > 0.02
    made = draw(net, log)
    assert (net.times.start_us(made.entities) + net.times.spans_us(made.entities) <= net.clock.last_us).all()
    assert (made.time_us_R <= net.clock.last_us).all()


@pytest.mark.parametrize("once", [True, False])
def test_a_log_without_repeated_pairs_gets_none(log, once):
    net = log.fresh(replace(log.codec, once=once))
    made = draw(net, log)
    keys = [made.owner_R, *(made.events.codes_BC[:, column] for column in (net.item, net.label))]
    repeated = len(made.owner_R) - len(torch.unique(torch.stack(keys, dim=1), dim=0))
    assert repeated == 0 if once else repeated > 20


def test_a_giant_takes_at_least_the_least_pace_of_its_size(log):
    pace_us = 3 * HOUR_US  # 20 events and more take longer than nearly all drawn spans, and fit into the window
    giants = log.bins("length", 20.0, 41.0)
    net = log.fresh(log.with_column(giants, least_paces_us=(0.0, 0.0, pace_us * 1.0)))
    lengths = net.times.lengths(net.entities.sample(NUM, log.rng(1)))
    assert lengths.min() >= 20
    made = draw(net, log, 100)
    least_us = pace_us * (events_of(made, 100) - 1) - net.times.step_us  # in whole steps of the gaps
    assert (spans_of(made, 100) >= least_us).all()
    assert (events_of(made, 100) == net.times.lengths(made.entities)).all()


def test_small_histories_may_be_faster_than_giants(log):
    net = log.fresh(replace(log.codec, least_paces_us=(0.0, 0.0, float(HOUR_US))))
    made = draw(net, log)
    assert (spans_of(made) < HOUR_US).float().mean() > 0.2


@pytest.mark.parametrize("once", [True, False])
def test_same_seed_gives_the_same_histories(log, once):
    net = log.fresh(replace(log.codec, once=once))
    one, other, third = (draw(net, log, 50, seed) for seed in (1, 1, 2))
    assert torch.equal(one.events.codes_BC, other.events.codes_BC) and torch.equal(one.time_us_R, other.time_us_R)
    assert torch.equal(one.events.positions_BP, other.events.positions_BP)
    assert torch.equal(one.entities.codes_BC, other.entities.codes_BC)
    assert one.events.codes_BC.shape != third.events.codes_BC.shape or not torch.equal(one.time_us_R, third.time_us_R)


BARE = {"item_id", "repeats", "label", "events_of_label_2"}


@pytest.mark.parametrize("lacks", ["time", "items", "labels", "all"])
def test_logs_without_time_items_or_labels_are_learnt_and_drawn_too(log, lacks):
    gone = {"time": log.times, "items": {"item_id", "repeats"}, "labels": {"label", "events_of_label_2"}}
    gone["all"] = log.times | BARE
    codec = log.without(*gone[lacks])
    net = log.fresh(codec)
    for window in log.windows_of([3, 7, 2, 4, 6, 2], 2, 4, codec=codec):
        net.training_loss(window, log.rng()).total.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())
    made = draw(net, log)
    assert torch.equal(events_of(made), net.times.lengths(made.entities))
    if "span" in codec.totals:
        several = net.times.lengths(made.entities) > 1
        assert torch.equal(spans_of(made)[several], net.times.spans_us(made.entities)[several])
    else:
        assert (made.time_us_R == 0).all()

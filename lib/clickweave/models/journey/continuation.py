"""Going on with histories that there are: the network reads what each held, then draws what comes next.

Legend: N histories, T events of the longest, R events, H hidden units, K totals, X tries.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from clickweave.codec.spec import (
    END_CLOCK,
    LENGTH,
    LONG_GAP_US,
    RETURNS,
    SPAN,
    SPAN_DAYS,
)
from clickweave.contracts.tables import DAY_US
from clickweave.models.histories import Histories, rows_of
from clickweave.models.journey.reading import places_of, read_histories, rows_at_end
from clickweave.models.journey.sampler import NOTHING, Going, gone_on
from clickweave.models.journey.starts import REDRAWS
from clickweave.models.protocol import Batch

if TYPE_CHECKING:
    from clickweave.models.journey.network import Journey

CELLS = 1 << 19  # histories times events of the longest that go on together
POOL = 4_096  # lengths that the law of lengths is taken from


@dataclass(frozen=True)
class Drawing:
    """How draws are made; see `Journey.sample`."""

    rng: torch.Generator
    temperature: float
    top_p: float


@torch.inference_mode()
def continue_histories(net: "Journey", given: Histories, most: int, how: Drawing) -> Histories:
    """See `Journey.continue_histories`."""
    lengths_N = torch.bincount(given.owner_R, minlength=given.entities.num_rows)
    drawn = net.entities.sample(POOL, how.rng, temperature=how.temperature, top_p=how.top_p)
    pool = net.times.lengths(drawn).sort().values
    more_N = _more_events(pool, lengths_N, most, how.rng)
    parts, chunks = [], chunks_of(lengths_N)
    for picked_N in chunks:
        parts.append(_continued(net, taken(given, picked_N, lengths_N), more_N[picked_N], how))
    order_N = torch.argsort(torch.cat(chunks))
    owner_R = torch.cat([picked_N[part.owner_R] for picked_N, part in zip(chunks, parts, strict=True)])
    order_R = torch.argsort(owner_R, stable=True)
    return Histories(
        rows_of(joined([part.entities for part in parts]), order_N),
        rows_of(joined([part.events for part in parts]), order_R),
        owner_R[order_R],
        torch.cat([part.time_us_R for part in parts])[order_R],
    )


def _more_events(pool: torch.Tensor, lengths_N: torch.Tensor, most: int, rng: torch.Generator) -> torch.Tensor:
    """How many events come, from 1 to `most`: as the law of lengths has it for histories longer than these [N].

    Args:
        pool: lengths drawn from that law, ascending. Beyond the longest of them one event comes.
    """
    first_N = torch.searchsorted(pool, lengths_N, right=True)
    place_N = first_N + (torch.rand(len(lengths_N), generator=rng) * (len(pool) - first_N)).long()
    longer_N = torch.where(first_N < len(pool), pool[place_N.clamp_max(len(pool) - 1)], lengths_N + 1)
    return (longer_N - lengths_N).clamp(1, most)


def chunks_of(lengths_N: torch.Tensor) -> list[torch.Tensor]:
    """Numbers of histories, the shortest first, cut so that each part times its longest is at most CELLS, or one."""
    order_N = torch.argsort(lengths_N, stable=True)
    found, start = [], 0
    for stop, length in enumerate(lengths_N[order_N].tolist(), start=1):
        if stop - start > 1 and (stop - start) * length > CELLS:
            found.append(order_N[start : stop - 1])
            start = stop - 1
    return [*found, order_N[start:]]


def taken(given: Histories, picked_N: torch.Tensor, lengths_N: torch.Tensor) -> Histories:
    """These histories in this order."""
    starts_N = (lengths_N.cumsum(0) - lengths_N)[picked_N]
    owner_R = torch.repeat_interleave(torch.arange(len(picked_N)), lengths_N[picked_N])
    rows_R = starts_N[owner_R] + places_of(owner_R)
    entities, events = rows_of(given.entities, picked_N), rows_of(given.events, rows_R)
    return Histories(entities, events, owner_R, given.time_us_R[rows_R])


def _continued(net: "Journey", given: Histories, more_N: torch.Tensor, how: Drawing) -> Histories:
    """One chunk: what the histories hold is read, their totals are drawn anew, and their next events."""
    entities, going = standing(net, given, more_N, how)
    return gone_on(net, entities, going, how.rng, how.temperature, how.top_p)


def standing(net: "Journey", given: Histories, more_N: torch.Tensor, how: Drawing) -> tuple[Batch, Going]:
    """The columns of these histories with so many further events, totals drawn anew, and where they stand now."""
    lengths_N = torch.bincount(given.owner_R)
    last_us_N = given.time_us_R[lengths_N.cumsum(0) - 1]
    entities, left_NK = _with_totals(net, given, lengths_N, more_N, last_us_N, how)
    rows_NT = rows_at_end(lengths_N)
    state_NH, last_NH, memory = read_histories(net, replace(given, entities=entities), rows_NT)
    items_R, labels_R = (torch.cat([codes_R, torch.tensor([NOTHING])]) for codes_R in net.remembered(given.events))
    going = Going(
        torch.arange(len(lengths_N)),
        lengths_N,
        state_NH,
        last_NH,
        memory,
        items_R[rows_NT],
        labels_R[rows_NT],
        last_us_N,
        more_N - 1,
        left_NK,
        None if net.slates is None else net.slates.none(len(lengths_N)),
    )
    return entities, going


def _with_totals(
    net: "Journey",
    given: Histories,
    lengths_N: torch.Tensor,
    more_N: torch.Tensor,
    last_us_N: torch.Tensor,
    how: Drawing,
) -> tuple[Batch, torch.Tensor]:
    """The columns of the longer histories, and what is left of each total for the events that come [N, K].

    Length, profile and start stay what they are; the totals are drawn to the new length and the profile. Of REDRAWS
    draws that one counts in which most totals fit: not below what the history holds, and within reach of its next
    events and the log's window. Of a total that does not fit the same share is left as there are events left.
    """
    longer_N = lengths_N + more_N
    entities = net.times.numbers[LENGTH].put(given.entities, longer_N)
    room_us_N = (net.clock.last_us - last_us_N).clamp_min(0)
    tries_X = torch.arange(len(longer_N)).repeat_interleave(REDRAWS)
    drawn = _drawn_totals(net, rows_of(entities, tries_X), how)
    total_XK = net.totals.drawn(drawn, longer_N[tries_X], net.times.spans_us(drawn).clamp_min(0))
    had_NK = _held(net, given)
    left_XK = total_XK - had_NK[tries_X]
    fits_XK = _fits(net, left_XK, longer_N[tries_X], more_N[tries_X], room_us_N[tries_X])
    best_N = fits_XK.sum(1).view(-1, REDRAWS).argmax(1) + torch.arange(len(longer_N)) * REDRAWS
    share_NK = total_XK[best_N] * more_N.unsqueeze(1) // longer_N.unsqueeze(1)
    left_NK = torch.where(fits_XK[best_N], left_XK[best_N], share_NK)
    left_NK = _within_reach(net, left_NK, longer_N, more_N, room_us_N)
    return _put_totals(net, entities, had_NK + left_NK), left_NK


def _drawn_totals(net: "Journey", known: Batch, how: Drawing) -> Batch:
    """`known` with its totals drawn to its other columns; the start comes after them and counts for none."""
    totals = net.total_columns
    given = [index for index in range(known.codes_BC.shape[1]) if index not in (*totals, *net.times.starts)]
    drawn = net.entities.sample(
        known.num_rows,
        how.rng,
        given={index: known.codes_BC[:, index] for index in given},
        temperature=how.temperature,
        top_p=how.top_p,
    )
    codes_BC, positions_BP = known.codes_BC.clone(), known.positions_BP.clone()
    places = [place for index in totals if (place := net.entities.place_of[index]) is not None]
    codes_BC[:, totals], positions_BP[:, places] = drawn.codes_BC[:, totals], drawn.positions_BP[:, places]
    return Batch(codes_BC, positions_BP)


def _held(net: "Journey", given: Histories) -> torch.Tensor:
    """What the events of the histories add up to [N, K]."""
    place_R = places_of(given.owner_R)
    elapsed_us_R = torch.where(place_R > 0, given.time_us_R.diff(prepend=given.time_us_R[:1]), 0)
    items_R, _ = net.remembered(given.events)
    _, pair_R = torch.unique(torch.stack([given.owner_R, items_R], dim=1), dim=0, return_inverse=True)
    order_R = torch.argsort(pair_R, stable=True)
    again_R = torch.zeros_like(items_R, dtype=torch.bool)
    again_R[order_R[1:]] = pair_R[order_R].diff() == 0
    spent_RK = net.totals.spent(given.events, place_R, elapsed_us_R, again_R & (items_R > 0))
    held_NK = torch.zeros(given.entities.num_rows, spent_RK.shape[1], dtype=torch.long)
    return held_NK.index_add(0, given.owner_R, spent_RK)


def _fits(
    net: "Journey", left_XK: torch.Tensor, longer_X: torch.Tensor, more_X: torch.Tensor, room_us_X: torch.Tensor
) -> torch.Tensor:
    """Which of these rests the next events can come to [X, K]."""
    return (left_XK >= 0) & (left_XK == _within_reach(net, left_XK, longer_X, more_X, room_us_X))


def _within_reach(
    net: "Journey", left_XK: torch.Tensor, longer_X: torch.Tensor, more_X: torch.Tensor, room_us_X: torch.Tensor
) -> torch.Tensor:
    """The nearest rests that the next events can come to [X, K]: one of each count an event, returns and the pace of
    the log's fastest histories need their time, and none goes beyond the log's window.
    """
    found = []
    returns_X = torch.zeros_like(more_X)
    for number, name in enumerate(net.totals.names):
        most_X = torch.minimum(more_X, room_us_X // LONG_GAP_US) if name == RETURNS else more_X
        found.append(left_XK[:, number].clamp_min(0).minimum(most_X))
        returns_X = found[-1] if name == RETURNS else returns_X
    if net.times.timed:
        span = net.totals.names.index(SPAN)
        least_us_X = net.times.least_us(longer_X, more_X).maximum(returns_X * LONG_GAP_US)
        found[span] = (left_XK[:, span] // net.times.step_us * net.times.step_us).maximum(least_us_X).minimum(room_us_X)
    return torch.stack(found, dim=1) if found else left_XK


def _put_totals(net: "Journey", entities: Batch, total_NK: torch.Tensor) -> Batch:
    """The entities with these totals."""
    for number, name in enumerate(net.totals.names):
        if name != SPAN:
            entities = net.totals.counts[name].put(entities, total_NK[:, number])
            continue
        start_us_N = net.times.start_us(entities)
        span_us_N, end_us_N = total_NK[:, number], start_us_N + total_NK[:, number]
        short_N, days_N = span_us_N < LONG_GAP_US, end_us_N // DAY_US - start_us_N // DAY_US
        entities = net.times.numbers[SPAN].put(entities, span_us_N, short_N)
        entities = net.times.numbers[SPAN_DAYS].put(entities, days_N, ~short_N)
        entities = net.times.numbers[END_CLOCK].put(entities, end_us_N % DAY_US, ~short_N)
    return entities


def joined(parts: list[Batch]) -> Batch:
    return Batch(torch.cat([part.codes_BC for part in parts]), torch.cat([part.positions_BP for part in parts]))

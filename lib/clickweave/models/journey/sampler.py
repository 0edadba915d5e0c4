"""Drawing histories from a `Journey`: all of a block together, the next event of each at a time.

Legend: N histories, A of them still going on, H hidden units, M remembered events, T events so far, K totals. Where
histories have come to different places, those with fewer events begin with NOTHING.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from clickweave.codec.spec import LONG_GAP_US
from clickweave.models.histories import Histories, picked
from clickweave.models.journey.slates import Slate
from clickweave.models.journey.starts import REDRAWS, draw_entities
from clickweave.models.journey.state import Carried, Memory
from clickweave.models.protocol import Batch

if TYPE_CHECKING:
    from clickweave.models.journey.network import Journey

NOTHING = -1  # no code
WORST = 100  # more than all totals that a history may miss


@dataclass(frozen=True)
class Going:
    """The histories that are not over: which they are, and all that the next event depends on.

    Attributes:
        place_A: events so far.
        last_AH: the event before, as the state has read it; zeros before the first.
        items_AT, labels_AT: codes of all events so far.
    """

    owner_A: torch.Tensor
    place_A: torch.Tensor
    state_AH: torch.Tensor
    last_AH: torch.Tensor
    memory: Memory
    items_AT: torch.Tensor
    labels_AT: torch.Tensor
    time_us_A: torch.Tensor
    left_A: torch.Tensor
    left_AK: torch.Tensor
    slate: Slate | None

    def kept(self, picked_A: torch.Tensor) -> "Going":
        numbers = {name: value[picked_A] for name, value in vars(self).items() if isinstance(value, torch.Tensor)}
        slate = None if self.slate is None else self.slate.rows(picked_A)
        return replace(self, memory=self.memory.rows(picked_A), slate=slate, **numbers)


@torch.inference_mode()
def sample_histories(net: "Journey", n: int, rng: torch.Generator, temperature: float, top_p: float) -> Histories:
    """See `Journey.sample`."""
    entities = draw_entities(net, n, rng, temperature, top_p)
    lengths, none_yet = net.times.lengths(entities), torch.zeros(n, 0, dtype=torch.long)
    fresh = Carried.zeros(n, net.hidden, net.memory)
    going = Going(
        torch.arange(n),
        torch.zeros(n, dtype=torch.long),
        net.start(entities),
        fresh.read_BH,
        fresh.memory,
        none_yet,
        none_yet,
        net.times.start_us(entities),
        lengths - 1,
        net.totals.drawn(entities, lengths, net.times.spans_us(entities).clamp_min(0)),
        None if net.slates is None else net.slates.none(n),
    )
    return gone_on(net, entities, going, rng, temperature, top_p)


def gone_on(
    net: "Journey", entities: Batch, going: Going, rng: torch.Generator, temperature: float, top_p: float
) -> Histories:
    """All events that are still to come of these histories, one or more each."""
    made: list[tuple[Batch, torch.Tensor, torch.Tensor]] = []
    while len(going.owner_A):
        ends_A = (going.left_A == 0) & net.times.timed & (going.place_A > 0)
        parts = [(going.kept(mask_A), last) for mask_A, last in ((ends_A, True), (~ends_A, False)) if mask_A.any()]
        for part, last in parts:
            events, going = _next_event(net, part, last, rng, temperature, top_p)
            made.append((events, going.owner_A, going.time_us_A))
        going = going.kept(going.left_A >= 0)
    owner_R = torch.cat([owner_A for _, owner_A, _ in made])
    order_R = torch.argsort(owner_R, stable=True)
    codes_RC = torch.cat([batch.codes_BC for batch, _, _ in made])[order_R]
    positions_RP = torch.cat([batch.positions_BP for batch, _, _ in made])[order_R]
    time_us_R = torch.cat([time_us_A for _, _, time_us_A in made])[order_R]
    return Histories(entities, Batch(codes_RC, positions_RP), owner_R[order_R], time_us_R)


def _next_event(
    net: "Journey", going: Going, last: bool, rng: torch.Generator, temperature: float, top_p: float
) -> tuple[Batch, Going]:
    """The next event of each history that goes on, and where those stand after it.

    The time of the last one is known, apart from slates that it should end. An event after it or off the totals, one
    that its slate cannot hold, or one that a log without such events has no second time, is drawn again. Where REDRAWS
    tries bring no better, one that may not come twice is left out, what fits no slate begins one, and an event off the
    totals or after the last comes all the same (with the last one).
    """
    events, time_us_A = _draw_events(net, going, last, rng, temperature, top_p)
    if last and net.slates is not None and going.slate is not None:
        stays_A = net.slates.stays(going.slate, events, time_us_A - going.time_us_A)
        if stays_A.any():
            going.left_AK[stays_A, 0] = 0  # pauses are seldom drawn so exactly that nothing is left of the span
            events, time_us_A = _draw_events(net, going, last, rng, temperature, top_p)
    again_A = _again(net, going, events)
    wrong_A = again_A | _off_slate(net, going, events, time_us_A) | (_strays(net, going, events, time_us_A) > 0)
    open_A = wrong_A.nonzero().squeeze(1)
    if len(open_A):
        tries = going.kept(open_A.repeat_interleave(REDRAWS))  # all at once: a pass costs little more for many rows
        drawn, drawn_us = _draw_events(net, tries, last, rng, temperature, top_p)
        drawn_again = _again(net, tries, drawn)
        faults = 2 * WORST * drawn_again + WORST * _off_slate(net, tries, drawn, drawn_us)
        faults = faults + _strays(net, tries, drawn, drawn_us)
        first = faults.view(-1, REDRAWS).argmin(1) + torch.arange(len(open_A)) * REDRAWS
        events.codes_BC[open_A], events.positions_BP[open_A] = drawn.codes_BC[first], drawn.positions_BP[first]
        time_us_A[open_A], again_A[open_A] = drawn_us[first], drawn_again[first]
    if net.slates is not None:
        net.slates.begin_anew(events, _off_slate(net, going, events, time_us_A))
    events, going = picked(events, ~again_A), going.kept(~again_A)
    end_us_A = going.time_us_A + going.left_AK[:, 0] if net.times.timed else going.time_us_A
    return events, _after(net, going, events, torch.minimum(time_us_A[~again_A], end_us_A))


def _after(net: "Journey", going: Going, events: Batch, time_us_A: torch.Tensor) -> Going:
    """Where the histories stand when these events have come."""
    aids = {} if net.item is None else {net.item: (going.memory,)}
    items_A, labels_A = net.remembered(events)
    left_AK = _left(net, going, events, time_us_A).clamp_min(0)
    if net.times.timed:
        left_AK[:, 0] = left_AK[:, 0].maximum(_stay_us(net, going, time_us_A))
    read_AH = net.read_events(events, aids, time_us_A)
    return replace(
        going,
        place_A=going.place_A + 1,
        state_AH=net.cell(read_AH, going.state_AH),
        last_AH=read_AH,
        memory=going.memory.after(items_A, labels_A),
        items_AT=torch.cat([going.items_AT, items_A.unsqueeze(1)], dim=1),
        labels_AT=torch.cat([going.labels_AT, labels_A.unsqueeze(1)], dim=1),
        time_us_A=time_us_A,
        left_A=going.left_A - 1,
        left_AK=left_AK,
        slate=None if net.slates is None or going.slate is None else net.slates.after(going.slate, events),
    )


def _stay_us(net: "Journey", going: Going, time_us_A: torch.Tensor) -> torch.Tensor:
    """How long a history must stay for the events that are left, whatever its span [A]: as long as the log's fastest
    of its size would, inside the log's window.
    """
    room_us_A = (net.clock.last_us - time_us_A).clamp_min(0)
    return net.times.least_us(going.place_A + 1 + going.left_A, going.left_A).minimum(room_us_A)


def _left(net: "Journey", going: Going, events: Batch, time_us_A: torch.Tensor) -> torch.Tensor:
    """What is left of the totals after these events [A, K]; below 0 where they take more than there is."""
    items_A, _ = net.remembered(events)
    repeats_A = (going.items_AT == items_A.unsqueeze(1)).any(1)
    return going.left_AK - net.totals.spent(events, going.place_A, time_us_A - going.time_us_A, repeats_A)


def _strays(net: "Journey", going: Going, events: Batch, time_us_A: torch.Tensor) -> torch.Tensor:
    """How many totals a history can no longer come to after these events [A]: it went beyond them, or too few events
    are left.
    """
    left_AK, to_come_A = _left(net, going, events, time_us_A), going.left_A
    num_A = (left_AK < 0).sum(1)
    for counts in net.totals.apart:  # an event can add one to one of them
        num_A = num_A + (left_AK[:, counts].clamp_min(0).sum(1) > to_come_A)
    if net.totals.returning is not None:  # a span of more than short gaps, or of fewer returns
        span_us_A, returns_A = left_AK[:, 0], left_AK[:, net.totals.returning]
        num_A = num_A + (span_us_A < returns_A * LONG_GAP_US)
        num_A = num_A + ((returns_A <= 0) & (span_us_A > to_come_A * LONG_GAP_US))
    return num_A


def _off_slate(net: "Journey", going: Going, events: Batch, time_us_A: torch.Tensor) -> torch.Tensor:
    """Whether an event does not belong to the slate that it says it belongs to [A]."""
    if net.slates is None or going.slate is None:
        return torch.zeros_like(going.owner_A, dtype=torch.bool)
    return net.slates.broken(going.slate, events, time_us_A - going.time_us_A)


def _again(net: "Journey", going: Going, events: Batch) -> torch.Tensor:
    """Whether the history has the item with this label already, where the log has none twice [A]."""
    if not net.once:
        return torch.zeros_like(going.owner_A, dtype=torch.bool)
    items_A, labels_A = net.remembered(events)
    return ((going.items_AT == items_A.unsqueeze(1)) & (going.labels_AT == labels_A.unsqueeze(1))).any(1)


def _draw_events(
    net: "Journey", going: Going, last: bool, rng: torch.Generator, temperature: float, top_p: float
) -> tuple[Batch, torch.Tensor]:
    """One event of each history and its time; the time of the last event is what is left of the span."""
    end_us_A = going.time_us_A + going.left_AK[:, 0] if last else going.time_us_A
    given = net.times.gap_codes(going.time_us_A, end_us_A) if last else {}
    events = sampled(net, going, given, rng, temperature, top_p)
    if net.slates is not None and going.slate is not None:
        _take_query(net, going, events, rng, temperature, top_p)
    if last:
        return events, end_us_A
    return events, torch.where(going.place_A > 0, net.times.time_us(events, going.time_us_A), going.time_us_A)


def _take_query(
    net: "Journey", going: Going, events: Batch, rng: torch.Generator, temperature: float, top_p: float
) -> None:
    """Events of a slate take its query, where its events have one; the columns after it are drawn to that."""
    assert net.slates is not None and going.slate is not None
    mask_A = net.slates.off_query(going.slate, events)
    if not mask_A.any():
        return
    part = going.kept(mask_A)
    assert part.slate is not None
    given = {index: events.codes_BC[mask_A, index] for index in range(net.slates.query[0])}
    given |= dict(zip(net.slates.query, part.slate.query_AQ.unbind(1), strict=True))
    drawn = sampled(net, part, given, rng, temperature, top_p)
    events.codes_BC[mask_A], events.positions_BP[mask_A] = drawn.codes_BC, drawn.positions_BP


def sampled(
    net: "Journey",
    going: Going,
    given: dict[int, torch.Tensor],
    rng: torch.Generator,
    temperature: float,
    top_p: float,
) -> Batch:
    """The columns of one event of each history; those of `given` are known."""
    came = going.place_A, going.left_A, going.left_AK
    told, aids = net.told(going.state_AH, going.last_AH, *came), net.aids(going.memory, *came)
    return net.events.sample(
        len(told), rng, context_BX=told, given=given, aids=aids, temperature=temperature, top_p=top_p
    )

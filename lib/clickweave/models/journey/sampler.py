"""Drawing histories from a `Journey`: all of a block together, the next event of each at a time.

Legend: N histories, A of them still going on, H hidden units, M remembered events, T events so far, K totals.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from clickweave.models.histories import Histories, picked
from clickweave.models.journey.state import Carried, Memory
from clickweave.models.protocol import Batch

if TYPE_CHECKING:
    from clickweave.models.journey.network import Journey

REDRAWS = 16  # of a history or an event that the log's laws do not allow


@dataclass(frozen=True)
class _Going:
    """The histories that are not over: which they are, and all that the next event depends on.

    Attributes:
        items_AT, labels_AT: codes of all events so far.
    """

    owner_A: torch.Tensor
    state_AH: torch.Tensor
    memory: Memory
    items_AT: torch.Tensor
    labels_AT: torch.Tensor
    time_us_A: torch.Tensor
    left_A: torch.Tensor
    left_AK: torch.Tensor

    def kept(self, picked_A: torch.Tensor) -> "_Going":
        numbers = {name: value[picked_A] for name, value in vars(self).items() if name != "memory"}
        return replace(self, memory=self.memory.rows(picked_A), **numbers)


@torch.inference_mode()
def sample_histories(net: "Journey", n: int, rng: torch.Generator, temperature: float, top_p: float) -> Histories:
    """See `Journey.sample`."""
    entities = _draw_entities(net, n, rng, temperature, top_p)
    lengths, none_yet = net.lengths(entities), torch.zeros(n, 0, dtype=torch.long)
    going = _Going(
        torch.arange(n),
        net.start(entities),
        Carried.zeros(n, net.hidden, net.memory).memory,
        none_yet,
        none_yet,
        net.start_us(entities),
        lengths - 1,
        net.totals.drawn(entities, lengths, net.spans_us(entities).clamp_min(0)),
    )
    made: list[tuple[Batch, torch.Tensor, torch.Tensor]] = []
    while len(going.owner_A):
        ends_A = (going.left_A == 0) & net.timed & (going.items_AT.shape[1] > 0)
        for part, given in ((going.kept(ends_A), True), (going.kept(~ends_A), False)):
            events, going = _next_event(net, part, given, rng, temperature, top_p)
            made.append((events, going.owner_A, going.time_us_A))
        going = going.kept(going.left_A >= 0)
    owner_R = torch.cat([owner_A for _, owner_A, _ in made])
    order_R = torch.argsort(owner_R, stable=True)
    codes_RC = torch.cat([batch.codes_BC for batch, _, _ in made])[order_R]
    positions_RP = torch.cat([batch.positions_BP for batch, _, _ in made])[order_R]
    time_us_R = torch.cat([time_us_A for _, _, time_us_A in made])[order_R]
    return Histories(entities, Batch(codes_RC, positions_RP), owner_R[order_R], time_us_R)


def _draw_entities(net: "Journey", n: int, rng: torch.Generator, temperature: float, top_p: float) -> Batch:
    """The columns of the histories; where the last event would lie beyond the log's window, the start is drawn again."""
    entities = net.entities.sample(n, rng, temperature=temperature, top_p=top_p)
    for _ in range(REDRAWS if net.timed else 0):
        spans_us_N = net.spans_us(entities)
        wrong_N = (spans_us_N < 0) | (net.start_us(entities) + spans_us_N > net.clock.last_us)
        if not wrong_N.any():
            break
        old = picked(entities, wrong_N)
        given = {i: codes for i, codes in enumerate(old.codes_BC.unbind(1)) if i not in net.starts}
        new = net.entities.sample(old.num_rows, rng, given=given, temperature=temperature, top_p=top_p)
        entities.codes_BC[wrong_N], entities.positions_BP[wrong_N] = new.codes_BC, new.positions_BP
    return entities


def _next_event(
    net: "Journey", going: _Going, last: bool, rng: torch.Generator, temperature: float, top_p: float
) -> tuple[Batch, _Going]:
    """The next event of each history that goes on, and where those stand after it.

    The time of the last one is known. An event after it, or one that a log without such events has no second time, is
    drawn again; after REDRAWS tries it comes with the last one, or the history ends.
    """
    rows, end_us_A = len(going.owner_A), going.time_us_A + going.left_AK[:, 0] if net.timed else going.time_us_A
    codes = torch.zeros(rows, len(net.events.units), dtype=torch.long)
    positions = torch.zeros(rows, sum(place is not None for place in net.events.place_of))
    time_us_A, again_A = end_us_A.clone(), torch.zeros(rows, dtype=torch.bool)
    open_A = torch.arange(rows)
    for _ in range(1 + REDRAWS):
        some = going.kept(open_A)
        given = net.gap_codes(some.time_us_A, end_us_A[open_A]) if last else {}
        drawn, drawn_us = _draw_events(net, some, given, rng, temperature, top_p)
        codes[open_A], positions[open_A] = drawn.codes_BC, drawn.positions_BP
        if not last:
            time_us_A[open_A] = drawn_us
        again_A[open_A] = _again(net, some, drawn)
        open_A = open_A[again_A[open_A] | _off_totals(net, some, drawn, time_us_A[open_A])]
        if not len(open_A):
            break
    events, going = picked(Batch(codes, positions), ~again_A), going.kept(~again_A)
    return events, _after(net, going, events, torch.minimum(time_us_A, end_us_A)[~again_A])


def _after(net: "Journey", going: _Going, events: Batch, time_us_A: torch.Tensor) -> _Going:
    """Where the histories stand when these events have come."""
    aids = {} if net.item is None else {net.item: (going.memory,)}
    items_A, labels_A = net.remembered(events)
    return replace(
        going,
        state_AH=net.cell(net.read_events(events, aids, time_us_A), going.state_AH),
        memory=going.memory.after(items_A, labels_A),
        items_AT=torch.cat([going.items_AT, items_A.unsqueeze(1)], dim=1),
        labels_AT=torch.cat([going.labels_AT, labels_A.unsqueeze(1)], dim=1),
        time_us_A=time_us_A,
        left_A=going.left_A - 1,
        left_AK=_left(net, going, events, time_us_A).clamp_min(0),
    )


def _left(net: "Journey", going: _Going, events: Batch, time_us_A: torch.Tensor) -> torch.Tensor:
    """What is left of the totals after these events [A, K]; below 0 where they take more than there is."""
    items_A, _ = net.remembered(events)
    repeats_A = (going.items_AT == items_A.unsqueeze(1)).any(1)
    place_A = torch.full_like(items_A, going.items_AT.shape[1])
    return going.left_AK - net.totals.spent(events, place_A, time_us_A - going.time_us_A, repeats_A)


def _off_totals(net: "Journey", going: _Going, events: Batch, time_us_A: torch.Tensor) -> torch.Tensor:
    """Whether a history goes beyond its totals, or has too few events left to come to them [A]."""
    left_AK = _left(net, going, events, time_us_A)
    counts_AK = left_AK[:, 1:] if net.timed else left_AK  # without the span
    return (left_AK < 0).any(1) | (counts_AK > going.left_A.unsqueeze(1)).any(1)


def _again(net: "Journey", going: _Going, events: Batch) -> torch.Tensor:
    """Whether the history has the item with this label already, where the log has none twice [A]."""
    if not net.once:
        return torch.zeros_like(going.owner_A, dtype=torch.bool)
    items_A, labels_A = net.remembered(events)
    return ((going.items_AT == items_A.unsqueeze(1)) & (going.labels_AT == labels_A.unsqueeze(1))).any(1)


def _draw_events(
    net: "Journey",
    going: _Going,
    given: dict[int, torch.Tensor],
    rng: torch.Generator,
    temperature: float,
    top_p: float,
) -> tuple[Batch, torch.Tensor]:
    """One event of each history and its time."""
    place_A = torch.full_like(going.left_A, going.items_AT.shape[1])
    told = going.state_AH + net.countdown(place_A, going.left_A, going.left_AK)
    aids = {} if net.item is None else {net.item: (going.memory,)}
    events = net.events.sample(
        len(told), rng, context_BX=told, given=given, aids=aids, temperature=temperature, top_p=top_p
    )
    return events, torch.where(place_A > 0, net.time_us(events, going.time_us_A), going.time_us_A)

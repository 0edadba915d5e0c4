"""Drawing histories from a `Journey`: all of a block together, the next event of each at a time.

Legend: N histories, A of them still going on, H hidden units, M remembered events.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from clickweave.models.histories import Histories, picked
from clickweave.models.journey.state import Carried, Memory
from clickweave.models.protocol import Batch

if TYPE_CHECKING:
    from clickweave.models.journey.network import Journey

REDRAWS = 16  # of an event that would lie beyond the log's window


@dataclass(frozen=True)
class _Going:
    """The histories that are not over: which they are, and all that the next event depends on."""

    owner_A: torch.Tensor
    state_AH: torch.Tensor
    memory: Memory
    time_us_A: torch.Tensor
    place_A: torch.Tensor
    left_A: torch.Tensor
    reached_A: torch.Tensor

    def kept(self, mask_A: torch.Tensor) -> "_Going":
        numbers = {name: value[mask_A] for name, value in vars(self).items() if name != "memory"}
        return replace(self, memory=self.memory.rows(mask_A), **numbers)


@torch.inference_mode()
def sample_histories(net: "Journey", n: int, rng: torch.Generator, temperature: float, top_p: float) -> Histories:
    """See `Journey.sample`."""
    entities = net.entities.sample(n, rng, temperature=temperature, top_p=top_p)
    going = _Going(
        torch.arange(n),
        net.start(entities),
        Carried.zeros(n, net.hidden, net.memory).memory,
        net.start_us(entities),
        torch.zeros(n, dtype=torch.long),
        net.lengths(entities) - 1,
        torch.zeros(n, dtype=torch.bool),
    )
    made: list[tuple[Batch, torch.Tensor, torch.Tensor]] = []
    while len(going.owner_A):
        events, going = _next_event(net, going, entities, rng, temperature, top_p)
        made.append((events, going.owner_A, going.time_us_A))
        going = going.kept(going.left_A >= 0)
    owner_R = torch.cat([owner_A for _, owner_A, _ in made])
    order_R = torch.argsort(owner_R, stable=True)
    codes_RC = torch.cat([batch.codes_BC for batch, _, _ in made])[order_R]
    positions_RP = torch.cat([batch.positions_BP for batch, _, _ in made])[order_R]
    time_us_R = torch.cat([time_us_A for _, _, time_us_A in made])[order_R]
    return Histories(entities, Batch(codes_RC, positions_RP), owner_R[order_R], time_us_R)


def _next_event(
    net: "Journey", going: _Going, entities: Batch, rng: torch.Generator, temperature: float, top_p: float
) -> tuple[Batch, _Going]:
    """The next event of each history that goes on, and where those stand after it.

    An event beyond the log's window is drawn again: the history's length says that there is one inside it. After
    REDRAWS tries the history ends.
    """
    rows = len(going.owner_A)
    codes = torch.zeros(rows, len(net.events.units), dtype=torch.long)
    positions = torch.zeros(rows, sum(place is not None for place in net.events.place_of))
    time_us_A, outside_A = torch.zeros(rows, dtype=torch.long), torch.ones(rows, dtype=torch.bool)
    for _ in range(1 + REDRAWS):
        some = going.kept(outside_A)
        drawn, drawn_us = _draw_events(net, some, rng, temperature, top_p)
        codes[outside_A], positions[outside_A] = drawn.codes_BC, drawn.positions_BP
        time_us_A[outside_A] = drawn_us
        outside_A = time_us_A > net.clock.last_us
        if not outside_A.any():
            break
    events = picked(Batch(codes, positions), ~outside_A)
    going = replace(going, time_us_A=time_us_A).kept(~outside_A)
    aids = {} if net.item is None else {net.item: (going.memory,)}
    read_AH = net.read_events(events, aids, going.time_us_A)
    after = replace(
        going,
        state_AH=net.cell(read_AH, going.state_AH),
        memory=going.memory.after(*net.remembered(events)),
        place_A=going.place_A + 1,
        left_A=going.left_A - 1,
        reached_A=going.reached_A | net.hits(events, picked(entities, going.owner_A)),
    )
    return events, after


def _draw_events(
    net: "Journey", going: _Going, rng: torch.Generator, temperature: float, top_p: float
) -> tuple[Batch, torch.Tensor]:
    """One event of each history and its time."""
    told = going.state_AH + net.progress(going.place_A, going.left_A, going.reached_A)
    aids = {} if net.item is None else {net.item: (going.memory,)}
    events = net.events.sample(len(told), rng, context_BX=told, aids=aids, temperature=temperature, top_p=top_p)
    return events, torch.where(going.place_A > 0, net.time_us(events, going.time_us_A), going.time_us_A)

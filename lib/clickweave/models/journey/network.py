"""The journey generator: whole histories, event by event.

First profile, start, length and totals from one `ColumnNet`; then a GRU (Cho et al. 2014, arXiv 1406.1078) reads each
event and its state is the context of a second `ColumnNet` over the columns of the next event. The state is carried from
one training window to the next, so histories of any length are learnt whole.

Legend: B lanes, L events of a window, R = B * L rows, C event columns, Q entity columns, H hidden units, M memory.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from clickweave.codec.spec import END_CLOCK, SPAN_DAYS, CodecSpec
from clickweave.models.clock import Clock, Countdown
from clickweave.models.columns import Aids, ColumnNet
from clickweave.models.heads import ColumnUnit
from clickweave.models.histories import EVENTS_OF_A_HISTORY, Histories, Windows, picked
from clickweave.models.journey.continuation import Drawing, continue_histories
from clickweave.models.journey.counted import Counted
from clickweave.models.journey.items import NextItem
from clickweave.models.journey.next_event import next_events
from clickweave.models.journey.params import Params
from clickweave.models.journey.sampler import sample_histories
from clickweave.models.journey.slates import SlateLaws
from clickweave.models.journey.state import Carried, Memory
from clickweave.models.journey.times import Times
from clickweave.models.journey.totals import Totals
from clickweave.models.layers import modules
from clickweave.models.protocol import Batch, Losses, Trainable
from clickweave.models.sizes import SIZES, Size

ENTITY_DROPOUT = 0.2


class Journey(Trainable):
    """p(profile, start, length) and p(event | events before it)."""

    def __init__(self, codec: CodecSpec, params: Params, tables: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        size = SIZES[params.size]
        self.hidden, self.memory = size.hidden, params.memory
        about = [column for column in codec.columns if column.level == "entity"]
        events = [column for column in codec.columns if column.level == "event"]
        names = [column.name for column in events]
        self.item = names.index("item_id") if "item_id" in names else None
        self.label = names.index("label") if "label" in names else None
        self.totals, self.once = Totals(codec, about, events), codec.once and self.item is not None
        units: dict[int, ColumnUnit] = {
            index: Counted(events[index], tables, size.hidden, size.embedding, group_V)
            for index, group_V in self.totals.groups(events).items()
        }
        if self.item is not None:
            units[self.item] = NextItem(
                events[self.item],
                tables,
                size.hidden,
                size.embedding,
                num_labels=1 if self.label is None else events[self.label].num_codes,
                memory=params.memory,
                drop=params.pair_dropout,
            )
        small = Size(size.hidden // 4, 1, size.embedding // 4)  # there are far fewer histories than events
        self.entities = ColumnNet(about, tables, small, dropout=ENTITY_DROPOUT)
        self.events = ColumnNet(events, tables, size, context_dim=size.hidden, dropout=params.dropout, units=units)
        self.clock, self.countdown = Clock(codec, size.hidden), Countdown(codec.totals, size.hidden)
        self.read = modules(nn.Linear(size.embedding, size.hidden) for _ in events)
        self.about = modules(nn.Linear(small.embedding, size.hidden) for _ in about)
        self.cell = nn.GRUCell(size.hidden, size.hidden)
        self.skip = nn.Linear(size.hidden, size.hidden, bias=False)  # the event before also counts as it is
        self.times = Times(codec, about, events, params.max_events)
        totals = (*codec.totals, SPAN_DAYS, END_CLOCK)
        self.total_columns = [index for index, column in enumerate(about) if column.name in totals]
        self.slates = None if codec.slates is None else SlateLaws(codec, events)
        self.carried: Carried | None = None

    def training_loss(self, batch: Windows, rng: torch.Generator) -> Losses:
        """-log p of the events and, on first events, of their entity: mean per event in nats."""
        context_RH, aids = self.read_window(batch, rng if self.training else None)
        nats_C = self.events.nll(batch.events, range(len(self.read)), rng, context_RH, aids)
        total = nats_C.sum()
        about_Q = self.entities.nll(batch.others, range(len(self.about)), rng)
        total = total + about_Q.sum() * (batch.place_BL == 0).float().mean()
        return Losses(total, {"events": nats_C.sum().detach(), "histories": about_Q.sum().detach()})

    def sample(self, n: int, rng: torch.Generator, temperature: float = 1.0, top_p: float = 1.0) -> Histories:
        """`n` new histories on the CPU; the same rng state gives the same ones.

        A history ends at its drawn length, at the end of the log's window, or after `max_events` events.
        """
        return sample_histories(self, n, rng, temperature, top_p)

    def continue_histories(
        self, given: Histories, most: int, rng: torch.Generator, temperature: float = 1.0, top_p: float = 1.0
    ) -> Histories:
        """One to `most` further events of each history on the CPU, of which the law of lengths decides.

        What a history holds is read as it is. Its length and totals become those of the longer history, the rest of
        its columns stays. Only new events come out, after the last one and inside the log's window; where the log
        allows no item twice it may be none.
        """
        return continue_histories(self, given, most, Drawing(rng, temperature, top_p))

    def next_events(
        self,
        given: Histories,
        codes: Mapping[int, torch.Tensor],
        rng: torch.Generator,
        temperature: float = 1.0,
        top_p: float = 1.0,
    ) -> Histories:
        """One further event of each history on the CPU, after its last one and inside the log's window.

        Args:
            codes: by index of an event column the codes [N] that the events have; the others are drawn to them.
        """
        return next_events(self, given, codes, Drawing(rng, temperature, top_p))

    def drawn_codes(self, n: int, rng: torch.Generator) -> list[torch.Tensor]:
        """Codes of about `n` drawn events and of their histories, by column in the codec's order."""
        made = self.sample(max(1, n // EVENTS_OF_A_HISTORY), rng)
        return [*made.entities.codes_BC.unbind(1), *made.events.codes_BC.unbind(1)]

    def aids(
        self,
        memory: Memory,
        place_R: torch.Tensor,
        left_R: torch.Tensor,
        left_RK: torch.Tensor,
        hiding: torch.Generator | None = None,
    ) -> Aids:
        """What units of single columns are told beside the state; with `hiding` some co-visited items are hidden."""
        shares = self.totals.log_shares(place_R, left_R, left_RK)
        found: dict[int, tuple[Any, ...]] = {index: (known,) for index, known in shares.items() if index is not None}
        if self.item is not None:
            labels_R = self.totals.open_labels(shares) if self.once else None
            found[self.item] = (memory, shares[None], labels_R, hiding)
        return found

    def begin(self, batch: Windows) -> None:
        """Forgets what was carried where lanes begin anew."""
        if batch.fresh or self.carried is None:
            self.carried = Carried.zeros(len(batch.place_BL), self.hidden, self.memory)

    def read_window(self, batch: Windows, rng: torch.Generator | None = None) -> tuple[torch.Tensor, Aids]:
        """What each event is drawn from [R, H], with what its item is told beside; states are carried on.

        Args:
            rng: hides a share of the items from those that stand near; None for none.
        """
        self.begin(batch)
        came = batch.place_BL.flatten(), batch.left_BL.flatten(), batch.left_BLK.flatten(0, 1)
        aids = self.aids(self._memories(batch), *came, rng)
        return self._contexts(batch, batch.place_BL == 0, aids), aids

    def _contexts(self, batch: Windows, first_BL: torch.Tensor, aids: Aids) -> torch.Tensor:
        """What each event is drawn from [R, H]: the state before it, and how far its history has come."""
        assert self.carried is not None
        lanes, length = first_BL.shape
        read_BLH = self.read_events(batch.events, aids, batch.time_us_BL.flatten()).view(lanes, length, -1)
        starts_BLH = torch.zeros(lanes, length, self.hidden)
        firsts = picked(batch.entities, first_BL.flatten())
        starts_BLH = starts_BLH.masked_scatter(first_BL.unsqueeze(2), self.start(firsts))
        state_BH, before = self.carried.state_BH, []
        for step in range(length):
            state_BH = torch.where(first_BL[:, step, None], starts_BLH[:, step], state_BH)
            before.append(state_BH)
            state_BH = self.cell(read_BLH[:, step], state_BH)
        last_BLH = torch.cat([self.carried.read_BH.unsqueeze(1), read_BLH[:, :-1]], dim=1)
        last_BLH = last_BLH.masked_fill(first_BL.unsqueeze(2), 0.0)
        self.carried = replace(self.carried, state_BH=state_BH.detach(), read_BH=read_BLH[:, -1].detach())
        came = batch.place_BL.flatten(), batch.left_BL.flatten(), batch.left_BLK.flatten(0, 1)
        return self.told(torch.stack(before, dim=1).flatten(0, 1), last_BLH.flatten(0, 1), *came)

    def told(
        self,
        state_RH: torch.Tensor,
        last_RH: torch.Tensor,
        place_R: torch.Tensor,
        left_R: torch.Tensor,
        left_RK: torch.Tensor,
    ) -> torch.Tensor:
        """What the next event is drawn from [R, H]: the state, the event before (zeros before the first), and how far
        the history has come.
        """
        return torch.as_tensor(state_RH + self.skip(last_RH) + self.countdown(place_R, left_R, left_RK))

    def start(self, entities: Batch) -> torch.Tensor:
        """The state before the first event of each entity [n, H]."""
        summed = torch.zeros(entities.num_rows, self.hidden)
        for index, layer in enumerate(self.about):
            summed = summed + layer(self.entities.embed(entities, index))
        return torch.tanh(summed)

    def read_events(self, events: Batch, aids: Aids, time_us_R: torch.Tensor) -> torch.Tensor:
        """What the state is told of each event [R, H]."""
        told = self.clock(time_us_R)
        for index, layer in enumerate(self.read):
            told = told + layer(self.events.embed(events, index, aids.get(index, ())))
        return torch.as_tensor(told)

    def remembered(self, events: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """What the memory keeps of each event: codes of item and label, 0 where the log has none [R]."""
        none_R = torch.zeros(events.num_rows, dtype=torch.long)
        kept = [none_R if column is None else events.codes_BC[:, column] for column in (self.item, self.label)]
        return kept[0], kept[1]

    def _memories(self, batch: Windows) -> Memory:
        """The latest events of the same history before each event [R, M]."""
        assert self.carried is not None
        lanes, length = batch.place_BL.shape
        inside_BLM = torch.arange(self.memory) < batch.place_BL.unsqueeze(2)
        kept, windows = [], []
        before = self.carried.memory.items_BM, self.carried.memory.labels_BM
        for codes_R, before_BM in zip(self.remembered(batch.events), before, strict=True):
            seen = torch.cat([before_BM.flip(1), codes_R.view(lanes, length)], dim=1)
            windows.append((seen.unfold(1, self.memory, 1)[:, :length].flip(2) * inside_BLM).flatten(0, 1))
            kept.append(seen[:, -self.memory :].flip(1))
        self.carried = replace(self.carried, memory=Memory(*kept))
        return Memory(*windows)


def build(codec: CodecSpec, params: Params, tables: Mapping[str, np.ndarray]) -> Journey:
    """A fresh generator; weights from torch's global generator."""
    return Journey(codec, params, tables)

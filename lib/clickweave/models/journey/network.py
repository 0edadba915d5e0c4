"""The journey generator: whole histories, event by event.

First profile, start, length and totals from one `ColumnNet`; then a GRU (Cho et al. 2014, arXiv 1406.1078) reads each event
and its state is the context of a second `ColumnNet` over the columns of the next event. The state is carried from one
training window to the next, so histories of any length are learnt whole.

Legend: B lanes, L events of a window, R = B * L rows, C event columns, Q entity columns, H hidden units, M memory.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from clickweave.codec.spec import (
    END_CLOCK,
    GAP,
    GAP_CLOCK,
    GAP_DAYS,
    LENGTH,
    LONG_GAP_US,
    NULL_CODE,
    SPAN,
    SPAN_DAYS,
    START_CLOCK,
    START_DAY,
    CodecSpec,
)
from clickweave.contracts.tables import DAY_US
from clickweave.models.clock import BinNumbers, Clock, Countdown
from clickweave.models.columns import Aids, ColumnNet
from clickweave.models.histories import EVENTS_OF_A_HISTORY, Histories, Windows, picked
from clickweave.models.journey.continuation import Drawing, continue_histories
from clickweave.models.journey.items import NextItem
from clickweave.models.journey.params import Params
from clickweave.models.journey.sampler import sample_histories
from clickweave.models.journey.slates import SlateLaws
from clickweave.models.journey.state import Carried, Memory
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
        self.hidden, self.memory, self.max_events = size.hidden, params.memory, params.max_events
        about = [column for column in codec.columns if column.level == "entity"]
        events = [column for column in codec.columns if column.level == "event"]
        names = [column.name for column in events]
        self.item = names.index("item_id") if "item_id" in names else None
        self.label = names.index("label") if "label" in names else None
        units = {}
        if self.item is not None:
            column = events[self.item]
            units[self.item] = NextItem(
                column,
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
        known = {column.name: (index, column) for side in (about, events) for index, column in enumerate(side)}
        sides = dict.fromkeys((LENGTH, SPAN, SPAN_DAYS, END_CLOCK, START_DAY, START_CLOCK), about)
        sides |= dict.fromkeys((GAP, GAP_DAYS, GAP_CLOCK), events)
        self.numbers = {name: BinNumbers(side, name) for name, side in sides.items() if name in known}
        self.gap = names.index(GAP) if GAP in names else 0
        self.timed, self.length = SPAN in known, known[LENGTH][0]
        self.span = known[SPAN][0] if SPAN in known else 0
        self.step_us = int(max(known[GAP][1].step, 1)) if GAP in known else 1
        self.least_paces_us = torch.tensor(codec.least_paces_us or (0.0,), dtype=torch.float64)
        totals = (*codec.totals, SPAN_DAYS, END_CLOCK)
        self.total_columns = [index for index, column in enumerate(about) if column.name in totals]
        self.starts = [known[name][0] for name in (START_DAY, START_CLOCK) if name in known]
        self.totals, self.once = Totals(codec, about, events), codec.once and self.item is not None
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

    def drawn_codes(self, n: int, rng: torch.Generator) -> list[torch.Tensor]:
        """Codes of about `n` drawn events and of their histories, by column in the codec's order."""
        made = self.sample(max(1, n // EVENTS_OF_A_HISTORY), rng)
        return [*made.entities.codes_BC.unbind(1), *made.events.codes_BC.unbind(1)]

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
        aids = {} if self.item is None else {self.item: (self._memories(batch), rng)}
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
        self.carried = replace(self.carried, state_BH=state_BH.detach())
        came = batch.place_BL.flatten(), batch.left_BL.flatten(), batch.left_BLK.flatten(0, 1)
        return torch.stack(before, dim=1).flatten(0, 1) + self.countdown(*came)

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

    def lengths(self, entities: Batch) -> torch.Tensor:
        """Events of each history, from 1 to `max_events` [n]."""
        return self.numbers[LENGTH](entities).long().clamp(1, self.max_events)

    def start_us(self, entities: Batch) -> torch.Tensor:
        """Time of each first event, in microseconds since 1970 [n]; 0 for logs without time."""
        if START_DAY not in self.numbers:
            return torch.zeros(entities.num_rows, dtype=torch.long)
        clock_us = self.numbers[START_CLOCK](entities).round().long()
        return self.numbers[START_DAY](entities).long() * DAY_US + clock_us

    def spans_us(self, entities: Batch) -> torch.Tensor:
        """Microseconds from the first event to the last [n]; below 0 where the drawn columns contradict each other."""
        if SPAN not in self.numbers:
            return torch.zeros(entities.num_rows, dtype=torch.long)
        start_us, end_us = (self.numbers[name](entities).round().long() for name in (START_CLOCK, END_CLOCK))
        long_us = self.numbers[SPAN_DAYS](entities).long() * DAY_US + end_us - start_us
        long_us = torch.where(long_us < LONG_GAP_US, -1, long_us)
        short = entities.codes_BC[:, self.span] != NULL_CODE
        return torch.where(short, self.numbers[SPAN](entities).round().long(), long_us)

    def least_spans_us(self, lengths_N: torch.Tensor) -> torch.Tensor:
        """The shortest time that the log's histories of about this size take for so many events [n]."""
        sizes_N = (lengths_N.clamp_min(1).double().log2() / 2).long().clamp_max(len(self.least_paces_us) - 1)
        return (self.least_paces_us[sizes_N] * (lengths_N - 1).clamp_min(0)).long()

    def time_us(self, events: Batch, before_us_R: torch.Tensor) -> torch.Tensor:
        """Time of each event, given that of the one before [R]; a return after long keeps day and clock apart."""
        if GAP not in self.numbers:
            return before_us_R
        midnight_us_R = before_us_R - before_us_R % DAY_US + self.numbers[GAP_DAYS](events).long() * DAY_US
        return_us_R = midnight_us_R + self.numbers[GAP_CLOCK](events).round().long()
        short_R = events.codes_BC[:, self.gap] != NULL_CODE
        soon_us_R = before_us_R + self.numbers[GAP](events).round().long()
        return torch.maximum(torch.where(short_R, soon_us_R, return_us_R), before_us_R)

    def gap_codes(self, before_us_R: torch.Tensor, after_us_R: torch.Tensor) -> dict[int, torch.Tensor]:
        """By event column the codes of the gap between these times [R]."""
        gap_us_R = after_us_R - before_us_R
        days_R = (after_us_R - after_us_R % DAY_US - before_us_R + before_us_R % DAY_US) // DAY_US
        long_R = gap_us_R >= LONG_GAP_US
        values = {GAP: (gap_us_R, ~long_R), GAP_DAYS: (days_R, long_R), GAP_CLOCK: (after_us_R % DAY_US, long_R)}
        return {
            self.gap + number: torch.where(known_R, self.numbers[name].codes(value_R), NULL_CODE)
            for number, (name, (value_R, known_R)) in enumerate(values.items())
        }

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

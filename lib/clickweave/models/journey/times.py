"""What the columns of a history say in events and microseconds, and back.

Legend: N histories, R events.
"""

from collections.abc import Sequence

import torch

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
    ColumnSpec,
)
from clickweave.contracts.tables import DAY_US
from clickweave.models.clock import BinNumbers
from clickweave.models.protocol import Batch


class Times:
    """Lengths and times of histories of one codec.

    Attributes:
        timed: whether the log has times.
        length, span, gap: indices of these columns; 0 where there is none.
        starts: indices of the columns of the start.
        step_us: what gaps are multiples of.
    """

    def __init__(
        self, codec: CodecSpec, about: Sequence[ColumnSpec], events: Sequence[ColumnSpec], max_events: int
    ) -> None:
        self.max_events = max_events
        known = {column.name: (index, column) for side in (about, events) for index, column in enumerate(side)}
        sides = dict.fromkeys((LENGTH, SPAN, SPAN_DAYS, END_CLOCK, START_DAY, START_CLOCK), about)
        sides |= dict.fromkeys((GAP, GAP_DAYS, GAP_CLOCK), events)
        self.numbers = {name: BinNumbers(side, name) for name, side in sides.items() if name in known}
        self.gap = known[GAP][0] if GAP in known else 0
        self.timed, self.length = SPAN in known, known[LENGTH][0]
        self.span = known[SPAN][0] if SPAN in known else 0
        self.step_us = int(max(known[GAP][1].step, 1)) if GAP in known else 1
        self.least_paces_us = torch.tensor(codec.least_paces_us or (0.0,), dtype=torch.float64)
        self.starts = [known[name][0] for name in (START_DAY, START_CLOCK) if name in known]

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

    def least_us(self, lengths_N: torch.Tensor, gaps_N: torch.Tensor) -> torch.Tensor:
        """The shortest time that the log's histories of about this size take for so many gaps, in whole steps [n]."""
        sizes_N = (lengths_N.clamp_min(1).double().log2() / 2).long().clamp_max(len(self.least_paces_us) - 1)
        return (self.least_paces_us[sizes_N] * gaps_N).long() // self.step_us * self.step_us

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

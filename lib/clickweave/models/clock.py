"""What time it is and how far a history has come: inputs of a network, and numbers out of codes.

Legend: R events, H hidden units.
"""

from collections.abc import Sequence

import torch
from torch import nn

from clickweave.codec.spec import CodecSpec, ColumnSpec
from clickweave.contracts.tables import DAY_US, HOUR_US
from clickweave.models.protocol import Batch

WINDOW_PARTS = 64  # equal parts of the log's time window
LENGTHS = 32  # steps of a scale by powers of the square root of two, for events so far and to come


class Clock(nn.Module):
    """Hour, weekday and part of the log's window of an event."""

    def __init__(self, codec: CodecSpec, hidden: int) -> None:
        super().__init__()
        self.first_us, self.last_us = codec.window_us
        self.hour, self.weekday = nn.Embedding(24, hidden), nn.Embedding(7, hidden)
        self.part = nn.Embedding(WINDOW_PARTS, hidden)
        for table in (self.hour, self.weekday, self.part):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, time_us_R: torch.Tensor) -> torch.Tensor:
        """[R, H]."""
        part_R = (time_us_R - self.first_us).double() / max(self.last_us - self.first_us, 1) * WINDOW_PARTS
        hour = self.hour(time_us_R.div(HOUR_US, rounding_mode="floor") % 24)
        weekday = self.weekday((time_us_R.div(DAY_US, rounding_mode="floor") + 3) % 7)  # day 0 was a Thursday
        return torch.as_tensor(hour + weekday + self.part(part_R.long().clamp(0, WINDOW_PARTS - 1)))


class Progress(nn.Module):
    """How far a history has come when its next event is drawn: events so far, events to come after it, and whether
    it came to its strongest label.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.so_far, self.to_come = nn.Embedding(LENGTHS, hidden), nn.Embedding(2 * LENGTHS, hidden)
        for table in (self.so_far, self.to_come):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, place_R: torch.Tensor, left_R: torch.Tensor, reached_R: torch.Tensor) -> torch.Tensor:
        """[R, H]."""
        return torch.as_tensor(self.so_far(_scale(place_R)) + self.to_come(2 * _scale(left_R) + reached_R.long()))


class BinNumbers:
    """Codes and positions of one column of bins, out of batches of `columns`, back to its numbers."""

    def __init__(self, columns: Sequence[ColumnSpec], name: str) -> None:
        self._index = [column.name for column in columns].index(name)
        column = columns[self._index]
        before = sum(other.has_position for other in columns[: self._index])
        self._place, self._step = before if column.has_position else None, column.step
        self._lows_V = torch.tensor([0.0, *column.lows], dtype=torch.float64)  # a null counts as 0
        self._highs_V = torch.tensor([0.0, *column.highs], dtype=torch.float64)

    def __call__(self, batch: Batch) -> torch.Tensor:
        """float64 [B], in the column's unit."""
        codes_B = batch.codes_BC[:, self._index]
        lows_B, highs_B = self._lows_V[codes_B], self._highs_V[codes_B]
        inside_B = torch.full_like(lows_B, 0.5) if self._place is None else batch.positions_BP[:, self._place].double()
        if self._step == 0:
            return lows_B + inside_B * (highs_B - lows_B)
        steps_B = torch.floor(inside_B * (highs_B - lows_B + self._step) / self._step)
        return torch.minimum(lows_B + steps_B * self._step, highs_B)


def _scale(numbers_R: torch.Tensor) -> torch.Tensor:
    return (numbers_R + 1).double().log2().mul(2).round().long().clamp(0, LENGTHS - 1)

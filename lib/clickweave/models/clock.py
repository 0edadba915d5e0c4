"""What time it is and how far a history has come: inputs of a network, and numbers out of codes.

Legend: R events, H hidden units.
"""

from collections.abc import Sequence

import torch
from torch import nn

from clickweave.codec.spec import FIRST_BIN, NULL_CODE, RETURNS, SPAN, CodecSpec, ColumnSpec
from clickweave.contracts.tables import DAY_US, HOUR_US
from clickweave.models.layers import modules
from clickweave.models.protocol import Batch

WINDOW_PARTS = 64  # equal parts of the log's time window
LEVELS = 96  # of a scale by powers of the square root of two: events, and microseconds of up to eight years
SHARES = 16  # equal parts of a share


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


class Countdown(nn.Module):
    """How far a history has come when its next event is drawn: events so far, events to come after it, and what is
    left of each total: as a whole, for each event that is left and, of the span, for each return that is left.

    Args:
        totals: names of the totals, as the codec has them.
    """

    def __init__(self, totals: Sequence[str], hidden: int) -> None:
        super().__init__()
        self.so_far, self.to_come = Levels(LEVELS, hidden), Levels(LEVELS, hidden)
        self.span = totals.index(SPAN) if SPAN in totals else None
        self.returns = totals.index(RETURNS) if RETURNS in totals else None
        self.left = modules(Levels(LEVELS, hidden) for _ in totals)
        self.per_event = modules(Levels(LEVELS if name == SPAN else SHARES + 1, hidden) for name in totals)
        self.per_return = Levels(LEVELS, hidden)

    def forward(self, place_R: torch.Tensor, left_R: torch.Tensor, left_RK: torch.Tensor) -> torch.Tensor:
        """[R, H]; `left_RK` holds microseconds of the span, events of the other totals."""
        told_RH = self.so_far(_scale(place_R)) + self.to_come(_scale(left_R))
        for number, (left, per_event) in enumerate(zip(self.left, self.per_event, strict=True)):
            each_R = left_RK[:, number] / (left_R + 1)
            each_R = _scale(each_R) if number == self.span else each_R.clamp(max=1.0) * SHARES
            told_RH = told_RH + left(_scale(left_RK[:, number])) + per_event(each_R)
        if self.span is not None and self.returns is not None:
            told_RH = told_RH + self.per_return(_scale(left_RK[:, self.span] / (left_RK[:, self.returns] + 1)))
        return torch.as_tensor(told_RH)


class Levels(nn.Module):
    """A number as learnt numbers of the two whole levels around it, weighted by nearness."""

    def __init__(self, num_levels: int, hidden: int) -> None:
        super().__init__()
        self.table = nn.Embedding(num_levels, hidden)
        nn.init.normal_(self.table.weight, std=0.1)

    def forward(self, numbers_R: torch.Tensor) -> torch.Tensor:
        """[R, H] of numbers from 0; those beyond the last level count as it."""
        last = self.table.num_embeddings - 1
        numbers_R = numbers_R.clamp(0, last)
        low_R = numbers_R.long().clamp_max(last - 1)
        above_R1 = (numbers_R - low_R).float().unsqueeze(1)
        return torch.as_tensor(self.table(low_R) * (1 - above_R1) + self.table(low_R + 1) * above_R1)


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

    def put(self, batch: Batch, numbers_B: torch.Tensor, known_B: torch.Tensor | None = None) -> Batch:
        """The batch with these numbers in this column, or those nearest to them; null where they are not known."""
        codes_B = self.codes(numbers_B)
        lows_B, highs_B = self._lows_V[codes_B], self._highs_V[codes_B]
        width_B = highs_B - lows_B + self._step
        above_B = numbers_B.double().clamp(lows_B, highs_B) - lows_B + self._step / 2
        inside_B = torch.where(width_B > 0, above_B / width_B.clamp_min(1e-12), 0.5)
        if known_B is not None:
            codes_B = torch.where(known_B, codes_B, NULL_CODE)
            inside_B = torch.where(known_B, inside_B, 0.5)
        codes_BC, positions_BP = batch.codes_BC.clone(), batch.positions_BP.clone()
        codes_BC[:, self._index] = codes_B
        if self._place is not None:
            positions_BP[:, self._place] = inside_B.float()
        return Batch(codes_BC, positions_BP)

    def codes(self, numbers_B: torch.Tensor) -> torch.Tensor:
        """The code of each number [B]: of its bin, or of the nearest below; null where the column has no bins."""
        lows_V = self._lows_V[FIRST_BIN:].contiguous()
        if not len(lows_V):
            return torch.full(numbers_B.shape, NULL_CODE)
        place_B = torch.searchsorted(lows_V, numbers_B.double(), right=True) - 1
        return FIRST_BIN + place_B.clamp(0, len(lows_V) - 1)


def _scale(numbers_R: torch.Tensor) -> torch.Tensor:
    return (numbers_R + 1).double().log2() * 2

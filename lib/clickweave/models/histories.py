"""Histories as training windows.

Legend: B lanes, L events of a window, R = B * L rows (lane by lane), C event columns, Q entity columns, P positions,
K totals.
"""

from dataclasses import dataclass

import torch

from clickweave.models.protocol import Batch

EVENTS_OF_A_HISTORY = 8  # so many times fewer histories are drawn where a number of rows is asked for


@dataclass(frozen=True)
class Windows:
    """L events of each of B lanes; a lane is histories one after another, and goes on in the next window.

    Attributes:
        events: the event columns, [R, C] and [R, P].
        entities: the entity columns of each event's history, [R, Q] and [R, P].
        others: the entity columns of some histories drawn at random, whether or not they begin here.
        place_BL: number of the event in its history, from 0.
        left_BL: events of the history that are still to come.
        left_BLK: what is left of each total before the event: microseconds of the span, events of the others.
        time_us_BL: microseconds since 1970; 0 without event_time.
        fresh: whether the lanes begin anew here; else they go on where the window before ended.
    """

    events: Batch
    entities: Batch
    others: Batch
    place_BL: torch.Tensor
    left_BL: torch.Tensor
    left_BLK: torch.Tensor
    time_us_BL: torch.Tensor
    fresh: bool

    @property
    def num_rows(self) -> int:
        """Events of the window."""
        return self.place_BL.numel()


@dataclass(frozen=True)
class Histories:
    """Generated histories.

    Attributes:
        entities: one row per history.
        events: one row per event, history after history, each in order of time.
        owner_R: number of the event's history, ascending.
        time_us_R: microseconds since 1970; 0 for logs without time.
    """

    entities: Batch
    events: Batch
    owner_R: torch.Tensor
    time_us_R: torch.Tensor


def rows_of(batch: Batch, rows_N: torch.Tensor) -> Batch:
    """These rows in this order."""
    return Batch(batch.codes_BC[rows_N], batch.positions_BP[rows_N])


def picked(batch: Batch, mask_B: torch.Tensor) -> Batch:
    """The rows where the mask is true."""
    return Batch(batch.codes_BC[mask_B], batch.positions_BP[mask_B])

"""What a history begins with: its length, profile, totals and start, in agreement with each other.

Legend: N histories.
"""

from typing import TYPE_CHECKING

import torch

from clickweave.codec.spec import LONG_GAP_US
from clickweave.models.histories import picked
from clickweave.models.protocol import Batch

if TYPE_CHECKING:
    from clickweave.models.journey.network import Journey

REDRAWS = 16  # of a history or an event that the log's laws do not allow


def draw_entities(net: "Journey", n: int, rng: torch.Generator, temperature: float, top_p: float) -> Batch:
    """The columns of the histories.

    Where the parts of time contradict each other all but the length is drawn again, where the last event would lie
    beyond the log's window the start.
    """
    entities = net.entities.sample(n, rng, temperature=temperature, top_p=top_p)
    but_start = [index for index in range(entities.codes_BC.shape[1]) if index not in net.times.starts]
    for _ in range(REDRAWS if net.times.timed else 0):
        spans_us_N = net.times.spans_us(entities)
        lengths_N = net.times.lengths(entities)
        pace_us_N = net.times.least_us(lengths_N, lengths_N - 1)
        returns_us_N = net.totals.returns(entities) * LONG_GAP_US
        wrong_N = spans_us_N < pace_us_N.maximum(returns_us_N)  # a contradiction has a span below 0
        late_N = ~wrong_N & (net.times.start_us(entities) + spans_us_N > net.clock.last_us)
        for mask_N, kept in ((wrong_N, [net.times.length]), (late_N, but_start)):
            if mask_N.any():
                old = picked(entities, mask_N)
                given = {index: old.codes_BC[:, index] for index in kept}
                new = net.entities.sample(old.num_rows, rng, given=given, temperature=temperature, top_p=top_p)
                entities.codes_BC[mask_N], entities.positions_BP[mask_N] = new.codes_BC, new.positions_BP
    return entities

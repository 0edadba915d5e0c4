"""One further event of histories that there are, of which some columns are given.

Legend: N histories.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from clickweave.models.histories import Histories, rows_of
from clickweave.models.journey.continuation import Drawing, chunks_of, joined, standing, taken
from clickweave.models.journey.sampler import sampled

if TYPE_CHECKING:
    from clickweave.models.journey.network import Journey


@torch.inference_mode()
def next_events(net: "Journey", given: Histories, codes: Mapping[int, torch.Tensor], how: Drawing) -> Histories:
    """See `Journey.next_events`."""
    lengths_N = torch.bincount(given.owner_R, minlength=given.entities.num_rows)
    chunks = chunks_of(lengths_N)
    parts = [
        _next_events(net, taken(given, picked_N, lengths_N), {i: c[picked_N] for i, c in codes.items()}, how)
        for picked_N in chunks
    ]
    order_N = torch.argsort(torch.cat(chunks))
    return Histories(
        rows_of(joined([part.entities for part in parts]), order_N),
        rows_of(joined([part.events for part in parts]), order_N),
        torch.arange(len(order_N)),
        torch.cat([part.time_us_R for part in parts])[order_N],
    )


def _next_events(net: "Journey", given: Histories, codes: Mapping[int, torch.Tensor], how: Drawing) -> Histories:
    """One chunk. The event is the last of its history: it comes when the span that was drawn is over."""
    one_N = torch.ones(given.entities.num_rows, dtype=torch.long)
    entities, going = standing(net, given, one_N, how)
    end_us_N = going.time_us_A + going.left_AK[:, 0] if net.times.timed else going.time_us_A
    known = {**net.times.gap_codes(going.time_us_A, end_us_N), **codes} if net.times.timed else dict(codes)
    events = sampled(net, going, known, how.rng, how.temperature, how.top_p)
    if net.slates is not None:
        net.slates.begin_anew(events, torch.ones_like(one_N, dtype=torch.bool))
    return Histories(entities, events, torch.arange(len(one_N)), end_us_N)

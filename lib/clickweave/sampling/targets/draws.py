"""Drawing the events of one block to given codes: rows by themselves, or one further event of real histories.

Legend: N events of the block, G given columns, R rows of histories.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from clickweave.codec.decode import ENTITY_PLACE
from clickweave.codec.spec import PLACE, CodecSpec
from clickweave.config.stages import SampleConfig
from clickweave.frames.align.continued import CONTINUES
from clickweave.models.histories import Histories
from clickweave.models.journey.continuation import taken
from clickweave.models.journey.network import Journey
from clickweave.models.protocol import Batch, Generator
from clickweave.sampling.continuation import histories_of

AS_ITEM = "as_item"
ROW_PLACE = "place"


@dataclass(frozen=True)
class Draws:
    """The events of one block.

    Attributes:
        codes_NG: what they are drawn to.
        fixed: by column of the result its value for each event, whatever is drawn.
        draw: these events [n], drawn once to given codes by index of a column [n], in this order.
    """

    codes_NG: np.ndarray
    fixed: dict[str, pa.Array]
    draw: Callable[[torch.Tensor, Mapping[int, torch.Tensor]], Any]


def of_rows(generator: Generator, block: pa.Table, rng: torch.Generator, config: SampleConfig) -> Draws:
    """Rows of a generator of rows; one row of the block each."""

    def draw(open_N: torch.Tensor, given: Mapping[int, torch.Tensor]) -> Batch:
        return generator.sample(len(open_N), rng, config.temperature, config.top_p, given)

    fixed = {AS_ITEM: block.column(AS_ITEM), ROW_PLACE: pa.array(np.arange(block.num_rows))}
    return Draws(_codes(block), fixed, draw)


def of_histories(
    generator: Journey, codec: CodecSpec, block: pa.Table, rng: torch.Generator, config: SampleConfig
) -> Draws:
    """Next events of real histories; a history's rows follow one another in the block."""
    histories = histories_of(block, codec)
    lengths_N = torch.bincount(histories.owner_R)

    def draw(open_N: torch.Tensor, given: Mapping[int, torch.Tensor]) -> Histories:
        some = taken(histories, open_N, lengths_N)
        return generator.next_events(some, given, rng, config.temperature, config.top_p)

    firsts = block.take(pa.array(np.flatnonzero(block.column(PLACE).to_numpy() == 0)))
    fixed = {name: firsts.column(name) for name in (AS_ITEM, CONTINUES)}
    fixed |= {PLACE: pa.array(lengths_N.numpy(), pa.int32()), ENTITY_PLACE: pa.array(np.arange(firsts.num_rows))}
    return Draws(_codes(firsts), fixed, draw)


def _codes(rows: pa.Table) -> np.ndarray:
    """The given codes [N, G]."""
    flat = rows.column("codes").combine_chunks().flatten().to_numpy()
    return np.asarray(flat, np.int64).reshape(rows.num_rows, -1)

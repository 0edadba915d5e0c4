"""Drawing the events of one block to given codes: rows by themselves, or one further event of real histories.

Legend: N events of the block, G given columns, R rows of histories.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import pyarrow as pa
import torch

from clickweave.codec.decode import ENTITY_PLACE
from clickweave.codec.spec import PLACE, CodecSpec
from clickweave.config.stages import SampleConfig
from clickweave.frames.align.continued import CONTINUES
from clickweave.models.journey.continuation import taken
from clickweave.models.journey.network import Journey
from clickweave.models.protocol import Generator
from clickweave.sampling.blocks import Decode
from clickweave.sampling.continuation import histories_of

AS_ITEM = "as_item"
ROW_PLACE = "place"


class Draws(Protocol):
    """The events of one block.

    Attributes:
        codes_NG: what they are drawn to.
        fixed: by column of the result its value for each event, whatever is drawn.
    """

    codes_NG: np.ndarray
    fixed: dict[str, pa.Array]

    def rows(
        self,
        open_N: torch.Tensor,
        given: Mapping[int, torch.Tensor],
        rng: torch.Generator,
        numbers: np.random.Generator,
        config: SampleConfig,
    ) -> pa.RecordBatch:
        """These events, drawn once and decoded, in this order."""


class RowDraws:
    """Rows of a generator of rows; one row of the block each."""

    def __init__(self, generator: Generator, decode: Decode, block: pa.Table) -> None:
        self._generator, self._decode = generator, decode
        self.codes_NG = _codes(block)
        self.fixed = {AS_ITEM: block.column(AS_ITEM), ROW_PLACE: pa.array(np.arange(block.num_rows))}

    def rows(
        self,
        open_N: torch.Tensor,
        given: Mapping[int, torch.Tensor],
        rng: torch.Generator,
        numbers: np.random.Generator,
        config: SampleConfig,
    ) -> pa.RecordBatch:
        drawn = self._generator.sample(len(open_N), rng, config.temperature, config.top_p, given)
        return self._decode(drawn, numbers)


class HistoryDraws:
    """Next events of real histories; a history's rows follow one another in the block."""

    def __init__(self, generator: Journey, decode: Decode, codec: CodecSpec, block: pa.Table) -> None:
        self._generator, self._decode = generator, decode
        self._histories = histories_of(block, codec)
        self._lengths_N = torch.bincount(self._histories.owner_R)
        firsts = block.take(pa.array(np.flatnonzero(block.column(PLACE).to_numpy() == 0)))
        self.codes_NG = _codes(firsts)
        self.fixed = {
            AS_ITEM: firsts.column(AS_ITEM),
            CONTINUES: firsts.column(CONTINUES),
            PLACE: pa.array(self._lengths_N.numpy(), pa.int32()),
            ENTITY_PLACE: pa.array(np.arange(firsts.num_rows)),
        }

    def rows(
        self,
        open_N: torch.Tensor,
        given: Mapping[int, torch.Tensor],
        rng: torch.Generator,
        numbers: np.random.Generator,
        config: SampleConfig,
    ) -> pa.RecordBatch:
        some = taken(self._histories, open_N, self._lengths_N)
        drawn = self._generator.next_events(some, given, rng, config.temperature, config.top_p)
        return self._decode(drawn, numbers)


def _codes(rows: pa.Table) -> np.ndarray:
    """The given codes [N, G]."""
    flat = rows.column("codes").combine_chunks().flatten().to_numpy()
    return np.asarray(flat, np.int64).reshape(rows.num_rows, -1)

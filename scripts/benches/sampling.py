"""Row generators over a made-up codec, drawn from as the sample stage does and the plain way."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch

from clickweave.codec.decode import Decoder
from clickweave.codec.spec import CodecSpec
from clickweave.config.stages import SampleConfig
from clickweave.models import registry
from clickweave.models.columns import ColumnNet, freeze
from clickweave.models.protocol import Batch, Generator
from clickweave.training.seeds import rng_of

ROWS = SampleConfig().block_rows


def turns_of(folder: Path, name: str, turns: int) -> list[dict[str, float]]:
    """Rows per second of CPU time, turn by turn, of one block: `plain`, `sample`, and `decoded` with its decoding.

    The first turn, which warms up, is left out.
    """
    torch.set_num_threads(1)
    codec = CodecSpec.from_json((folder / "codec.json").read_text())
    tables = safetensors.numpy.load((folder / "tables.safetensors").read_bytes())
    plain, ready = (_generator(name, codec, tables) for _ in range(2))
    plain.net.sample = lambda *args, **how: sample_plainly(plain.net, *args, **how)  # type: ignore[assignment, union-attr]
    freeze(ready)
    decode = Decoder(codec)

    def decoded(turn: int) -> None:
        drawn = ready.sample(ROWS, rng_of(turn, "bench"))
        decode(drawn.codes_BC.numpy(), drawn.positions_BP.numpy(), np.random.default_rng(turn))

    ways: dict[str, Callable[[int], Any]] = {
        "plain": lambda turn: plain.sample(ROWS, rng_of(turn, "bench")),
        "sample": lambda turn: ready.sample(ROWS, rng_of(turn, "bench")),
        "decoded": decoded,
    }
    with torch.inference_mode():
        return [{way: _rows_per_s(work, turn) for way, work in ways.items()} for turn in range(turns + 1)][1:]


def sample_plainly(
    net: ColumnNet,
    rows: int,
    rng: torch.Generator,
    *,
    context_BX: torch.Tensor | None = None,
    given: Mapping[int, torch.Tensor] | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
) -> Batch:
    """`ColumnNet.sample` without anything that saves time: for each column one pass of all rows."""
    known, codes, positions = given or {}, {}, {}
    summed = net.started(context_BX)
    for index in [*known, *[index for index in range(len(net.units)) if index not in known]]:
        unit, hidden = net.units[index], net.hidden_of(summed, index)
        if index in known:
            codes[index] = known[index]
            places = None if unit.places is None else unit.places.draw(hidden, known[index], rng)
        else:
            codes[index], places = unit.draw(hidden, rows, rng, temperature, top_p)
        if places is not None:
            positions[index] = places
        summed = net.read(summed, index, codes[index], places)
    return Batch(
        torch.stack([codes[index] for index in sorted(codes)], 1),
        torch.stack([positions[index] for index in sorted(positions)], 1),
    )


def _generator(name: str, codec: CodecSpec, tables: Mapping[str, np.ndarray]) -> Generator:
    torch.manual_seed(0)
    made: Generator = registry.build(name, codec, registry.params(name)(), tables)
    return made.train(False)


def _rows_per_s(work: Callable[[int], Any], turn: int) -> float:
    started = time.process_time()
    work(turn)
    return ROWS / (time.process_time() - started)

"""A small log of histories as a codec, an untrained generator of it, and random training windows."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from clickweave.codec.spec import BINS, ENTITY, FIRST_BIN, FIRST_VALUE, VALUES, CodecSpec, ColumnSpec
from clickweave.contracts.tables import DAY_US, HOUR_US
from clickweave.models.histories import Windows
from clickweave.models.journey.params import Params
from clickweave.models.protocol import Batch
from clickweave.models.registry import build

FIRST_US, LAST_US = 100 * DAY_US, 110 * DAY_US
ITEMS, LABELS = tuple(f"i{number}" for number in range(30)), ("1", "2")


def bins(name, *edges, counts=None, level=ENTITY, step=1.0, **more):
    """A column of bins from edge to edge, `step` apart."""
    lows, highs = edges[:-1], tuple(edge - step for edge in edges[1:])
    return ColumnSpec(
        name, BINS, "long", lows=lows, highs=highs, step=step, level=level, counts=counts or (10,) * len(lows), **more
    )


def values(name, *names, counts, **more):
    return ColumnSpec(name, VALUES, "string", values=names, counts=counts, **more)


CODEC = CodecSpec(
    (
        bins("length", 1.0, 2.0, 5.0, 10.0, counts=(2, 5, 3)),
        bins("span", 0.0, 60e6, 3600e6, step=1e6, counts=(3, 4), num_null=3),
        bins("span_days", 1.0, 2.0, 3.0, counts=(2, 1), num_null=7),
        bins("end_clock", 0.0, float(DAY_US), step=1e6, counts=(3,), num_null=7),
        bins("returns", 0.0, 1.0, 2.0, counts=(7, 3)),
        bins("repeats", 0.0, 1.0, 2.0, 3.0, counts=(5, 3, 2)),
        bins("events_of_label_2", 0.0, 1.0, 2.0, 3.0, counts=(5, 3, 2)),
        bins("start_day", 100.0, 101.0, 102.0),
        bins("start_clock", 0.0, float(DAY_US)),
        bins("gap", 0.0, 60e6, 3600e6, step=1e6, level="event", counts=(30, 10), num_null=5),
        bins("gap_days", 1.0, 2.0, 3.0, level="event", counts=(3, 2), num_null=40),
        bins("gap_clock", 0.0, float(DAY_US), step=1e6, level="event", counts=(5,), num_null=40),
        values("item_id", *ITEMS, counts=tuple(range(45, 15, -1))),
        values("label", *LABELS, counts=(35, 10)),
    ),
    45,
    "test",
    grain=ENTITY,
    window_us=(FIRST_US, LAST_US),
)
TIMES = {"span", "span_days", "end_clock", "returns", "start_day", "start_clock", "gap", "gap_days", "gap_clock"}
QUERY = values("query", "x", "y", counts=(30, 15))
NEIGHBOURS = np.zeros((len(ITEMS) + FIRST_VALUE, 2), np.int32)
NEIGHBOURS[2] = (3, 4)
NEIGHBOURS[3] = (2, 0)
TABLES = {"item_id.neighbours": NEIGHBOURS, "item_id.neighbour_users": (NEIGHBOURS > 0).astype(np.float32) * 3}


def without(*names):
    """The log without these columns, but with a query."""
    return replace(CODEC, columns=(*(column for column in CODEC.columns if column.name not in names), QUERY))


def with_column(column, **more):
    """The log with another column of this name."""
    columns = tuple(column if column.name == other.name else other for other in CODEC.columns)
    return replace(CODEC, columns=columns, **more)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def fresh(codec=CODEC, noise=0.01):
    """An untrained generator that draws nearly as the codec counts, with no weight at zero."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = build("journey", codec, Params(memory=5, dropout=0.0, pair_dropout=0.0), TABLES)
        for parameter in net.parameters():
            parameter.data.add_(torch.randn_like(parameter) * noise)  # as training leaves them
    net.train(False)
    return net


def windows_of(lengths, lanes, per_window, seed=0, codec=CODEC):
    """Random histories of these lengths on one stream, cut into lanes and windows."""
    rows, draws = sum(lengths), rng(seed)
    place = torch.cat([torch.arange(n) for n in lengths])
    left = torch.cat([n - 1 - torch.arange(n) for n in lengths])
    owner = torch.cat([torch.full((n,), number) for number, n in enumerate(lengths)])
    batches = {}
    for level in ("event", "entity"):
        columns = codec.at_level(level)
        least = [FIRST_BIN if column.kind == BINS else FIRST_VALUE for column in columns]
        codes = [
            torch.randint(low, c.num_codes, (rows,), generator=draws) for low, c in zip(least, columns, strict=True)
        ]
        places = torch.rand(rows, sum(column.has_position for column in columns), generator=draws)
        batches[level] = Batch(torch.stack(codes, dim=1), places)
    about = batches["entity"]
    batches["entity"] = Batch(about.codes_BC[owner], about.positions_BP[owner])
    left_totals = torch.randint(0, HOUR_US, (rows, len(codec.totals)), generator=draws)
    time_us = FIRST_US + place * HOUR_US
    stream = torch.arange(rows).view(lanes, -1)
    for start in range(0, stream.shape[1], per_window):
        picked = stream[:, start : start + per_window]
        flat = picked.flatten()
        events, entities = (Batch(b.codes_BC[flat], b.positions_BP[flat]) for b in batches.values())
        numbers = place[picked], left[picked], left_totals[picked], time_us[picked]
        yield Windows(events, entities, entities, *numbers, start == 0)


@pytest.fixture(scope="session")
def log():
    """The log and the functions above, for tests."""
    return SimpleNamespace(
        codec=CODEC,
        times=TIMES,
        last_us=LAST_US,
        rng=rng,
        fresh=fresh,
        bins=bins,
        values=values,
        without=without,
        with_column=with_column,
        windows_of=windows_of,
    )


@pytest.fixture
def net():
    return fresh()

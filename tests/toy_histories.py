"""A codec of histories with all kinds of totals, and random histories that agree with it."""

import torch

from clickweave.codec.spec import (
    BINS,
    ENTITY,
    FIRST_BIN,
    FIRST_VALUE,
    LONG_GAP_US,
    NULL_CODE,
    VALUES,
    CodecSpec,
    ColumnSpec,
)
from clickweave.contracts.tables import DAY_US, HOUR_US
from clickweave.models.clock import BinNumbers
from clickweave.models.histories import Histories
from clickweave.models.protocol import Batch

FIRST_US, LAST_US = 100 * DAY_US, 110 * DAY_US
STEP_US = 1_000_000
ITEMS = tuple("abcdefgh")


def whole(name, most, level=ENTITY):
    """A column of the whole numbers from 0."""
    numbers = tuple(float(n) for n in range(most + 1))
    return ColumnSpec(
        name, BINS, "long", lows=numbers, highs=numbers, step=1.0, level=level, counts=(1,) * len(numbers)
    )


def wide(name, last, level=ENTITY, step=STEP_US):
    """A column of two bins of equal width from 0."""
    middle = last // 2 // step * step
    lows, highs = (0.0, float(middle)), (float(middle - step), float(last))
    return ColumnSpec(name, BINS, "long", lows=lows, highs=highs, step=float(step), level=level, counts=(10, 5))


ENTITIES = (
    whole("length", 60),
    ColumnSpec("profile_sex", VALUES, "string", values=("f", "m"), counts=(8, 2), level=ENTITY),
    wide("span", LONG_GAP_US - STEP_US),
    whole("span_days", 9),
    wide("end_clock", DAY_US - STEP_US),
    whole("returns", 6),
    whole("repeats", 20),
    whole("events_of_label_2", 20),
    ColumnSpec(
        "start_day", BINS, "long", lows=(100.0, 105.0), highs=(104.0, 109.0), step=1.0, level=ENTITY, counts=(9, 3)
    ),
    wide("start_clock", DAY_US - STEP_US),
)
EVENTS = (
    wide("gap", HOUR_US, level="event"),
    whole("gap_days", 3, level="event"),
    wide("gap_clock", DAY_US - STEP_US, level="event"),
    ColumnSpec("item_id", VALUES, "string", values=ITEMS, counts=tuple(range(20, 20 - len(ITEMS), -1))),
    ColumnSpec("label", VALUES, "long", values=("1", "2"), counts=(35, 10)),
)


def codec(events=EVENTS, *, entities=ENTITIES, **changes):
    about = {"grain": ENTITY, "window_us": (FIRST_US, LAST_US), "least_paces_us": (2e6, 1e6), **changes}
    return CodecSpec((*entities, *events), 100, "test", **about)


def column(batch, columns, name):
    """The codes of a column."""
    return batch.codes_BC[:, [each.name for each in columns].index(name)]


def put(batch, columns, name, numbers, known=None):
    return BinNumbers(columns, name).put(batch, torch.as_tensor(numbers), known)


def random_histories(lengths, seed=0, *, once=False):
    """Histories of these lengths whose events have times, items and labels; totals are left for the network."""
    rng = torch.Generator().manual_seed(seed)
    lengths = torch.as_tensor(lengths)
    num, rows = len(lengths), int(lengths.sum())
    owner = torch.repeat_interleave(torch.arange(num), lengths)
    place = torch.arange(rows) - (lengths.cumsum(0) - lengths)[owner]
    start = FIRST_US + torch.randint(0, 8 * DAY_US // STEP_US, (num,), generator=rng) * STEP_US
    step = torch.randint(0, 1800, (rows,), generator=rng) * STEP_US
    time = start[owner] + step.cumsum(0) - (step.cumsum(0)[(lengths.cumsum(0) - lengths)])[owner]
    time = time.clamp_max(LAST_US)
    entities = blank(num, ENTITIES, rng)
    entities = put(put(entities, ENTITIES, "start_day", start // DAY_US), ENTITIES, "start_clock", start % DAY_US)
    events = blank(rows, EVENTS, rng)
    gap = torch.where(place > 0, time.diff(prepend=time[:1]), 0)
    events = put(events, EVENTS, "gap", gap, gap < LONG_GAP_US)
    for name in ("gap_days", "gap_clock"):
        events = put(events, EVENTS, name, gap, torch.zeros(rows, dtype=torch.bool))
    if once:
        column(events, EVENTS, "item_id").copy_(FIRST_VALUE + place % len(ITEMS))
        column(events, EVENTS, "label").copy_(FIRST_VALUE + place // len(ITEMS) % 2)
    return Histories(entities, events, owner, time)


def blank(rows, columns, rng):
    """Random codes of values and bins, none of them null or rare."""
    codes = [
        torch.randint(FIRST_VALUE if each.kind == VALUES else FIRST_BIN, each.num_codes, (rows,), generator=rng)
        for each in columns
    ]
    positions = torch.rand(rows, sum(each.has_position for each in columns), generator=rng)
    return Batch(torch.stack(codes, dim=1), positions)


def whole_codes(histories, name, columns=EVENTS):
    """For each history the codes of a column, as lists."""
    codes, owner = column(histories.events, columns, name), histories.owner_R
    return [codes[owner == number].tolist() for number in range(histories.entities.num_rows)]


def returns_of(histories):
    """How many events of each history have no short gap."""
    return [codes.count(NULL_CODE) for codes in whole_codes(histories, "gap")]

"""What generated and real events are compared in: columns as few codes, and cells of one and two columns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from itertools import combinations

import numpy as np
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from clickweave.config.log import FeatureSpec, SchemaConfig
from clickweave.contracts.tables import feature_column
from clickweave.frames.align.derived import with_value
from clickweave.frames.catalogue import sides
from clickweave.frames.draws import unit_draw
from clickweave.frames.lookup import number_table

NUM_VALUES = 18  # of a column with values that have codes of their own; null and the others have one each
NUM_BINS = 10
NUM_BANDS = 10  # of items, by events: each band has about a tenth of them
SAMPLE_ROWS = 50_000  # of real/train that values and edges are read from
MAX_ATTRIBUTES = 3  # of items, and of users, that are compared
MAX_CELLS = 20_000
MAX_PAIRS = 40
MOST_BROADCAST = 1_000_000  # items: some 50 MB on each executor
VIEWS = BAND, HOUR, WEEKDAY, VISIT, SAME, GAP, LENGTH, BEFORE = (
    "_band", "_hour", "_weekday", "_visit", "_same", "_gap", "_length", "_before"
)  # fmt: skip
_KNOWN = "_known"


@dataclass(frozen=True)
class Dimension:
    """One column as codes: 0 null, then one per bin between `edges`, or 1 for other values and one for each of
    `values`.
    """

    column: str
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()

    @property
    def num_codes(self) -> int:
        return 2 + len(self.values) + len(self.edges)

    @property
    def code(self) -> Column:
        """The code, an int; every value has one."""
        own = F.col(self.column)
        if self.values:
            known = F.array(*[F.lit(value) for value in self.values])
            place = F.array_position(known, own.cast("string")).cast("int")
        else:
            place = F.lit(0)
            for edge in self.edges:
                place = place + (own.cast("double") >= F.lit(edge)).cast("int")
        return F.when(own.isNull(), F.lit(0)).otherwise(place + 1)


@dataclass(frozen=True)
class Layout:
    """Cells: those of a marginal stand side by side, and an event is in one cell of each.

    Attributes:
        marginals: one or two places in `dimensions` each.
        offsets: number of the first cell of each marginal.
        num_cells: of all marginals.
    """

    dimensions: tuple[Dimension, ...]
    marginals: tuple[tuple[int, ...], ...]
    offsets: tuple[int, ...] = field(init=False)
    num_cells: int = field(init=False)

    def __post_init__(self) -> None:
        ends = np.cumsum([0, *[self.size(marginal) for marginal in self.marginals]])
        object.__setattr__(self, "offsets", tuple(int(end) for end in ends[:-1]))
        object.__setattr__(self, "num_cells", int(ends[-1]))

    def size(self, marginal: tuple[int, ...]) -> int:
        """Cells of one marginal."""
        return int(np.prod([self.dimensions[place].num_codes for place in marginal]))

    @property
    def marginal_of_cell(self) -> np.ndarray:
        """The number of each cell's marginal."""
        sizes = np.array([self.size(each) for each in self.marginals], np.int64)
        return np.repeat(np.arange(len(sizes)), sizes)

    @cached_property
    def codes(self) -> dict[str, Column]:
        """The code of each dimension, by a name of its own; columns cost a call to the JVM for each of their parts."""
        return {f"_code_{place}": dimension.code for place, dimension in enumerate(self.dimensions)}

    def with_cells(self, events: DataFrame, name: str) -> DataFrame:
        """Adds an event's cells, an array of ints. Narrow."""
        return events.withColumns(self.codes).withColumn(name, F.array(*self._cells())).drop(*self.codes)

    def with_sum(self, events: DataFrame, name: str, numbers: np.ndarray) -> DataFrame:
        """Adds the sum of what an event's cells have, of whole numbers by cell. Narrow."""
        return self.with_sum_of_codes(events.withColumns(self.codes), name, numbers).drop(*self.codes)

    def with_sum_of_codes(self, events: DataFrame, name: str, numbers: np.ndarray) -> DataFrame:
        """The same for events that have their codes, which they keep."""
        found = [F.get(F.col(_KNOWN), cell) for cell in self._cells()]
        total = reduce(Column.__add__, found, F.lit(0).cast("bigint"))
        table = number_table(events.sparkSession, numbers.astype(int).tolist())
        return events.withColumn(_KNOWN, table).withColumn(name, total).drop(_KNOWN)

    def _cells(self) -> list[Column]:
        """The cells of an event that has its codes."""
        cells = []
        for offset, marginal in zip(self.offsets, self.marginals, strict=True):
            cell = F.col(f"_code_{marginal[0]}")
            for place in marginal[1:]:
                cell = cell * F.lit(self.dimensions[place].num_codes) + F.col(f"_code_{place}")
            cells.append(cell + F.lit(offset))
        return cells


def fit_bands(train: DataFrame, hold: Callable[[DataFrame], DataFrame]) -> DataFrame:
    """One row per item of real/train: item_id and its band by events, NUM_BANDS the least popular.

    Bands are cut where counts are, read from how many items have each count (to three digits, so O(1,000) rows reach
    the driver). Two shuffles by item; joins with up to MOST_BROADCAST items leave rows where they lie.

    Args:
        hold: keeps a frame that several jobs read.
    """
    counts = train.where(F.col("item_id").isNotNull()).groupBy("item_id").agg(F.count(F.lit(1)).alias("events"))
    rough = F.pow(F.lit(10), F.greatest(F.floor(F.log10("events")) - 2, F.lit(0)))
    counts = hold(counts.withColumn("events", (F.floor(F.col("events") / rough) * rough).cast("bigint")))
    found = counts.groupBy("events").count().orderBy(F.desc("events")).toArrow()
    events, items = (found.column(name).to_numpy() for name in ("events", "count"))
    reached = np.cumsum(events * items) / max(int((events * items).sum()), 1)
    band = F.lit(NUM_BANDS)
    for number in range(NUM_BANDS - 1, 0, -1):
        inside = np.flatnonzero(reached <= number / NUM_BANDS + 1e-9)
        if len(inside):
            band = F.when(F.col("events") >= F.lit(int(events[inside[-1]])), F.lit(number)).otherwise(band)
    bands = counts.select("item_id", band.alias(BAND))
    return F.broadcast(bands) if items.sum() <= MOST_BROADCAST else bands


def viewed(events: DataFrame, log: SchemaConfig, bands: DataFrame | None, *, whole: bool) -> DataFrame:
    """Events with what is compared beside their columns: hour, weekday, the item's band, and of whole histories the
    item's attribute before, how often the item has come so far, whether it came just before, the gap and the length.
    One join by item, one shuffle by entity.

    Args:
        events: with attributes joined (`catalogue.join_attributes`).
        bands: `fit_bands`; None for a log without items.
        whole: whether rows are events of histories.
    """
    if log.event_time is not None:
        clock = {HOUR: F.hour("event_time"), WEEKDAY: F.weekday("event_time")}
        events = events.withColumns({name: value.cast("string") for name, value in clock.items()})
    if bands is not None:
        events = with_value(events, bands, "item_id")
    if not whole or log.event_time is None:
        return events
    entity = Window.partitionBy("entity_id")
    ordered = entity.orderBy("event_time", "row_id")
    again = Window.partitionBy("entity_id", "item_id").orderBy("event_time", "row_id")
    time = F.unix_micros("event_time")
    added = {GAP: (time - F.lag(time).over(ordered)) / F.lit(1e6), LENGTH: F.count(F.lit(1)).over(entity)}
    if bands is not None:
        visit = F.least(F.row_number().over(again), F.lit(NUM_VALUES)).cast("string")
        added[VISIT] = F.when(F.col("item_id").isNotNull(), visit)
        added[SAME] = (F.col("item_id") == F.lag("item_id").over(ordered)).cast("string")
        added[BEFORE] = F.lag(_kind_of_item(log)).over(ordered).cast("string")
    return events.withColumns(added)


def _kind_of_item(log: SchemaConfig) -> str:
    """The column whose pairs of neighbours are compared: the first category of items, else their band."""
    items = sides(log)[0]
    known = [items.column(name) for name, spec in items.features.items() if spec.kind == "categorical"]
    return known[0] if known else BAND


def fit_layout(train: DataFrame, log: SchemaConfig, names: Sequence[str], num_rows: int, *, seed: int) -> Layout:
    """Codes and cells for the columns of `viewed(train)`; one job over a hashed sample of about SAMPLE_ROWS rows, all
    of some entities, so that no other history is put in order.

    Args:
        names: of event features that the generator made.
    """
    numbers, values = _columns(train, log, names)
    share = min(1.0, SAMPLE_ROWS / max(num_rows, 1))
    drawn = train.where(unit_draw("entity_id", salt="align layout", seed=seed) < share)
    table = drawn.select(
        *[F.col(name).cast("double").alias(name) for name in numbers],
        *[F.col(name).cast("string").alias(name) for name in values],
    ).toPandas()
    dimensions = []
    for name in numbers:
        known = table[name].dropna().to_numpy()
        edges = np.quantile(known, np.arange(1, NUM_BINS) / NUM_BINS) if len(known) else np.zeros(0)
        dimensions.append(Dimension(name, edges=tuple(float(edge) for edge in np.unique(edges))))
    for name in values:
        if name == VISIT:  # in their own order, so that means of codes say how often items come
            dimensions.append(Dimension(VISIT, values=tuple(str(number) for number in range(1, NUM_VALUES + 1))))
            continue
        counts = sorted(table[name].dropna().value_counts().items(), key=lambda pair: (-int(pair[1]), str(pair[0])))
        dimensions.append(Dimension(name, values=tuple(str(value) for value, _ in counts[:NUM_VALUES])))
    places = [place for place, each in enumerate(dimensions) if each.num_codes > 2]  # others say nothing
    return Layout(tuple(dimensions), _marginals(dimensions, places, _kind_of_item(log)))


def _columns(train: DataFrame, log: SchemaConfig, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Columns that are compared as numbers, and as values."""
    numbers = [name for name in ("propensity",) if name in names] + [n for n in (GAP, LENGTH) if n in train.columns]
    values = ["label"] + [n for n in (HOUR, WEEKDAY, BAND, VISIT, SAME, BEFORE) if n in train.columns]
    values += ["position"] if log.position is not None else []
    specs: dict[str, FeatureSpec] = {feature_column(name): spec for name, spec in log.event_features.items()}
    specs = {name: spec for name, spec in specs.items() if name in names}
    for side in sides(log):
        attributes = [(side.column(name), spec) for name, spec in side.features.items() if spec.kind == "categorical"]
        specs |= dict(attributes[:MAX_ATTRIBUTES])
    numbers += [name for name, spec in specs.items() if spec.kind == "numeric"]
    values += [name for name, spec in specs.items() if spec.kind == "categorical"]
    return [n for n in numbers if n in train.columns], [n for n in values if n in train.columns]


def _marginals(dimensions: Sequence[Dimension], places: list[int], kind: str) -> tuple[tuple[int, ...], ...]:
    """One-way marginals, pairs of neighbours, and as many other pairs as there is room for, the smallest first."""
    of_sequence = (VISIT, SAME, GAP, LENGTH, BEFORE)
    singles = [(place,) for place in places]
    by_name = {dimensions[place].column: place for place in places}
    first = [(by_name[BEFORE], by_name[kind])] if BEFORE in by_name and kind in by_name else []
    base = [place for place in places if dimensions[place].column not in of_sequence]

    def size(pair: tuple[int, int]) -> int:
        return dimensions[pair[0]].num_codes * dimensions[pair[1]].num_codes

    pairs = first + sorted(combinations(base, 2), key=lambda pair: (size(pair), pair))[:MAX_PAIRS]
    chosen: list[tuple[int, ...]] = list(singles)
    room = MAX_CELLS - sum(dimensions[place].num_codes for place in places)
    for pair in pairs:
        if size(pair) <= room:
            chosen.append(pair)
            room -= size(pair)
    return tuple(chosen)

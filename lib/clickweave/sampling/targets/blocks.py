"""Drawing what plans ask for, inside Spark tasks: blocks of events with given codes, each with a seed of its own.

A block draws all its events, checks them, and draws those again that miss their condition, at most TRIES times. Which
block an event is in, and which alternative it is drawn to, is a hash of the target, the value and the event's number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
import torch
from pyspark import Broadcast
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from clickweave.codec.decode import decoded_schema
from clickweave.codec.spec import ENTITY, EVENT, NULL_CODE, PLACE, ROW, TIME_US, CodecSpec
from clickweave.config.stages import SampleConfig
from clickweave.frames.align.continued import CONTINUES
from clickweave.frames.draws import unit_draw
from clickweave.models.journey.network import Journey
from clickweave.models.protocol import Generator
from clickweave.sampling.blocks import Decode, block_seed, num_blocks_of, opened
from clickweave.sampling.continuation import whole_blocks
from clickweave.sampling.targets.conditions import Check
from clickweave.sampling.targets.draws import AS_ITEM, ROW_PLACE, Draws, of_histories, of_rows
from clickweave.sampling.targets.plan import Plan

TRIES = 20
LISTED = 1_000  # users or histories, by hash, of which each event of a code takes one
MOST_READ = 2_000  # events of a history that is read for one event more
TRIED = "tried"
_KEY = ("value", "number")


@dataclass(frozen=True)
class Request:
    """One target as it is drawn.

    Attributes:
        asked: events of the whole plan.
        first_block: number of the first block, beyond those that are taken.
        salt: tells the target from others.
    """

    plan: Plan
    spec: CodecSpec
    config: SampleConfig
    asked: int
    first_block: int
    salt: str


def targeted_rows(request: Request, coded: DataFrame, bundle: dict[str, bytes]) -> DataFrame:
    """Events of a generator of rows as the plan asks for them, in the columns of `sample_blocks` and as_item, tried.

    Events of an item or query are drawn to a user too, one who has the item (or query) they are drawn as: what a
    network knows of single users and items is little. Shuffles: users by code, wanted events by code and by block.

    Args:
        coded: token shards.
    """
    plan, spec = request.plan, request.spec
    wanted, given = _wanted(request), plan.given
    user = next((column.name for column in spec.columns if column.is_entity), None)
    if user is not None and plan.given in (("item_id",), ("query",)):
        known = coded.where(F.col(f"code_{user}") > NULL_CODE)
        wanted = _with_holder(request, wanted, known, F.col(f"code_{user}").cast("bigint"))
        wanted = wanted.withColumn("codes", F.concat("codes", F.array("holder"))).drop("holder")
        given = (*given, user)
    rows = wanted.repartition("block").sortWithinPartitions("block", *_KEY)
    schema = pa.schema([*_block_fields(spec), pa.field(ROW_PLACE, pa.int64()), *_told_fields()])
    return _drawn(rows, request, given, bundle, schema)


def targeted_events(request: Request, coded: DataFrame, bundle: dict[str, bytes]) -> DataFrame:
    """Further events of real histories as the plan asks for them, in the columns of `continued_blocks` and as_item,
    tried. Each goes on with a history that holds an event with the first of its codes; one of more than MOST_READ
    events only where no shorter one does, and of that the last MOST_READ are read.

    Shuffles: events by history and by code, wanted events by code and by history, and both by block.

    Args:
        coded: token shards of whole histories, with entity_id and `continues`.
    """
    spec = request.spec
    beyond = F.greatest(F.count(F.lit(1)) - F.lit(MOST_READ), F.lit(0)).cast("int").alias("beyond")
    coded = coded.join(coded.groupBy("entity_id").agg(beyond), "entity_id")
    wanted = _with_holder(request, _wanted(request), coded, F.col("entity_id"), last_resort=F.col("beyond") > 0)
    read = coded.withColumn(PLACE, (F.col(PLACE) - F.col("beyond")).cast("int")).where(F.col(PLACE) >= 0)
    told = ("entity_id", CONTINUES, PLACE, TIME_US, *spec.code_columns, *spec.position_columns)
    rows = read.select(*told).join(wanted.withColumnRenamed("holder", "entity_id"), "entity_id").repartition("block")
    rows = rows.sortWithinPartitions("block", *_KEY, PLACE)
    schema = pa.schema([*_block_fields(spec), pa.field(CONTINUES, pa.string()), *_told_fields()])
    return _drawn(rows, request, request.plan.given, bundle, schema)


def _wanted(request: Request) -> DataFrame:
    """One row per asked event: value, number, as_item, codes of its alternative, block. Narrow."""
    config, salt = request.config, request.salt
    numbers = F.explode(F.sequence(F.lit(1).cast("bigint"), F.col("asked")))
    rows = request.plan.rows.select("value", AS_ITEM, "choices", numbers.alias("number"))
    draws = {name: unit_draw(*_KEY, salt=f"{name} {salt}", seed=config.seed) for name in ("choice", "block")}
    choice = F.get("choices", F.floor(draws["choice"] * F.size("choices")).cast("int"))
    block = F.floor(draws["block"] * num_blocks_of(request.spec, request.asked, config)) + F.lit(request.first_block)
    return rows.withColumns({"codes": choice, "block": block}).drop("choices")


def _with_holder(
    request: Request, wanted: DataFrame, coded: DataFrame, who: Column, *, last_resort: Column | None = None
) -> DataFrame:
    """Wanted events with a `holder`, drawn from LISTED of those that have an event with the first of its codes. Two
    shuffles by code, of holders and of lists; one join of wanted events.

    Args:
        last_resort: of an event, whether its holder is taken only where a code has no other.
    """
    plan, seed = request.plan, request.config.seed
    code = F.col(f"code_{plan.given[0]}").cast("bigint") if plan.given else F.lit(0).cast("bigint")
    late = (F.lit(False) if last_resort is None else last_resort).alias("late")
    holders = coded.select(who.alias("holder"), code.alias("code"), late).distinct()
    order = unit_draw("holder", "code", salt=f"holders {request.salt}", seed=seed)
    by_code = Window.partitionBy("code").orderBy("late", order, "holder")
    ranked = holders.withColumns({"rank": F.row_number().over(by_code), "first": F.first("late").over(by_code)})
    some = ranked.where((F.col("rank") <= LISTED) & (F.col("late") == F.col("first")))
    lists = some.groupBy("code").agg(F.sort_array(F.collect_list("holder")).alias("holders"))
    first = F.get("codes", F.lit(0)) if plan.given else F.lit(0).cast("bigint")
    place = F.floor(unit_draw(*_KEY, salt=f"holder {request.salt}", seed=seed) * F.size("holders")).cast("int")
    joined = wanted.withColumn("code", first).join(lists, "code")
    return joined.withColumn("holder", F.get("holders", place)).drop("holders", "code")


def _block_fields(spec: CodecSpec) -> list[pa.Field]:
    return [pa.field("block", pa.int64()), *decoded_schema(spec)]


def _told_fields() -> list[pa.Field]:
    return [pa.field(AS_ITEM, pa.string()), pa.field(TRIED, pa.int32())]


def _drawn(
    rows: DataFrame, request: Request, given: tuple[str, ...], bundle: dict[str, bytes], schema: pa.Schema
) -> DataFrame:
    shared = rows.sparkSession.sparkContext.broadcast(bundle)
    task = _Draw(shared, given, request.plan.checks, request.spec, request.config, schema)
    return rows.mapInArrow(task, from_arrow_schema(schema))


class _Draw:
    """What a task runs; picklable, holds no session and no model."""

    def __init__(
        self,
        shared: Broadcast,
        given: tuple[str, ...],
        checks: tuple[Check, ...],
        spec: CodecSpec,
        config: SampleConfig,
        schema: pa.Schema,
    ) -> None:
        names = [c.name for c in spec.columns if spec.grain == ROW or c.level == EVENT]
        self._shared, self._config, self._schema, self._checks = shared, config, schema, checks
        self._given = [names.index(name) for name in given]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        torch.set_num_threads(1)
        bundle, decode = opened(self._shared.value)
        for block in whole_blocks(batches):
            yield from self._block(bundle.generator, bundle.codec, decode, block)

    def _block(
        self, generator: Generator | Journey, codec: CodecSpec, decode: Decode, block: pa.Table
    ) -> Iterator[pa.RecordBatch]:
        """The events of one block that meet their condition, in the order of the block."""
        number = block.column("block")[0].as_py()
        seed = block_seed(self._config.seed, number)
        rng, numbers = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
        if codec.grain == ENTITY:
            draws = of_histories(cast("Journey", generator), codec, block, rng, self._config)
        else:
            draws = of_rows(cast("Generator", generator), block, rng, self._config)
        codes = {index: torch.tensor(draws.codes_NG[:, n]) for n, index in enumerate(self._given)}
        open_N, parts, owners, tried = torch.arange(len(draws.codes_NG)), [], [], []
        for number_of_try in range(1, TRIES + 1):
            given = {index: codes_N[open_N] for index, codes_N in codes.items()}
            rows = decode(draws.draw(open_N, given), numbers)
            ok = np.ones(rows.num_rows, bool)
            for check in self._checks:
                ok &= check.holds(rows)
            parts.append(rows.filter(pa.array(ok)))
            owners.append(open_N.numpy()[ok])
            tried.append(np.full(ok.sum(), number_of_try, np.int32))
            open_N = open_N[torch.from_numpy(~ok)]
            if len(open_N) == 0:
                break
        yield from self._together(
            number, draws, pa.Table.from_batches(parts), np.concatenate(owners), np.concatenate(tried)
        )

    def _together(
        self, block: int, draws: Draws, rows: pa.Table, owner_N: np.ndarray, tried_N: np.ndarray
    ) -> list[pa.RecordBatch]:
        order_N = np.argsort(owner_N)
        rows, owners = rows.take(pa.array(order_N)), pa.array(owner_N[order_N])
        found = {name: rows.column(name) for name in rows.column_names}
        found |= {name: values.take(owners) for name, values in draws.fixed.items()}
        found |= {"block": pa.array(np.full(len(owner_N), block)), TRIED: pa.array(tried_N[order_N])}
        return pa.table({name: found[name] for name in self._schema.names}, self._schema).to_batches()

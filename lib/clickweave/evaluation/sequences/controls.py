"""Controls of whole histories, made of a bounded sample of T's entities: what figures of sequences must tell apart.

A history frame has one row per event: entity_id, session_id, time_us (NaN without time), row_id, item_id, label.

- bootstrap: entities drawn with replacement. As real as rows can be.
- independent: every column permuted on its own, an entity with its mapped session; lengths stay, all else is chance.
- markov: events keep entity, time and label; items are redrawn by an order-1 chain fitted on T (`redraw_items`).
"""

from collections.abc import Collection

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.frames.draws import unit_draw

MAX_EVENTS = 200_000  # of T in the sample that the controls are made of: a few MB on the driver
ENTITY_SALT = "evaluate-entities"
_COLUMNS = ("entity_id", "session_id", "time_us", "row_id", "item_id", "label")


def control_histories(inputs: EvaluationInputs) -> dict[str, pd.DataFrame]:
    """The three controls by name; without items there is no chain to draw from, and no markov.

    Cost: two scans of T, for its sizes and for the sample.
    """
    sample, seed = draw_histories(inputs), inputs.config.seed
    gap_us = None if inputs.schema.session is not None else session_gap_us(inputs.schema)
    made = {
        "bootstrap": bootstrap_histories(sample, seed),
        "independent": independent_histories(sample, seed, gap_us),
    }
    if inputs.schema.item is not None:
        made["markov"] = redraw_items(sample, seed, ("item_id",), time="time_us")
    return made


def session_gap_us(schema: SchemaConfig) -> int:
    """The pause that cuts sessions, in microseconds."""
    return int(schema.session_gap * 1_000_000)


def draw_histories(inputs: EvaluationInputs) -> pd.DataFrame:
    """A history frame of whole entities of T, picked by hash, sorted by entity, time and row_id.

    About `config.sample_rows` entities and MAX_EVENTS events, never more events: the last entity of the draw may then
    lack some.
    """
    sizes = inputs.train.agg(F.count(F.lit(1)).alias("rows"), F.approx_count_distinct("entity_id").alias("entities"))
    [size] = sizes.collect()
    share = min(inputs.config.sample_rows / max(size["entities"], 1), MAX_EVENTS / max(size["rows"], 1))
    draw = unit_draw(F.col("entity_id").cast("string"), salt=ENTITY_SALT, seed=inputs.config.seed)
    time = F.unix_micros("event_time") if inputs.schema.event_time is not None else F.lit(None)
    keys = [F.col(name).cast("string") for name in ("entity_id", "session_id", "item_id")]
    rows = inputs.train.where(F.col("entity_id").isNotNull())
    rows = rows.select(
        *keys, time.cast("double").alias("time_us"), "row_id", F.col("label").cast("double"), draw.alias("draw")
    )
    drawn = rows.where(F.col("draw") < share).orderBy("draw", "entity_id", "time_us", "row_id").limit(MAX_EVENTS)
    return _sorted(drawn.select(*_COLUMNS).toArrow().to_pandas(), "time_us")


def bootstrap_histories(sample: pd.DataFrame, seed: int) -> pd.DataFrame:
    """As many entities as `sample` has, drawn with replacement, under new ids."""
    groups = sample.groupby("entity_id", sort=True).indices
    names = list(groups)
    if not names:
        return sample
    picks = np.sort(np.random.default_rng([seed, 31]).integers(0, len(names), len(names)))
    parts = [groups[names[pick]] for pick in picks]
    copy = np.repeat(np.arange(len(parts)), [len(part) for part in parts]).astype(str)
    drawn = sample.iloc[np.concatenate(parts)].reset_index(drop=True)
    return drawn.assign(**{name: drawn[name] + "/" + copy for name in ("entity_id", "session_id")})


def independent_histories(sample: pd.DataFrame, seed: int, gap_us: int | None) -> pd.DataFrame:
    """Entity (with its session), time, item and label permuted each on its own; sessions cut anew where `gap_us` is
    given, the pause in microseconds that cuts them.
    """
    permuted = sample.copy()
    for number, unit in enumerate((["entity_id", "session_id"], ["time_us"], ["item_id"], ["label"])):
        order = np.random.default_rng([seed, 32, number]).permutation(len(sample))
        permuted[unit] = sample[unit].iloc[order].to_numpy()
    permuted = _sorted(permuted.astype(sample.dtypes.to_dict()), "time_us")
    if gap_us is None:
        return permuted
    starts = (permuted["time_us"].diff() > gap_us) | (permuted["entity_id"] != permuted["entity_id"].shift())
    session = permuted["entity_id"] + "-" + np.cumsum(starts.to_numpy()).astype(str)
    return permuted.assign(session_id=session)


def redraw_items(frame: pd.DataFrame, seed: int, columns: Collection[str], *, time: str) -> pd.DataFrame:
    """Control: items of each entity redrawn by an order-1 chain fitted on `frame`, in the order of `time` and row_id.

    An entity's first item is drawn as first items are, each next one as what follows the one before it (transition
    counts), or as any item where nothing ever follows. Sums over T keep the law of single items and of pairs that
    follow each other; what needs a longer memory, as a person who comes back to an item, is lost. Events without an
    item are passed over and stay.

    Args:
        columns: the item and what is a function of it; `item_id` among them.
    """
    ordered = _sorted(frame, time)
    has_item = np.flatnonzero(ordered["item_id"].notna().to_numpy())
    if not len(has_item):
        return ordered
    events = ordered.iloc[has_item].reset_index(drop=True)
    items = pd.factorize(events["item_id"], sort=True)[0]
    is_first = (events["entity_id"] != events["entity_id"].shift()).to_numpy()
    picked = _walk(items, is_first, np.random.default_rng([seed, 33]))
    names = list(columns)
    redrawn = ordered.copy()
    for name in names:
        values = redrawn[name].to_numpy(copy=True)
        values[has_item] = events[name].to_numpy()[picked]
        redrawn[name] = values
    return redrawn.astype(frame.dtypes.to_dict())


def redraw_sample(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """`redraw_items` of a sample frame (samples.py): attributes and popularity follow the item."""
    columns = [name for name in frame.columns if name in ("item_id", "item_events") or name.startswith("item_feature_")]
    return redraw_items(frame, seed, columns, time="time_s").sort_values("row_id").reset_index(drop=True)


def _walk(items: np.ndarray, is_first: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Row whose item each event takes; entities are runs of rows that begin with `is_first`.

    Drawing a uniform row among those that follow an item is drawing by transition counts. One step for the k-th events
    of all entities.
    """
    rows = len(items)
    starts = np.flatnonzero(is_first)
    follows = np.flatnonzero(~is_first)
    follows = follows[np.argsort(items[follows - 1], kind="stable")]  # rows, grouped by the item before them
    num_after = np.bincount(items[follows - 1], minlength=items.max() + 1)
    first_after = np.cumsum(num_after) - num_after
    draws = generator.random(rows)
    place = np.arange(rows) - np.maximum.accumulate(np.where(is_first, np.arange(rows), 0))
    picked = np.zeros(rows, dtype=np.int64)
    picked[starts] = starts[(draws[starts] * len(starts)).astype(np.int64)]
    by_place = np.argsort(place, kind="stable")
    ends = np.cumsum(np.bincount(place))
    for step in range(1, len(ends)):
        now = by_place[ends[step - 1] : ends[step]]
        before = items[picked[now - 1]]
        after = first_after[before] + (draws[now] * num_after[before]).astype(np.int64)
        any_row = (draws[now] * rows).astype(np.int64)
        known = num_after[before] > 0
        picked[now] = np.where(known, follows[np.where(known, after, 0)] if len(follows) else 0, any_row)
    return picked


def _sorted(frame: pd.DataFrame, time: str) -> pd.DataFrame:
    return frame.sort_values(["entity_id", time, "row_id"], kind="stable").reset_index(drop=True)

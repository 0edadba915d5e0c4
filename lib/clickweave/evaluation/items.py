"""F2: are items as frequent, as concentrated and as many as in the real log? Counted on Spark over all rows.

- item frequencies: (1 - TV of S against H) / (1 - TV of T against H) over items with at least 10 events in H, all
  others as one cell. Picked by H and not by T, so that T's chance peaks favour neither side.
- popularity bands: TV of events per decile of T's popularity (and of events of items that T lacks), S against H, above
  that of T against H: items at T's top are there partly by chance, so no other sample of the law agrees with T wholly.
- distinct items: distinct ids of S over those of T, both expected at H's number of events (counts.py).
- invented items: ids of S that neither T nor the catalogue has. Items of what-if targets were asked for.

Sides are compared at equal sizes n: T, H and S thinned (counts.py) to the least of them. A control is a bounded sample
(sequences/controls.py) and is compared at its own size, T and H thinned to it.
"""

from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import feature_column
from clickweave.evaluation.columns import NULL
from clickweave.evaluation.counts import expected_distinct, thinned
from clickweave.evaluation.fidelity import total_variation
from clickweave.evaluation.gates import Row, judged, not_applicable
from clickweave.evaluation.inputs import EvaluationInputs

FREQUENCIES, BANDS, DISTINCT, INVENTED = "item frequencies", "popularity bands", "distinct items", "invented items"
MIN_EVENTS = 10  # in H, for an item to be a cell of its own
NUM_BANDS = 10
CURVE_POINTS = 60
_REAL = ("train", "holdout")


def count_items(inputs: EvaluationInputs) -> pd.DataFrame:
    """Events by item id (index, sorted) in `train`, `holdout` and `synthetic`; `known`: in T or the catalogue (what-if
    items too); `category`: its first categorical attribute as text, null where the log has none.

    Cost: one scan of T, H and S, one shuffle of counts by item, one join with the items. O(items) rows on the driver.
    """
    sides = {"train": inputs.train, "holdout": inputs.holdout, "synthetic": inputs.synthetic}
    named = [df.select("item_id", F.lit(side).alias("side")) for side, df in sides.items()]
    rows = reduce(DataFrame.unionByName, named).where(F.col("item_id").isNotNull())
    counts = rows.groupBy(F.col("item_id").cast("string").alias("item_id")).agg(
        *[F.sum((F.col("side") == side).cast("long")).alias(side) for side in sides]
    )
    category = category_column(inputs.schema, inputs.items)
    if inputs.items is None:
        counts = counts.withColumns({"listed": F.lit(None).cast("boolean"), "category": F.lit(None).cast("string")})
    else:
        value = F.lit(None) if category is None else F.col(category)
        listed = inputs.items.select("item_id", F.lit(True).alias("listed"), value.cast("string").alias("category"))
        counts = counts.join(listed, on="item_id", how="left")  # one row per item there, so no row is added
    table = counts.toArrow().to_pandas().set_index("item_id").sort_index()
    return table.assign(known=table["listed"].notna() | (table["train"] > 0)).drop(columns="listed")


def category_column(schema: SchemaConfig, items: DataFrame | None) -> str | None:
    """The column of `items` with the first categorical item attribute, if there is one."""
    columns = [feature_column(name) for name, spec in schema.item_features.items() if spec.kind == "categorical"]
    return next((name for name in columns if items is not None and name in items.columns), None)


def popularity_bands(events: np.ndarray) -> np.ndarray:
    """Band of each item: decile of T's events from 0 (most popular) to 9, ties in the given order; 10 for none.

    Each decile holds about a tenth of the events; an item belongs to the one where the middle of its events falls.
    """
    order = np.argsort(-events, kind="stable")
    middle = np.cumsum(events[order]) - events[order] / 2
    bands = np.empty(len(events), dtype=np.int64)
    bands[order] = np.minimum((NUM_BANDS * middle / max(events.sum(), 1)).astype(np.int64), NUM_BANDS - 1)
    return np.where(events > 0, bands, NUM_BANDS)


def item_tokens(counts: pd.DataFrame, most: int) -> pd.Series:
    """A small code per item in [0, most): the place of its category by T's events, the last two for other categories
    and for none; the popularity band where no two categories are known. `most` > NUM_BANDS.
    """
    if counts["category"].nunique() < 2:
        return pd.Series(popularity_bands(counts["train"].to_numpy()), index=counts.index)
    events = counts.groupby("category")["train"].sum()
    kept = sorted(events.index, key=lambda name: (-events[name], name))[: most - 2]
    places = {name: place for place, name in enumerate(kept)} | {NULL: most - 1}
    return counts["category"].fillna(NULL).map(places).fillna(most - 2).astype("int64")


def item_figures(side: np.ndarray, train: np.ndarray, holdout: np.ndarray, rows: int, seed: int) -> dict[str, float]:
    """The figures of one side at `rows` events a side; arrays hold events by item, in one order.

    `frequencies` and `bands` are those of `side` against H, `frequencies_real` and `bands_real` those of T against H;
    `distinct` and `distinct_real` the expected numbers of distinct items of the side and of T.
    """
    ours, real, held = (thinned(c, rows, seed, 21, n) for n, c in enumerate((side, train, holdout)))
    cells = np.where(held >= MIN_EVENTS, 1 + np.arange(len(held)), 0)
    bands = popularity_bands(train)

    def tv(left: np.ndarray, of: np.ndarray) -> float:
        return total_variation(*(np.bincount(of, weights=counts, minlength=len(held) + 1) for counts in (left, held)))

    return {
        "frequencies": 1 - tv(ours, cells),
        "frequencies_real": 1 - tv(real, cells),
        "bands": tv(ours, bands),
        "bands_real": tv(real, bands),
        "distinct": expected_distinct(side, rows),
        "distinct_real": expected_distinct(train, rows),
        "cells": float((cells > 0).sum()),
    }


def judge_items(counts: pd.DataFrame, controls: dict[str, pd.Series], seed: int) -> tuple[list[Row], dict[str, Any]]:
    """F2's four rows; details hold the figures by side, events per band, and rank-frequency curves at equal sizes.

    Args:
        counts: as `count_items` gives them. controls: item id of each event, by control.
    """
    sides = {side: counts[side].to_numpy() for side in (*_REAL, "synthetic")}
    found = {name: ids.value_counts().reindex(counts.index, fill_value=0).to_numpy() for name, ids in controls.items()}
    rows = min(int(events.sum()) for side, events in sides.items() if side in _REAL or events.any())
    if not sides["synthetic"].any():
        del sides["synthetic"]
    compared = {**sides, **found}
    sizes = {side: min(rows, int(events.sum())) for side, events in compared.items()}
    figures = {
        side: item_figures(events, sides["train"], sides["holdout"], sizes[side], seed)
        for side, events in compared.items()
        if side != "holdout" and sizes[side]
    }
    invented = counts.index[(counts["synthetic"] > 0) & ~counts["known"]]
    found_new = {"ids": len(invented), "events": int(counts.loc[invented, "synthetic"].sum())}
    detail = {
        "rows_a_side": rows,
        "figures": figures,
        "bands": {side: _band_shares(events, sides["train"]) for side, events in compared.items()},
        "rank_frequency": {
            side: rank_frequency(thinned(events, sizes[side], seed, 22, place))
            for place, (side, events) in enumerate(compared.items())
        },
        "invented": found_new,
    }
    return [*_rows(figures), _invented_row(found_new, "synthetic" in figures)], detail


def rank_frequency(events: np.ndarray) -> list[list[float]]:
    """[rank, share of events] of items from the most frequent on, at most 60 points, evenly spaced in log rank."""
    ordered = np.sort(events[events > 0])[::-1]
    if not len(ordered):
        return []
    ranks = np.unique(np.round(np.geomspace(1, len(ordered), CURVE_POINTS)).astype(int))
    return [[int(rank), float(ordered[rank - 1] / ordered.sum())] for rank in ranks]


def _band_shares(events: np.ndarray, train: np.ndarray) -> list[float]:
    shares = np.bincount(popularity_bands(train), weights=events, minlength=NUM_BANDS + 1)
    return [float(share) for share in shares / max(events.sum(), 1)]


def _rows(figures: dict[str, dict[str, float]]) -> list[Row]:
    """The rows but for invented items."""
    real = figures["train"]
    ceilings = {FREQUENCIES: real["frequencies"], BANDS: real["bands"], DISTINCT: 1.0}
    names = list(ceilings)
    if "synthetic" not in figures:
        return [not_applicable(name, "no synthetic rows", ceiling=ceilings[name]) for name in names]
    ours = figures["synthetic"]
    scores = {side: _scores(found) for side, found in figures.items() if side != "train"}
    values = {FREQUENCIES: ours["frequencies"], BANDS: ours["bands"], DISTINCT: ours["distinct"] / real["distinct"]}
    notes = {
        FREQUENCIES: f"judged as share of the ceiling; {ours['cells']:.0f} items have {MIN_EVENTS} events",
        BANDS: "judged as what lies above the ceiling",
        DISTINCT: "judged as distance from 1",
    }
    rows = []
    for name in names:
        score = scores["synthetic"][name]
        if name == FREQUENCIES and (not ours["cells"] or score is None):
            reason = f"no item with {MIN_EVENTS} events in the holdout is in T"
            rows.append(not_applicable(name, reason))
            continue
        rest = {side: found[name] for side, found in scores.items() if side != "synthetic"}
        rows.append(
            judged(name, score or 0.0, value=values[name], ceiling=ceilings[name], controls=rest, note=notes[name])
        )
    return rows


def _scores(found: dict[str, float]) -> dict[str, float | None]:
    real = found["frequencies_real"]
    return {
        FREQUENCIES: found["frequencies"] / real if real else None,
        BANDS: max(0.0, found["bands"] - found["bands_real"]),
        DISTINCT: abs(found["distinct"] / found["distinct_real"] - 1),
    }


def _invented_row(invented: dict[str, int], made: bool) -> Row:
    if not made:
        return not_applicable(INVENTED, "no synthetic rows", ceiling=0.0)
    note = f"in {invented['events']} rows" if invented["ids"] else ""
    return judged(INVENTED, float(invented["ids"]), ceiling=0.0, note=note)

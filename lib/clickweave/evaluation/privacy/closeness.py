"""P2: do generated rows lie nearer to the rows that were fitted than real rows of other people do?

- DCR share: share of rows of S whose nearest real row is in T and not in H, both of one size, ties counted half; one
  half where a generator knows nothing of single rows, 1 where it copies (Platzer & Reutterer 2021, Frontiers in Big
  Data 4:679939). Its standard error is clustered by the entities of S and by those of the nearest real rows.
- NNDR ratio: median over S of (distance to the nearest row of T) / (to the second nearest), over that of H (Zhao,
  Kunar, Birke & Chen 2021, CTAB-GAN). The score is the ratio up to 1 and falls again above it, to the gate at least:
  far from T is a want of fidelity and no leak.

Distances are those of nearest.py over what a generator fills: ids of items and queries as equality, event columns and
the hour. A date is left out, as it says who was there: T and H are other people, each there on a few days. Attributes
of an item follow from it; those of users are P4's, since a re-enacted user carries real ones by design.

Samples are drawn by a hash of item and query, the same of T, H and S: few items, but all rows of theirs (at most
MAX_ROWS a side). A draw of single rows would seldom hold a copy's original, and a large log would always pass.

Blended rows are real ones moved a little, beside which they stand in the mixed set: they are nearest to their parents
by construction. They have figures of their own, which are graded and do not block by default.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import BLENDED, DAY_US, GENERATED, HOUR_US, feature_column
from clickweave.evaluation.columns import Column, judged_columns, judged_features
from clickweave.evaluation.gates import Row, judged, not_applicable
from clickweave.evaluation.inputs import EvaluationInputs
from clickweave.evaluation.privacy.chance import beyond_chance, clustered_error
from clickweave.evaluation.privacy.nearest import Coded, Neighbours, coded, neighbours
from clickweave.evaluation.samples import bootstrap_copy, event_value, independent_columns
from clickweave.frames.draws import unit_draw

SHARE, RATIO = "DCR share", "NNDR ratio"
BLENDS = ", blended rows"
GRADED_ONLY = frozenset({SHARE + BLENDS, RATIO + BLENDS})  # rows that do not block by default
MAX_ROWS = 10_000  # a side; 10^8 distances take half a second a core
MIN_ROWS = 100
_SALT = "evaluate-closeness"
_NUMBERS = ("label", "position", "propensity")


@dataclass(frozen=True)
class Closeness:
    """The figures of one side: the DCR share with its standard error, the median NNDR, distances to T."""

    share: float
    error: float
    nndr: float
    distances_N: np.ndarray

    @property
    def score(self) -> float:
        """The share, at most the gate where two standard errors reach one half."""
        return beyond_chance(SHARE, self.share, by_chance=self.share - 2 * self.error <= 0.5)

    def as_json(self) -> dict[str, Any]:
        quantiles = np.quantile(self.distances_N, np.linspace(0, 1, 21)).round(6).tolist()
        return {"dcr_share": self.share, "error": self.error, "nndr": self.nndr, "distance_quantiles": quantiles}


def judge_closeness(inputs: EvaluationInputs) -> tuple[list[Row], dict[str, Any]]:
    """P2's rows, and per side the share, its error, the NNDR and 21 quantiles of the distance to T.

    Cost: one job, a top-n of each table by a hash; 4 x MAX_ROWS rows on the driver, at most 6 x MAX_ROWS^2 distances.
    """
    drawn = draw_items(inputs, min(MAX_ROWS, inputs.config.sample_rows))
    train, holdout = drawn.pop("train"), drawn.pop("holdout")
    columns = [each for each in compared_columns(inputs.schema) if not train[each.name].isna().all()]
    made = drawn["synthetic"]
    sides = {name: frame for name, frame in drawn.items() if len(frame) >= MIN_ROWS}
    if min(len(train), len(holdout)) < MIN_ROWS or not sides:
        reason = "no synthetic rows" if not len(made) else f"fewer than {MIN_ROWS} rows of S, T or H"
        return [not_applicable(name, reason) for name in (SHARE, RATIO)], {}
    seed = inputs.config.seed
    sides["holdout"] = holdout
    if len(made) >= MIN_ROWS:
        sides["bootstrap"] = bootstrap_copy(train, len(made), seed)
        sides["independent"] = independent_columns(train, seed)
    found = closeness(sides, train, holdout, columns)
    rows = [row for side in ("synthetic", "blended") if side in found for row in closeness_rows(side, found)]
    if "synthetic" not in found:
        rows = [not_applicable(name, f"fewer than {MIN_ROWS} synthetic rows") for name in (SHARE, RATIO)] + rows
    sizes = {name: len(frame) for name, frame in (sides | {"train": train}).items()}
    detail = {"sides": {name: each.as_json() for name, each in found.items()}, "rows": sizes}
    return rows, detail | {"columns": [column.title for column in columns]}


def closeness_rows(side: str, found: Mapping[str, Closeness]) -> list[Row]:
    """P2's rows of `synthetic`, with controls, or of `blended`; `found` has `holdout` too."""
    suffix = BLENDS if side == "blended" else ""
    ours, real = found[side], found["holdout"].nndr
    controls = {} if suffix else {name: found[name] for name in ("bootstrap", "independent")}
    low, high = ours.share - 2 * ours.error, ours.share + 2 * ours.error
    why = "; a blended row stands beside the real one it was made from" if suffix else ""
    shares = judged(
        SHARE + suffix,
        ours.score,
        value=ours.share,
        ceiling=0.5,
        controls={name: each.score for name, each in controls.items()},
        interval=(low, high),
        note=f"standard error {ours.error:.2g}; red above the gate unless one half lies within two of them{why}",
    )
    if real == 0:
        return [shares, not_applicable(RATIO + suffix, "most real rows of other users equal one of T")]
    ratios = judged(
        RATIO + suffix,
        _ratio_score(ours.nndr / real),
        value=ours.nndr / real,
        ceiling=1.0,
        controls={name: _ratio_score(each.nndr / real) for name, each in controls.items()},
        note=f"median {ours.nndr:.3g}, of real rows of other users {real:.3g}{why}",
    )
    return [shares, ratios]


def _ratio_score(ratio: float) -> float:
    return min(ratio, max(2 - ratio, 0.5))


def compared_columns(schema: SchemaConfig) -> list[Column]:
    """What a distance is made of."""
    keys = {"item_id": schema.item, "query": schema.query}
    ids = [Column(name, name, "values", "event") for name, column in keys.items() if column is not None]
    return ids + [column for column in judged_columns(schema) if column.role == "event" or column.name == "hour"]


def closeness(
    sides: Mapping[str, pd.DataFrame], train: pd.DataFrame, holdout: pd.DataFrame, columns: Sequence[Column]
) -> dict[str, Closeness]:
    """The figures of each side. T's first rows stand against H where T has more, and the other way round."""
    codes = coded([*sides.values(), train, holdout], columns, num_real=2)
    *made, real, other = codes
    size = min(real.num_rows, other.num_rows)
    names = (train["entity_id"].to_numpy(), holdout["entity_id"].to_numpy())
    return {
        side: _closeness(own, sides[side]["entity_id"], real, other.head(size), names)
        for side, own in zip(sides, made, strict=True)
    }


def _closeness(
    rows: Coded, entities: pd.Series, train: Coded, holdout: Coded, names: tuple[np.ndarray, np.ndarray]
) -> Closeness:
    whole = neighbours(rows, train)
    near, far = neighbours(rows, train.head(holdout.num_rows)), neighbours(rows, holdout)
    wins_N = nearer_to_train(near, far)
    owners = np.where(wins_N >= 0.5, names[0][near.place_N], names[1][far.place_N])
    error = clustered_error(wins_N, entities.fillna("").tolist(), owners.tolist())
    return Closeness(float(wins_N.mean()), error, float(np.median(whole.ratio_N)), whole.first_N)


def nearer_to_train(train: Neighbours, holdout: Neighbours) -> np.ndarray:
    """Of each row 1 where T is nearer, 0 where H is, one half where both are as near."""
    return (train.first_N < holdout.first_N) + 0.5 * (train.first_N == holdout.first_N)


def draw_items(inputs: EvaluationInputs, limit: int) -> dict[str, pd.DataFrame]:
    """Rows of train, holdout, synthetic and blended of the same drawn items and queries, at most `limit` a side, in the
    order of a second hash: the first rows of each are again a sample. One job.
    """
    blended = inputs.mixed.where(F.col("origin") == BLENDED)
    made = inputs.synthetic.where(F.col("origin") == GENERATED)
    tables = {"train": inputs.train, "holdout": inputs.holdout, "synthetic": made, "blended": blended}
    item = unit_draw("item_id", "query", salt=_SALT, seed=inputs.config.seed)
    row = unit_draw("row_id", salt=f"{_SALT} row", seed=inputs.config.seed)
    tops = [
        _compared(df, inputs.schema, item.alias("item_draw"), row.alias("row_draw"))
        .orderBy("item_draw", "row_draw", "row_id")
        .limit(limit)
        .withColumn("side", F.lit(side))
        for side, df in tables.items()
    ]
    frame: pd.DataFrame = reduce(DataFrame.unionByName, tops).toArrow().to_pandas()
    parts = {side: frame[frame["side"] == side] for side in tables}
    cut = min((part["item_draw"].max() for part in parts.values() if len(part) == limit), default=1.0)
    whole = {side: part[part["item_draw"] < cut] for side, part in parts.items()}  # the last item is cut off somewhere
    if min(len(whole[side]) for side in ("train", "holdout")) < MIN_ROWS:
        whole = {side: part[part["item_draw"] <= cut] for side, part in parts.items()}
    order = ["row_draw", "row_id"]
    return {side: part.sort_values(order, kind="stable").reset_index(drop=True) for side, part in whole.items()}


def _compared(df: DataFrame, schema: SchemaConfig, *draws: Any) -> DataFrame:
    """The compared columns: texts and doubles; a column that the table lacks is null."""

    def typed(name: str, kind: str) -> Any:
        return (F.col(name) if name in df.columns else F.lit(None)).cast(kind).alias(name)

    texts = [typed(name, "string") for name in ("entity_id", "item_id", "query")]
    numbers = [typed(name, "double") for name in _NUMBERS]
    time = F.unix_micros("event_time") if "event_time" in df.columns else F.lit(None).cast("long")
    hour = (F.pmod(time, F.lit(DAY_US)) / F.lit(HOUR_US)).cast("double").alias("hour")
    features = [
        event_value(df, name, spec, schema).alias(feature_column(name))
        for name, spec in judged_features(schema.event_features).items()
    ]
    return df.select("row_id", *draws, *texts, *numbers, hour, *features)

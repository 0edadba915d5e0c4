"""Weights of generated rows: how much likelier a row is in the real log than among generated ones.

w = p(real | row) / p(generated | row), by a logistic regression on codes of single columns and of neighbours in a
history; with as many rows of either kind in its sample that is the density ratio (Bickel, Brueckner and Scheffer 2009,
section 3; Grover et al. 2019 for generative models). ln w is a sum of one number per cell, so Spark applies it by
lookups. Clipped and then scaled to mean 1.
"""

from dataclasses import dataclass

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clickweave.frames.align.cells import Layout
from clickweave.frames.align.sample import DIGITS
from clickweave.frames.augment.numbers import steady
from clickweave.frames.draws import unit_draw

SAMPLE_ROWS = 20_000  # a side
LOW, HIGH = 0.1, 10.0
_PENALTY = 10.0  # variance of a normal prior on ln w of a cell is its inverse: a cell of few rows says little
_SALT = "align weigh"
_SUM = "_sum"


@dataclass(frozen=True)
class RowWeights:
    """The classifier.

    Attributes:
        layout: whose one-way cells it looks at.
        terms: of each cell in ln w.
        start: added to ln w.
        mean: of clipped weights over all generated rows.
        auc: of telling its sample's real rows from generated ones, unweighted.
        after: the same where generated rows count by weight.
    """

    layout: Layout
    terms: tuple[float, ...]
    start: float
    mean: float
    auc: float
    after: float


def fit_weights(
    events: DataFrame, train: DataFrame, layout: Layout, num_events: int, num_train: int, *, seed: int
) -> RowWeights:
    """The classifier from a hashed sample of SAMPLE_ROWS a side that comes to the driver; then one aggregate.

    Args:
        events, train: of `cells.viewed`.
        layout: of `cells.fit_layout`.
    """
    single = Layout(layout.dimensions, tuple(each for each in layout.marginals if len(each) == 1))
    sides = [_sample(rows, single, num, seed) for rows, num in ((train, num_train), (events, num_events))]
    size = min(len(side) for side in sides)
    cells = np.concatenate([side[:size] for side in sides])
    is_real = np.r_[np.ones(size), np.zeros(size)]
    slopes, start = _logistic(cells, is_real, single.num_cells)
    terms, start = tuple(round(float(term), 6) for term in slopes), round(start, 6)
    logits = np.array(terms)[cells].sum(axis=1) + start
    clipped = np.clip(np.exp(np.clip(logits[size:], -20, 20)), LOW, HIGH)
    figures = [round(_auc(logits, is_real, each), 6) for each in (np.ones(size), clipped)]
    bare = RowWeights(single, terms, start, 1.0, *figures)
    mean = bare_mean(events, bare)
    return RowWeights(single, terms, start, mean, *figures)


def bare_mean(events: DataFrame, fitted: RowWeights) -> float:
    """Mean of weights before they are scaled; one aggregate, exact in any order (whole millionths)."""
    whole = F.rint(_weight(fitted) * F.lit(1e6)).cast("bigint")
    row = _summed(events, fitted).agg(F.sum(whole).alias("sum"), F.count(F.lit(1)).alias("num")).collect()[0]
    return steady(row["sum"] / 1e6 / row["num"]) if row["num"] else 1.0


def with_weights(events: DataFrame, fitted: RowWeights) -> DataFrame:
    """Events of `cells.viewed` with their weight. Narrow."""
    return _summed(events, fitted).withColumn("weight", _weight(fitted)).drop(_SUM)


def _summed(events: DataFrame, fitted: RowWeights) -> DataFrame:
    return fitted.layout.with_sum(events, _SUM, np.rint(DIGITS * np.array(fitted.terms)))


def _weight(fitted: RowWeights) -> Column:
    logit = F.lit(fitted.start) + F.col(_SUM) * F.lit(1 / DIGITS)
    ratio = F.exp(F.least(F.greatest(logit, F.lit(-20.0)), F.lit(20.0)))
    return F.least(F.greatest(ratio, F.lit(LOW)), F.lit(HIGH)) / F.lit(fitted.mean)


def _sample(rows: DataFrame, layout: Layout, num_rows: int, seed: int) -> np.ndarray:
    """Cells of a hashed sample in the order of the hash, one row per row."""
    share = min(1.0, 1.05 * SAMPLE_ROWS / max(num_rows, 1))
    draw = unit_draw("row_id", salt=_SALT, seed=seed)
    drawn = layout.with_cells(rows.where(draw < share), "_cells").select(draw.alias("draw"), "row_id", "_cells")
    table = drawn.toPandas().sort_values(["draw", "row_id"]).head(SAMPLE_ROWS)
    return np.array(table["_cells"].tolist(), dtype=np.int64).reshape(len(table), len(layout.marginals))


def _logistic(cells: np.ndarray, is_real: np.ndarray, num_cells: int) -> tuple[np.ndarray, float]:
    """Terms and start of a logistic regression with a ridge, on one-hot cells."""
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    width = cells.shape[1]
    starts = np.arange(0, cells.size + 1, width)
    matrix = csr_matrix((np.ones(cells.size), cells.ravel(), starts), shape=(len(cells), num_cells))
    model = LogisticRegression(C=1 / _PENALTY, max_iter=500, tol=1e-8).fit(matrix, is_real)
    return model.coef_[0], float(model.intercept_[0])


def _auc(logits: np.ndarray, is_real: np.ndarray, weights: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(is_real, logits, sample_weight=np.r_[np.ones(len(weights)), weights]))

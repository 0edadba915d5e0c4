"""Content: items like those that the user has consumed, by their attributes alone.

It learns nothing from training events, so it scores items that none is about, and is the same in every arm.

Legend: I items, D columns of attributes, U users, E events, N candidates.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from scipy import sparse

from clickweave.config.base import Section
from clickweave.config.log import CATEGORY_KINDS, FeatureSpec
from clickweave.contracts.tables import feature_column
from clickweave.errors import ContractError
from clickweave.evaluation.recommenders.interactions import history_matrix
from clickweave.evaluation.recommenders.protocol import Histories, ItemIndex, Task, at_candidates

FARTHEST = 3.0  # standard deviations; numbers beyond count as these
LEAST_ITEMS = 2  # of a value: what one item alone has, says nothing about others


class Params(Section):
    """Of the columns that attributes become."""

    max_values: int = Field(20_000, ge=1, description="of a categorical attribute, the most frequent ones")
    max_words: int = Field(50_000, ge=1, description="of a text, those in most items")


@dataclass(frozen=True)
class Content:
    """`attributes_ID` float32, sparse: of the items of `index`."""

    index: ItemIndex
    attributes_ID: sparse.csr_array
    level: int | None

    def score(self, histories: Histories, candidates: np.ndarray) -> np.ndarray:
        """Cosine of the candidate and the mean of the consumed items, by weight; 0 where either is unknown."""
        history = histories.consumed(self.level)
        profile_UD = (history_matrix(history, self.index, history.weights) @ self.attributes_ID).toarray()
        profile_UD = profile_UD / _or_one(np.linalg.norm(profile_UD, axis=1))[:, None]
        lengths_I = np.sqrt(self.attributes_ID.multiply(self.attributes_ID).sum(axis=1))
        known_IU = (self.attributes_ID @ profile_UD.T.astype(np.float32)) / _or_one(np.asarray(lengths_I))[:, None]
        return at_candidates(known_IU.T, self.index.places(candidates), 0.0)


def fit(events: DataFrame, items: DataFrame | None, users: DataFrame | None, task: Task, params: Params) -> Content:
    """Attributes of all items on the driver: categories as one-hot columns, numbers, times and vectors standardised,
    texts as TF-IDF of their words. Each attribute has a length of about 1, so that all count alike.

    Raises:
        ContractError: there are no items with attributes.
    """
    specs = task.schema.item_features
    if items is None or not specs:
        raise ContractError("content: there are no attributes of items; name some under schema.item_features")
    columns = [_typed(feature_column(name), spec) for name, spec in specs.items()]
    table = items.select("item_id", *columns).toArrow().sort_by("item_id").combine_chunks()
    parts = [_columns_of(table.column(feature_column(name)), spec, params) for name, spec in specs.items()]
    attributes_ID = sparse.csr_array(sparse.hstack(parts, format="csr", dtype=np.float32))
    return Content(ItemIndex(table.column("item_id").to_numpy(zero_copy_only=False)), attributes_ID, task.level)


def one_hot(values: pa.ChunkedArray, max_values: int) -> sparse.csr_array:
    """[I, D]: a column of ones for each of the most frequent values that at least LEAST_ITEMS items have."""
    counted = pc.value_counts(values.drop_null())
    table = pa.table({"value": counted.field("values"), "count": counted.field("counts")})
    table = table.filter(pc.field("count") >= LEAST_ITEMS).sort_by([("count", "descending"), ("value", "ascending")])
    known = table.column("value").slice(0, max_values).combine_chunks()
    places = pc.index_in(values, known).combine_chunks()
    rows = np.flatnonzero(places.is_valid())
    where = rows, places.drop_null().to_numpy()
    return sparse.coo_array((np.ones(len(rows)), where), shape=(len(values), len(known))).tocsr()


def standardised(values_ID: np.ndarray) -> np.ndarray:
    """Zero mean and unit variance over all D columns together; NaN is the mean, and so is a constant."""
    known = np.isfinite(values_ID)
    num_D = np.maximum(known.sum(axis=0), 1)
    centred_ID = np.where(known, values_ID, 0.0)
    centred_ID = np.where(known, values_ID - centred_ID.sum(axis=0) / num_D, 0.0)
    deviation_D = np.sqrt((centred_ID**2).sum(axis=0) / num_D)
    scaled_ID = np.divide(centred_ID, deviation_D, out=np.zeros_like(centred_ID), where=deviation_D > 0)
    return np.clip(scaled_ID, -FARTHEST, FARTHEST) / np.sqrt(values_ID.shape[1])


def tf_idf(texts: list[str], max_words: int) -> sparse.csr_array:
    """[I, D] float: counts of words times log((1 + I) / (1 + items with the word)) + 1, rows of length 1.

    Spärck Jones 1972, smoothed as in scikit-learn, which does it.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not any(any(letter.isalnum() for letter in text) for text in texts):
        return sparse.csr_array((len(texts), 0))
    words = TfidfVectorizer(max_features=max_words, token_pattern=r"(?u)\w+", dtype=np.float32)
    return sparse.csr_array(words.fit_transform(texts))


def _typed(name: str, spec: FeatureSpec) -> Column:
    match spec.kind:
        case "numeric":
            return F.col(name).cast("double").alias(name)
        case "time":
            return (F.unix_micros(name) / F.lit(1e6)).alias(name)
        case "vector":
            return F.col(name).cast("array<double>").alias(name)
    return F.col(name).cast("string").alias(name)


def _columns_of(values: pa.ChunkedArray, spec: FeatureSpec, params: Params) -> sparse.csr_array:
    if spec.kind in CATEGORY_KINDS:
        return one_hot(values, params.max_values)
    if spec.kind == "text":
        return tf_idf([text or "" for text in values.to_pylist()], params.max_words)
    if spec.kind == "vector":
        return sparse.csr_array(standardised(_stacked(values)))
    return sparse.csr_array(standardised(values.to_numpy(zero_copy_only=False).astype(float)[:, None]))


def _stacked(vectors: pa.ChunkedArray) -> np.ndarray:
    """[I, D]; NaN for items without a vector."""
    size = pc.max(pc.list_value_length(vectors)).as_py() or 1
    empty = [float("nan")] * size
    return np.array([vector if vector is not None else empty for vector in vectors.to_pylist()], float)


def _or_one(lengths: np.ndarray) -> np.ndarray:
    return np.where(lengths > 0, lengths, 1.0)

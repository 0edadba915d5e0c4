"""A vector for every kept value of a wide column, so that values which are used alike lie near each other.

Items and entities: factors of implicit ALS (Hu, Koren & Volinsky 2008) over entity x item counts. Items with few events
lean on the items that share their attributes. Other columns: the mean vector of the items in their rows. Where a log
has no items or no entities: vectors hashed from the value.

Legend: V codes of one column (null and rare first), X numbers of a vector, N rows of an Arrow table.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pyspark.ml.recommendation import ALS
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clickweave.codec.spec import FIRST_VALUE, ColumnSpec

DIM = 32
PRIOR_EVENTS = 10.0  # an item with this many events lies halfway between its own vector and its attributes'
ITERATIONS, REGULARISATION = 5, 0.05
CONFIDENCE = 10.0  # alpha of the paper: weight of an event over that of a pair never seen
_INT_IDS = 2**31 - 1  # ALS takes int ids; two entities of millions that share one do no harm


def als_vectors(coded: DataFrame, item: ColumnSpec, entity: ColumnSpec | None, seed: int) -> dict[str, np.ndarray]:
    """Vectors [V, X] of the items and, where it is given, of the entity column; zeros for codes without events.

    Args:
        coded: one row per event with code_item_id, entity_id and, where it is given, code_entity_id.
    """
    person: Column = F.pmod(F.xxhash64("entity_id"), F.lit(_INT_IDS)).cast("int")
    if entity is not None:
        person = F.col(f"code_{entity.name}")
    kept = coded.where(F.col("code_item_id") >= FIRST_VALUE).select(
        person.alias("person"), F.col("code_item_id").alias("item")
    )
    counts = kept.groupBy("person", "item").agg(F.count(F.lit(1)).cast("float").alias("count"))
    als = ALS(
        rank=DIM,
        maxIter=ITERATIONS,
        regParam=REGULARISATION,
        alpha=CONFIDENCE,
        implicitPrefs=True,
        userCol="person",
        itemCol="item",
        ratingCol="count",
        seed=seed,
        checkpointInterval=-1,
    )
    model = als.fit(counts)
    found = {item.name: _matrix(model.itemFactors, item.num_codes)}
    if entity is not None:
        found[entity.name] = _matrix(model.userFactors, entity.num_codes)
    return found


def mean_vectors(coded: DataFrame, column: ColumnSpec, item_vectors_VX: np.ndarray) -> np.ndarray:
    """For each code of a column the mean vector of the items in its rows [V, X]; one join by item, one shuffle."""
    codes = pa.array(np.arange(len(item_vectors_VX), dtype=np.int32))
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(item_vectors_VX.ravel()), item_vectors_VX.shape[1])
    table = coded.sparkSession.createDataFrame(
        pa.table({"code_item_id": codes, "vector": vectors.cast(pa.list_(pa.float32()))})
    )
    joined = coded.select(F.col(f"code_{column.name}").alias("id"), "code_item_id").join(table, "code_item_id")
    means = [F.avg(F.col("vector")[place]).cast("float").alias(str(place)) for place in range(item_vectors_VX.shape[1])]
    found = joined.groupBy("id").agg(*means).select("id", F.array(*[F.col(str(n)) for n in range(len(means))]))
    return _matrix(found, column.num_codes)


def with_attributes(
    vectors_VX: np.ndarray, column: ColumnSpec, coded_items: DataFrame, names: Sequence[str]
) -> np.ndarray:
    """Item vectors blended by count with the mean of the items that share an attribute [V, X].

    Args:
        coded_items: one row per item with code_item_id and its attributes.
        names: of the attributes that put items into groups.
    """
    counts_V = np.zeros(column.num_codes)
    counts_V[FIRST_VALUE:] = column.counts
    sums_VX, num_V = np.zeros_like(vectors_VX), np.zeros(column.num_codes)
    for name in names:
        known = coded_items.where(F.col(name).isNotNull() & (F.col("code_item_id") >= FIRST_VALUE))
        table = known.select("code_item_id", F.col(name).cast("string").alias("value")).toArrow()
        codes_N = table.column("code_item_id").to_numpy()
        groups_N = table.column("value").combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
        means_GX, known_G = _group_means(vectors_VX[codes_N], counts_V[codes_N], groups_N)
        use_N = known_G[groups_N]
        sums_VX[codes_N[use_N]] += means_GX[groups_N[use_N]]  # codes are distinct: one row per item
        num_V[codes_N[use_N]] += 1
    has_V = num_V > 0
    own_V = np.where(has_V, counts_V / (counts_V + PRIOR_EVENTS), 1.0).astype(np.float32)
    shared_VX = sums_VX / np.maximum(num_V, 1)[:, None].astype(np.float32)
    return own_V[:, None] * vectors_VX + (1 - own_V)[:, None] * shared_VX


def hashed_vectors(values: Sequence[str]) -> np.ndarray:
    """Vectors [V, X] that depend on the value alone, null and rare included as zeros."""
    digests = b"".join(hashlib.blake2b(value.encode(), digest_size=2 * DIM).digest() for value in values)
    numbers = np.frombuffer(digests, np.uint16).reshape(-1, DIM).astype(np.float32) / 65_535 - 0.5
    return np.concatenate([np.zeros((FIRST_VALUE, DIM), np.float32), numbers])


def finished(vectors_VX: np.ndarray, column: ColumnSpec) -> np.ndarray:
    """Unit vectors, zeros for null and rare; values that nothing is known of get hashed ones [V, X]."""
    norms_V = np.linalg.norm(vectors_VX, axis=1)
    unknown = np.flatnonzero(norms_V[FIRST_VALUE:] < 1e-6)
    made_VX = vectors_VX.astype(np.float32)
    if len(unknown):
        made_VX[FIRST_VALUE + unknown] = hashed_vectors([column.values[place] for place in unknown])[FIRST_VALUE:]
        norms_V = np.linalg.norm(made_VX, axis=1)
    made_VX /= np.maximum(norms_V, 1e-6)[:, None]
    made_VX[:FIRST_VALUE] = 0
    return made_VX


def _group_means(vectors_NX: np.ndarray, weights_N: np.ndarray, groups_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means of each group weighted by events [G, X], and which groups have any."""
    num_groups = int(groups_N.max()) + 1 if len(groups_N) else 0
    sums_GX = np.zeros((num_groups, vectors_NX.shape[1]), np.float32)
    for place in range(vectors_NX.shape[1]):
        sums_GX[:, place] = np.bincount(groups_N, weights_N * vectors_NX[:, place], minlength=num_groups)
    total_G = np.bincount(groups_N, weights_N, minlength=num_groups)
    return sums_GX / np.maximum(total_G, 1e-9)[:, None].astype(np.float32), total_G > 0


def _matrix(factors: DataFrame, num_codes: int) -> np.ndarray:
    """Rows (id, vector) as one matrix [V, X]; zeros where there is no row."""
    table = factors.toArrow()
    made_VX = np.zeros((num_codes, DIM), np.float32)
    vectors = table.column(1).combine_chunks()
    made_VX[table.column(0).to_numpy()] = vectors.flatten().to_numpy(zero_copy_only=False).reshape(-1, DIM)
    return made_VX

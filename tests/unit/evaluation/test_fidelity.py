import numpy as np
import pandas as pd
import pytest

from clickweave.evaluation.columns import Column
from clickweave.evaluation.detection import detection_auc, entity_folds
from clickweave.evaluation.fidelity import (
    Sides,
    column_similarity,
    judge_pairs,
    judge_shapes,
    kolmogorov_smirnov,
    total_variation,
)
from clickweave.evaluation.samples import independent_columns

NUMBER = Column("x", "x", "number", "event")
VALUES = Column("v", "v", "values", "event")


def _frame(rows: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    """x follows v, so the pair carries something that single columns do not."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 3, rows)
    numbers = rng.normal(size=rows) + 2.0 * kind + shift
    return pd.DataFrame({"x": numbers, "v": [f"k{k}" for k in kind], "entity_id": np.arange(rows).astype(str)})


def _sides(synthetic: pd.DataFrame) -> Sides:
    train = _frame(3000, 1)
    return Sides(train, _frame(3000, 2), synthetic, train, independent_columns(train, 0))


def test_total_variation_and_ks_on_known_values():
    assert total_variation(np.array([1.0, 1.0]), np.array([2.0, 0.0])) == 0.5
    assert kolmogorov_smirnov(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0.0
    assert kolmogorov_smirnov(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1.0
    assert kolmogorov_smirnov(np.array([1.0, np.nan]), np.array([1.0, 1.0])) == 0.5  # null is below every number


@pytest.mark.parametrize("column", [NUMBER, VALUES])
def test_identical_samples_are_alike(column):
    frame = _frame(500, 1)
    assert column_similarity(frame[column.name], frame[column.name].sample(frac=1, random_state=0), column) == 1.0


def test_all_null_column_is_alike_with_itself_and_not_with_values():
    nulls = pd.Series([None] * 100, dtype=object)
    assert column_similarity(nulls, nulls, VALUES) == 1.0
    assert column_similarity(nulls, pd.Series(["a"] * 100), VALUES) == 0.0


def test_shapes_miss_what_pairs_find():
    independent = independent_columns(_frame(3000, 3), 5)
    shapes, _ = judge_shapes(_sides(independent), [NUMBER, VALUES])
    pairs, _ = judge_pairs(_sides(independent), [NUMBER, VALUES])
    assert shapes.grade in ("green", "amber")
    assert pairs.grade == "red"
    assert pairs.control_grades["independent"] == "red"


def test_shifted_column_is_red_and_same_law_is_not():
    assert judge_shapes(_sides(_frame(3000, 3)), [NUMBER, VALUES])[0].grade != "red"
    assert judge_shapes(_sides(_frame(3000, 3, shift=1.0)), [NUMBER, VALUES])[0].grade == "red"


def test_constant_columns_leave_nothing_to_say():
    constant = pd.DataFrame({"x": np.ones(300), "v": ["a"] * 300, "entity_id": "e"})
    row, _ = judge_shapes(Sides(constant, constant, constant, constant, constant), [NUMBER, VALUES])
    assert row.grade == "na"


def test_classifier_knows_a_shifted_law_and_not_the_same_one():
    holdout = _frame(2000, 2)
    same, _ = detection_auc(_frame(2000, 3), holdout, [NUMBER, VALUES], holdout, 0)
    shifted, told_by = detection_auc(_frame(2000, 3, shift=2.0), holdout, [NUMBER, VALUES], holdout, 0)
    assert same < 0.54
    assert shifted > 0.75
    assert max(told_by, key=told_by.get) == "x"


def test_folds_never_split_an_entity():
    entities = pd.Series([f"e{n % 40}" for n in range(400)])
    folds = entity_folds(entities, 0)
    assert pd.Series(folds).groupby(entities).nunique().max() == 1
    assert set(folds) == {0, 1, 2, 3, 4}
    assert set(entity_folds(pd.Series(["one"] * 50), 0)) == {0, 1, 2, 3, 4}

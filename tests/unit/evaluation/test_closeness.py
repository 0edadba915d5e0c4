"""P2 as a judge: copies fail, fresh rows pass, and the share by hand."""

import numpy as np
import pandas as pd
import pytest

from clickweave.evaluation.columns import Column
from clickweave.evaluation.privacy.closeness import RATIO, SHARE, closeness, closeness_rows, nearer_to_train
from clickweave.evaluation.privacy.nearest import Neighbours

COLUMNS = [
    Column("item_id", "item", "values", "event"),
    Column("label", "label", "values", "event"),
    Column("price", "price", "number", "event"),
    Column("hour", "hour", "number", "time"),
]


def log(num_users, seed, per_user=10):
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(num_users), per_user)
    item = (rng.random(len(user)) ** 2 * 40).astype(int)
    habit = rng.random(num_users)[user] * 24
    return pd.DataFrame(
        {
            "entity_id": [f"{seed}-{one}" for one in user],
            "item_id": item.astype(str),
            "label": (rng.random(len(user)) < item / 60).astype(float),
            "price": item * 3 + rng.normal(size=len(user)),
            "hour": (habit + rng.normal(size=len(user))) % 24,
        }
    ).sample(frac=1, random_state=seed, ignore_index=True)


def judged(made, train, holdout):
    sides = {"synthetic": made, "holdout": holdout, "bootstrap": train, "independent": made}
    found = closeness(sides, train, holdout, COLUMNS)
    return found["synthetic"], {row.name: row for row in closeness_rows("synthetic", found)}


def test_ties_count_half():
    zero = np.zeros(3, int)
    train = Neighbours(zero, np.array([0.1, 0.2, 0.3]), np.ones(3))
    holdout = Neighbours(zero, np.array([0.2, 0.2, 0.2]), np.ones(3))
    assert nearer_to_train(train, holdout).tolist() == [1.0, 0.5, 0.0]


@pytest.mark.parametrize("seed", range(10))
def test_copies_fail_and_fresh_rows_pass(seed):
    train, holdout, fresh = log(120, 3 * seed), log(100, 3 * seed + 1), log(120, 3 * seed + 2)
    found, rows = judged(fresh, train, holdout)
    assert rows[SHARE].grade != "red"
    assert rows[RATIO].grade == "green"
    assert abs(found.share - 0.5) < 3.5 * found.error
    _, rows = judged(holdout, train, holdout)
    assert (rows[SHARE].grade, rows[RATIO].grade) == ("green", "green")
    copy = train.sample(len(train), replace=True, random_state=seed, ignore_index=True)
    found, rows = judged(copy, train, holdout)
    assert (rows[SHARE].grade, rows[RATIO].grade) == ("red", "red")
    assert found.share > 0.8  # a sixth of T is set aside for H's size


def test_near_copies_are_found_where_no_row_is_equal():
    train, holdout = log(120, 1), log(100, 2)
    noise = np.random.default_rng(0).normal(size=len(train)) * 0.01
    found, rows = judged(train.assign(price=train["price"] + noise), train, holdout)
    assert found.distances_N.min() > 0
    assert (rows[SHARE].grade, rows[RATIO].grade) == ("red", "red")


def test_equal_rows_everywhere_are_no_leak_and_no_ratio():
    same = log(40, 1).assign(item_id="a", label=1.0, price=1.0, hour=1.0)
    found, rows = judged(same, same, same)
    assert found.share == 0.5
    assert found.nndr == 1.0
    assert rows[SHARE].grade == "green"


def test_far_rows_lose_the_target_and_never_the_gate():
    train, holdout = log(60, 1), log(60, 2)
    found = closeness(
        {"synthetic": train, "holdout": holdout, "bootstrap": train, "independent": train}, train, holdout, COLUMNS
    )
    far = {**found, "synthetic": type(found["holdout"])(0.4, 0.01, 3 * found["holdout"].nndr, np.zeros(1))}
    row = closeness_rows("synthetic", far)[1]
    assert (row.value, row.score, row.grade) == (pytest.approx(3.0), 0.5, "amber")

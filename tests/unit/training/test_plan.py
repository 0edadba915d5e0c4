"""Laws of the plan, for any row groups and any number of ranks."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clickweave.errors import ConfigError, ContractError
from clickweave.training.plan import Plan, RowGroup, make_plan

SIZES = st.lists(st.integers(0, 300), max_size=30)
VALIDATION = [RowGroup("v", 0, 3)]


def groups_of(sizes):
    return [RowGroup(f"f{number // 3}", number % 3, rows) for number, rows in enumerate(sizes)]


@given(SIZES, st.integers(1, 9), st.integers(1, 200))
def test_plan_gives_every_rank_the_same_full_steps_or_says_why_not(sizes, ranks, batch_size):
    groups = groups_of(sizes)
    filled = [group for group in groups if group.rows]
    if batch_size < ranks:
        with pytest.raises(ConfigError, match="batch_size"):
            make_plan(groups, VALIDATION, ranks=ranks, batch_size=batch_size)
        return
    if len(filled) < ranks:
        with pytest.raises(ContractError, match=r"row groups for|hold no rows"):
            make_plan(groups, VALIDATION, ranks=ranks, batch_size=batch_size)
        return
    plan = make_plan(groups, VALIDATION, ranks=ranks, batch_size=batch_size)
    assert sorted(group for share in plan.train for group in share) == sorted(filled)
    held = [sum(group.rows for group in share) for share in plan.train]
    assert plan.steps >= 1 and 1 <= plan.batch_rows <= batch_size // ranks
    assert all(rows >= plan.steps * plan.batch_rows for rows in held)
    assert min(held) - plan.steps * plan.batch_rows < plan.batch_rows
    assert max(held) - min(held) <= max(group.rows for group in filled)


@given(SIZES.filter(any), st.randoms())
def test_plan_does_not_depend_on_the_order_of_its_row_groups(sizes, random):
    groups = groups_of(sizes)
    shuffled = random.sample(groups, len(groups))
    assert make_plan(groups, VALIDATION, ranks=1, batch_size=8) == make_plan(
        shuffled, VALIDATION, ranks=1, batch_size=8
    )


def test_plan_survives_json():
    plan = make_plan(groups_of([5, 6, 7]), VALIDATION, ranks=2, batch_size=4)
    assert Plan.from_dict(json.loads(json.dumps(asdict(plan)))) == plan


def test_plan_without_validation_rows_is_refused():
    with pytest.raises(ContractError, match="validation shards hold no rows"):
        make_plan(groups_of([5]), [RowGroup("v", 0, 0)], ranks=1, batch_size=4)

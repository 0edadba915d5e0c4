"""Collapse is found, and variety that only looks small is not."""

import numpy as np
import pytest
import torch

from clickweave.codec.spec import VALUES, CodecSpec, ColumnSpec
from clickweave.errors import TrainingError
from clickweave.training.collapse import check_variety, perplexity

COUNTS = tuple(int(1000 / (rank + 1)) for rank in range(50))


def codec(counts, **more):
    names = tuple(f"v{place}" for place in range(len(counts)))
    return CodecSpec((ColumnSpec("item_id", VALUES, "string", values=names, counts=counts, **more),), 9, "toy")


def drawn(counts, num=4096, seed=5):
    shares = np.array(counts) / sum(counts)
    return {"item_id": torch.from_numpy(np.random.default_rng(seed).choice(len(counts), num, p=shares)) + 2}


def test_perplexity_of_n_equal_codes_is_n():
    assert perplexity(np.repeat(np.arange(7), 3)) == pytest.approx(7.0)
    assert perplexity(np.zeros(9, np.int64)) == pytest.approx(1.0)


def test_one_code_for_all_rows_is_a_collapse_and_is_named():
    with pytest.raises(TrainingError, match=r"mode collapse: column 'item_id' shows 1\.0 of \d+\.\d equally frequent"):
        check_variety(codec(COUNTS), drawn((1,)), 0)


def test_a_few_of_many_codes_are_a_collapse():
    with pytest.raises(TrainingError, match="mode collapse"):
        check_variety(codec(COUNTS), drawn((1,) * 3), 0)


def test_a_fair_coin_that_always_falls_alike_is_a_collapse():
    with pytest.raises(TrainingError, match="mode collapse"):
        check_variety(codec((500, 500)), drawn((999, 1)), 0)


def test_draws_from_the_log_itself_and_somewhat_sharper_ones_pass():
    check_variety(codec(COUNTS), drawn(COUNTS), 0)
    check_variety(codec(COUNTS), drawn(tuple(count**1.2 for count in COUNTS)), 0)


def test_few_draws_from_many_codes_are_compared_with_as_few_real_ones():
    many = (1,) * 100_000
    check_variety(codec(many), drawn(many, num=200), 0)


def test_constant_and_nearly_constant_columns_pass():
    check_variety(codec((1000,)), drawn((1,)), 0)
    check_variety(codec((1000, 1)), drawn((1,)), 0)


@pytest.mark.parametrize(("known_share", "collapses"), [(0.1, False), (0.5, True)])
def test_a_column_that_few_rows_fill_may_stay_empty_and_a_fuller_one_may_not(known_share, collapses):
    num_null = int(sum(COUNTS) * (1 / known_share - 1))
    mostly_null, nulls = codec(COUNTS, num_null=num_null), {"item_id": torch.zeros(4096, dtype=torch.long)}
    if collapses:
        with pytest.raises(TrainingError, match="mode collapse"):
            check_variety(mostly_null, nulls, 0)
    else:
        check_variety(mostly_null, nulls, 0)

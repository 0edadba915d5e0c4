"""The automatic ratio on planted synthetic sides: one that helps, one that harms, one that says nothing new."""

import pandas as pd
import pytest

from clickweave.config.log import SchemaConfig
from clickweave.contracts.tables import REAL
from clickweave.evaluation import ratio
from clickweave.evaluation.ratio import RATIOS, choose_ratio, reachable

FEW = 25  # users of T: too few to know the law


@pytest.fixture(scope="module")
def few(toy):
    return toy(FEW, 1, "u")


@pytest.fixture(scope="module")
def more(toy):
    """Twice as many users of the same law as a perfect generator would give."""
    return toy(2 * FEW, 3, "syn-", origin="generated")


@pytest.fixture
def choose(make_inputs, to_table, few, toy):
    """added rows -> the choice; reference are 150 users of the law."""

    def made(added, reference=None, schema=None):
        test = toy(150, 2, "r") if reference is None else reference
        changes = {} if schema is None else {"schema": schema}
        inputs = make_inputs(train=few, holdout=test, mixed=to_table(added), **changes)
        return choose_ratio(inputs, num_train=len(few), num_added=len(added))

    return made


def harmful(rows):
    """Rows that like what nobody likes."""
    return rows.assign(label=1 - rows["label"])


def test_rows_that_teach_the_law_are_taken(choose, more):
    found = choose(more)
    assert found.ratio in RATIOS[1:]
    tried = {row["ratio"]: row for row in found.tried}
    assert list(tried) == list(RATIOS)
    assert tried[found.ratio]["gain_low"] > 0
    assert all(tried[each]["gain_low"] <= 0 for each in RATIOS if 0 < each < found.ratio)
    assert tried[0]["auc"] + tried[found.ratio]["gain"] <= tried[found.ratio]["auc"] + 1e-5


def test_rows_that_harm_are_not_taken(choose, more):
    found = choose(harmful(more))
    assert (found.ratio, found.reason) == (0, "no ratio gains more than noise")
    assert found.tried[-1]["gain"] < -0.02


def test_copies_of_the_log_are_not_taken(choose, few):
    copies = pd.concat([few.assign(row_id=few["row_id"] + 10**8 * n, origin="generated") for n in (1, 2)])
    assert choose(copies).ratio == 0


def test_as_many_rows_drawn_from_all_of_the_log_are_the_rival(choose, more, monkeypatch):
    """What the rest of T teaches as well is no merit of a generator that saw it."""
    rivals = []
    real_score = ratio.score_arms
    monkeypatch.setattr(
        ratio, "score_arms", lambda judge, arms, *a, **k: rivals.append(arms) or real_score(judge, arms, *a, **k)
    )
    monkeypatch.setattr(ratio, "BASE_ROWS", 250)
    choose(more)
    ((arms, *_),) = rivals
    assert {name for name in arms if "repeated" in name} == {f"{each} repeated" for each in RATIOS[1:]}
    assert len(arms["2.0 repeated"]) == len(arms["2.0"]) == 750
    assert set(arms["2.0 repeated"]["origin"]) == {REAL}


def test_without_anything_to_judge_by_the_answer_is_zero_with_a_reason(choose, more, toy):
    assert choose(more.head(0)).reason == "there are no rows to add"
    assert choose(more, reference=toy(1, 2, "r").head(0)).reason == "the part reference has no rows"
    blind = SchemaConfig.model_validate({"user": "user", "item": "item", "event_time": {"column": "ts", "unit": "s"}})
    assert choose(more.assign(label=0), reference=toy(9, 2, "r").assign(label=0)).ratio == 0
    found = choose(more, reference=toy(9, 2, "r").assign(label=1), schema=blind)
    assert found.ratio == 0
    assert "no label has both" in found.reason or "every row is a positive" in found.reason


@pytest.mark.parametrize(
    ("most", "tried"),
    [(0.05, [0.1]), (0.3, [0.1, 0.25, 0.5]), (0.5, [0.1, 0.25, 0.5]), (9, [0.1, 0.25, 0.5, 1.0, 2.0])],
)
def test_ratios_beyond_what_there_is_are_not_tried(most, tried):
    assert reachable(most) == tried

"""Item popularity of sample frames, and which numbers the page draws."""

import pages
import pandas as pd
import pytest

from clickweave.evaluation.page.sections import picture_sections, sources
from clickweave.evaluation.pictures import popularity


def test_popularity_is_the_share_of_the_item_at_each_rank():
    frame = pd.DataFrame({"item_id": ["a"] * 5 + ["b"] * 3 + ["c"] * 2 + [None]})
    told = popularity({"train": frame, "synthetic": frame.iloc[::-1]})
    assert told["sides"]["train"] == told["sides"]["synthetic"] == [[1, 0.5], [2, 0.3], [3, 0.2]]
    assert told["rows"] == {"train": 10, "synthetic": 10}


def test_a_long_tail_is_told_at_few_ranks_from_the_first_to_the_last():
    frame = pd.DataFrame({"item_id": [str(item) for item in range(5000) for _ in range(1 + (item < 50))]})
    points = popularity({"train": frame})["sides"]["train"]
    assert len(points) <= 40
    assert (points[0][0], points[-1][0]) == (1, 5000)


def test_a_log_without_items_has_no_popularity():
    assert popularity({"train": pd.DataFrame({"item_id": [None, None]})}) == {}


def test_exact_counts_of_a_judge_win_over_those_of_samples():
    report = pages.full_report()
    assert set(sources.popularity(report)) == {"train", "synthetic", "holdout"}
    del report["details"]["F2"]
    assert set(sources.popularity(report)) == {"train"}


def test_uplift_has_slices_of_the_mixed_set_and_ratios_and_operators_apart():
    told = sources.uplift(pages.full_report())
    assert [row["name"] for row in told["slices"]] == ["all users", "cold users", "tail items", "head"]
    assert told["slices"][1] == {"name": "cold users", "gain": 0.08, "low": 0.03, "high": 0.13, "n": 1200}
    assert [row["ratio"] for row in told["ratios"]] == [0.1, 0.25, 0.5, 1.0, 2.0]
    assert [row["name"] for row in told["operators"]] == ["crop+substitute", "negatives"]


def test_what_could_not_be_said_is_not_drawn():
    report = pages.full_report()
    ranking = report["details"]["ranking"]
    ranking["uplifts"][0]["slices"]["cold_users"]["interval"] = [None, None]
    ranking["uplifts"][1]["relative"] = None
    ranking["sparsity"][0]["with_extra"] = {"ndcg": None, "interval": [None, None]}
    ranking["sparsity"][1]["with_extra"] = None
    told = sources.uplift(report)
    assert [row["name"] for row in told["slices"]] == ["all users", "tail items", "head"]
    assert [row["name"] for row in told["operators"]] == ["negatives"]
    assert ["with_extra" in row for row in told["sparsity"]] == [False, False, True, True, True]
    assert "uplift" in [section["id"] for section in picture_sections(report)]


@pytest.mark.parametrize("name", ["popularity", "rhythm", "flow"])
def test_a_section_without_numbers_is_not_there(name):
    report = pages.full_report()
    assert name in [section["id"] for section in picture_sections(report)]
    del report["pictures"][name]
    report["pictures"]["marginals"], report["details"] = [], {}
    assert name not in [section["id"] for section in picture_sections(report)]

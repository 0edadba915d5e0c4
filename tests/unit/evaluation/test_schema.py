"""report.json is what its schema says, and the schema tells a wrong report from a right one."""

import copy
import json

import pages
import papers
import pytest
from schemas import problems, report_schema

from clickweave.evaluation.shareable import without_single_rows

REPORTS = {
    "full": pages.full_report(),
    "minimal": pages.minimal_report(),
    "moved": pages.full_report(pages.MOVED),
    "shareable": without_single_rows(pages.full_report(), min_users=5),
    "papers": papers.drawn_report(),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_what_the_schema_says(name):
    assert problems(json.loads(json.dumps(REPORTS[name])), report_schema()) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema_version",), 2),
        (("surprise",), 1),
        (("counts", "train"), -1),
        (("counts", "train"), True),
        (("rows", 0, "grade"), "blue"),
        (("rows", 0, "score"), "0.9"),
        (("rows", 0, "interval"), [0.1]),
        (("verdict", "publishable"), "yes"),
        (("pictures", "flow", "shares", "train", 0, 0), 1.5),
        (("pictures", "scatter"), {}),
        (("lineage", 0), {"seconds": 1}),
    ],
    ids=str,
)
def test_a_wrong_report_is_told(path, value):
    report = copy.deepcopy(json.loads(json.dumps(REPORTS["full"])))
    inner = report
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert problems(report, report_schema()) != []

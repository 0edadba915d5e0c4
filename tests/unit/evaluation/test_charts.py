from xml.etree import ElementTree

import pytest

from clickweave.evaluation import charts

HOSTILE = '"><script>alert(1)</script>'
PICTURES = {
    "scatter": charts.scatter({"real": [(0.0, 0.0), (9.0, 9.0)]}, [(0.0, 1.0), (0.0, 1.0)], HOSTILE, HOSTILE),
    "lines": charts.lines({"train": [(1.0, 3.0)]}, HOSTILE, HOSTILE, names=(HOSTILE, HOSTILE)),
    "steps": charts.steps([0.0, 1.0, 2.0], {"real": [0.5, 0.5]}, HOSTILE, HOSTILE, labels=[(0.0, HOSTILE)]),
    "bars": charts.bars([HOSTILE, "b"], {"real": [0.0, 0.0]}, HOSTILE, HOSTILE),
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_well_formed_described_and_escaped(name):
    root = ElementTree.fromstring(PICTURES[name])
    assert root.find("title").text == HOSTILE
    assert root.find("desc").text == HOSTILE
    assert not root.findall(".//script")


def test_scatter_leaves_out_what_lies_outside_the_window():
    assert PICTURES["scatter"].count("h0") == 1


def test_lines_without_points_draw_nothing():
    assert charts.lines({}, "t", "a", names=("x", "y")) == ""
    assert charts.lines({"train": []}, "t", "a", names=("x", "y")) == ""

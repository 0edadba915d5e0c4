import re
from xml.etree import ElementTree

import pytest

from clickweave.evaluation.page import charts

HOSTILE = '"><script>alert(1)</script>'
GAIN = {"gain": 0.1, "low": 0.0, "high": 0.2, "n": None}
PICTURES = {
    "scatter": charts.scatter({"real": [(0.0, 0.0), (9.0, 9.0)]}, [(0.0, 1.0), (0.0, 1.0)], HOSTILE, HOSTILE),
    "lines": charts.lines({"train": [(1.0, 3.0)]}, HOSTILE, HOSTILE, names=(HOSTILE, HOSTILE)),
    "steps": charts.steps([0.0, 1.0, 2.0], {"real": [0.5, 0.5]}, HOSTILE, HOSTILE, labels=[(0.0, HOSTILE)]),
    "forest": charts.forest([GAIN | {"name": HOSTILE}], HOSTILE, HOSTILE, share=False, x_name=HOSTILE),
    "heat": charts.heat([HOSTILE, "b"], [[0.1, 0.2], [0.3, 0.0]], HOSTILE, HOSTILE, most=0.3),
    "path": charts.path([{"stage": HOSTILE, "seconds": 1.0}], HOSTILE, HOSTILE),
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


def coordinates(picture, css):
    """Numbers of the paths with a class, in the order they are drawn."""
    paths = [one.get("d") for one in ElementTree.fromstring(picture).iter("path") if one.get("class") == css]
    return [[tuple(map(float, pair.split())) for pair in re.findall(r"[\d.]+ [\d.]+", path)] for path in paths]


def test_equal_ratios_are_equal_ways_on_log_axes():
    points = [(1, 0.1), (10, 0.01), (100, 0.001)]
    ((first, second, third),) = coordinates(
        charts.lines({"real": points}, "t", "a", names=("x", "y"), log=True), "line k-real"
    )
    assert second[0] - first[0] == pytest.approx(third[0] - second[0], abs=0.2)
    assert second[1] - first[1] == pytest.approx(third[1] - second[1], abs=0.2)
    assert second[1] > first[1]  # downward on the screen


def test_log_axes_leave_out_what_has_no_logarithm():
    drawn = charts.lines({"real": [(0, 1.0), (1, 0.5), (10, 0.1)]}, "t", "a", names=("x", "y"), log=True)
    assert len(coordinates(drawn, "line k-real")[0]) == 2


def test_a_band_goes_out_over_its_upper_ends_and_back_over_its_lower_ones():
    band = {"mixed": [(0, -1, 1), (1, 0, 3)]}
    drawn = charts.lines({"mixed": [(0, 0), (1, 2)]}, "t", "a", names=("x", "y"), bands=band)
    ((a, b, c, d),) = coordinates(drawn, "band k-mixed")
    assert (a[0], b[0]) == (d[0], c[0])
    assert a[1] < d[1] and b[1] < c[1]


@pytest.mark.parametrize(("low", "high", "css"), [(0.1, 0.2, "sure"), (-0.2, -0.1, "harm"), (-0.1, 0.2, "unsure")])
def test_forest_fills_what_is_sure_alone(low, high, css):
    row = {"name": "x", "gain": (low + high) / 2, "low": low, "high": high, "n": 5}
    drawn = charts.forest([row], "t", "a", share=True, x_name="gain")
    assert f'class="square {css}"' in drawn


def test_heat_is_darkest_where_the_share_is_largest_and_signs_are_written():
    drawn = charts.heat(["a", "b"], [[0.4, -0.2], [0.0, 0.1]], "t", "a", most=0.4, signed=True)
    cells = list(ElementTree.fromstring(drawn).iter("rect"))
    assert [one.get("class") for one in cells] == ["cell more", "cell less", "cell more", "cell more"]
    assert [float(one.get("fill-opacity")) for one in cells] == [0.6, 0.3, 0.0, 0.15]
    assert "+40.0" in drawn and "-20.0" in drawn


def test_path_has_a_node_per_stage_and_augmentation_beside_it():
    stages = [{"stage": name, "seconds": 1.0, "rows_in": 5, "rows_out": None} for name in ("ingest", "augment", "mix")]
    drawn = charts.path(stages, "t", "a")
    assert drawn.count("<circle") == 3
    assert drawn.count('class="way beside"') == drawn.count('class="node beside"') == 1
    assert "5 → " in drawn

"""Charts: one SVG each, without scripts, whose lines stay inside the drawing."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest

from ftbuild.reporting.charts import Size, _ticks, line_chart

LOSSES = [(1, 4.0), (2, 3.0), (3, 2.0), (4, 1.0)]


def drawn(points: Sequence[tuple[float, float]], *, smooth: int = 8, size: Size | None = None) -> ET.Element:
    return ET.fromstring(line_chart(points, smooth=smooth, size=size))


def path(svg: ET.Element, name: str) -> list[tuple[float, float]]:
    (found,) = (p for p in svg.iter("path") if p.get("class") == name)
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", found.get("d") or "")]


@pytest.mark.parametrize("points", [[], [(1, 2.0)], [(1, 2.0), (2, math.nan)], [(1, math.inf), (2, math.nan)]])
def test_fewer_than_two_values_are_no_chart(points: list[tuple[float, float]]) -> None:
    assert line_chart(points) == ""


def test_a_chart_is_one_svg_with_a_point_for_every_value_twice() -> None:
    svg = drawn(LOSSES)
    assert svg.tag == "svg"
    assert svg.get("viewBox") == "0 0 720 220"
    assert len(path(svg, "faint")) == len(path(svg, "strong")) == 4
    assert {e.tag for e in svg.iter()} == {"svg", "line", "text", "path"}


def test_lines_go_from_edge_to_edge_and_lower_values_are_lower() -> None:
    points = path(drawn(LOSSES), "faint")
    assert [x for x, _ in points] == pytest.approx([44.0, 266.7, 489.3, 712.0], abs=0.1)
    assert [y for _, y in points] == sorted(y for _, y in points)


@pytest.mark.parametrize(
    "points",
    [
        LOSSES,
        [(1, 0.0), (2, 0.0)],
        [(1, 5.0), (1, 5.0)],
        [(0, 1e-9), (1, 2e-9)],
        [(10, 1e7), (5000, 3.0), (90000, 2e7)],
        [(n, 1 / (n + 1)) for n in range(500)],
    ],
)
def test_nothing_is_drawn_outside(points: list[tuple[float, float]]) -> None:
    size = Size(300, 100)
    svg = drawn(points, size=size)
    for name in ("faint", "strong"):
        for x, y in path(svg, name):
            assert size.left <= x <= size.width - size.right
            assert size.top <= y <= size.height - size.bottom
    for grid in svg.iter("line"):
        assert size.top <= float(grid.get("y1") or "nan") <= size.height - size.bottom


def test_the_strong_line_is_the_running_mean() -> None:
    faint, strong = (path(drawn(LOSSES, smooth=2), name) for name in ("faint", "strong"))
    means = [faint[0][1], *((a[1] + b[1]) / 2 for a, b in pairwise(faint))]
    assert [y for _, y in strong] == pytest.approx(means, abs=0.1)
    assert drawn(LOSSES, smooth=1).findall("path")[0].get("d") == drawn(LOSSES, smooth=1).findall("path")[1].get("d")


def test_values_that_are_no_numbers_are_left_out() -> None:
    assert line_chart([(1, math.nan), *LOSSES, (5, math.inf)]) == line_chart(LOSSES)


def test_a_chart_says_in_words_what_it_shows() -> None:
    assert drawn(LOSSES, smooth=2).get("aria-label") == "Training loss from 4.00 at step 1 to 1.50 at step 4"
    assert [t.text for t in drawn(LOSSES).iter("text")][-3:] == ["step 1", "step 2", "step 4"]


@pytest.mark.parametrize(
    ("top", "ticks"),
    [(1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (4.2, [0, 1, 2, 3, 4]), (0.0105, [0, 0.005, 0.01]), (1050, [0, 500, 1000])],
)
def test_ticks_are_round_numbers(top: float, ticks: list[float]) -> None:
    assert _ticks(top) == ticks


def test_there_are_three_to_six_ticks_for_every_loss() -> None:
    for n in range(1, 2000):
        assert 3 <= len(_ticks(n * 0.0137)) <= 6

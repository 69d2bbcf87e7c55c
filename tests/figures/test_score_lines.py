"""Lines of scores along a number: the axis fits the numbers, the bars are standard deviations."""

from __future__ import annotations

from typing import Any

import pytest

from dlcvcli.errors import DataError
from dlcvcli.figures.score_lines import Point, score_lines

LINES: dict[str, list[Point]] = {
    "A": [(50, 0.2, 0.02), (1000, 0.5, None)],
    "B": [(50, 0.4, 0.05)],
    "C": [],
}


def test_lines_have_their_points_and_labels() -> None:
    figure = score_lines(LINES, x="labelled images", y="top-1")
    axes: Any = figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale()) == (
        *("labelled images", "top-1", "log"),
    )  # fmt: skip
    assert [label.get_text() for label in axes.get_xticklabels()] == ["50", "1000"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["A", "B"]
    assert [list(one.lines[0].get_ydata()) for one in axes.containers] == [[0.2, 0.5], [0.4]]
    (bars,) = axes.containers[0].lines[2]
    assert [tuple(ends[:, 1]) for ends in bars.get_segments()] == [
        pytest.approx((0.18, 0.22)), pytest.approx((0.5, 0.5))
    ]  # fmt: skip


def test_close_numbers_and_0_have_a_linear_axis() -> None:
    for places in ((1, 4), (0, 1000)):
        lines = {"A": [(place, 0.5, None) for place in places]}
        assert score_lines(lines, x="x", y="y").axes[0].get_xscale() == "linear"


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(DataError, match="no run to draw"):
        score_lines({"A": []}, x="x", y="y")

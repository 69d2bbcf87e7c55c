"""Accuracies as points with intervals, and reported ones as hollow points."""

from __future__ import annotations

import numpy as np
import pytest

from dlcvcli.errors import DataError
from dlcvcli.figures.accuracy_points import accuracy_points


def test_each_run_has_a_row_with_its_interval() -> None:
    figure = accuracy_points({"a": [(0.5, 0.01)], "b": [(0.6, 0.02)]})
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]
    for (drawn, _, bars), (mean, half) in zip(
        axes.containers, [(0.5, 0.01), (0.6, 0.02)], strict=True
    ):
        assert drawn.get_xdata() == pytest.approx([mean])
        ends = np.asarray(bars[0].get_segments()[0])[:, 0]
        assert ends == pytest.approx([mean - half, mean + half])
    assert [text.get_text() for text in axes.texts] == ["0.5000", "0.6000"]
    assert not figure.legends


def test_each_seed_has_a_point_and_the_reported_accuracy_is_hollow() -> None:
    figure = accuracy_points({"a": [(0.5, 0.01), (0.52, None)]}, {"a": (0.55, 0.03)})
    (axes,) = figure.axes
    drawn = [one[0] for one in axes.containers]
    assert len(drawn) == 3
    assert len({float(one.get_ydata()[0]) for one in drawn}) == 3
    assert drawn[2].get_markerfacecolor() == "white"
    assert drawn[0].get_markerfacecolor() == drawn[0].get_color()
    # From top to bottom: the seeds, then the reported accuracy.
    assert drawn[0].get_ydata()[0] < drawn[1].get_ydata()[0] < drawn[2].get_ydata()[0]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["measured, each seed", "reported"]


def test_no_runs_are_refused() -> None:
    with pytest.raises(DataError, match="no run"):
        accuracy_points({})

"""Bars of classes with values, and error bars for several seeds."""

from __future__ import annotations

import pytest

from dlcvcli.errors import DataError
from dlcvcli.figures.class_bars import class_bars


def test_each_class_and_run_has_its_bar_and_value() -> None:
    figure = class_bars(
        ["sky", "tree"],
        {"one": {"sky": (0.9, 0.05), "tree": (0.25, None)}, "two": {"sky": (0.8, None)}},
    )
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [0.9, 0.25, 0.8, 0.0]
    assert [text.get_text() for text in axes.texts] == ["0.90", "0.25", "0.80", "not scored"]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["sky", "tree"]
    assert axes.get_xlabel() == "IoU, mean ± sd over seeds"
    assert len([box for box in axes.containers if type(box).__name__ == "ErrorbarContainer"]) == 1
    assert axes.get_xlim()[1] > 0.95


def test_single_seed_has_no_deviation_and_no_classes_are_refused() -> None:
    (axes,) = class_bars(["sky"], {"one": {"sky": (0.0, None)}}).axes
    assert axes.get_xlabel() == "IoU"
    with pytest.raises(DataError):
        class_bars([], {"one": {}})

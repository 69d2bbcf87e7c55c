"""Reliability diagrams."""

from __future__ import annotations

from typing import Any

import pytest

from dlcvcli.errors import DataError
from dlcvcli.figures.reliability import reliability_figure

EMPTY = {"low": 0.0, "high": 0.5, "count": 0, "accuracy": None, "confidence": None}
FULL = {"low": 0.5, "high": 1.0, "count": 4, "accuracy": 0.5, "confidence": 0.9}


def test_bars_end_at_the_accuracy_and_gaps_at_the_confidence() -> None:
    axes: Any = reliability_figure([EMPTY, FULL], 0.4).axes
    upper, lower = axes
    (bar,) = upper.patches
    assert (bar.get_height(), bar.get_x() + bar.get_width() / 2) == pytest.approx((0.5, 0.75))
    (gap,) = upper.collections[0].get_segments()
    assert gap.tolist() == [[0.9, 0.5], [0.9, 0.9]]
    assert [patch.get_height() for patch in lower.patches] == [1.0]
    assert "ECE 0.400" in [text.get_text() for text in upper.texts]


def test_no_prediction_is_refused() -> None:
    with pytest.raises(DataError, match="no prediction"):
        reliability_figure([EMPTY], 0.0)

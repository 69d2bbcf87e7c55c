"""The confusion matrix as a figure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlcvcli.errors import DataError
from dlcvcli.figures.confusion import confusion_figure

NAMES = ("sky", "road", "car")


def test_rows_are_in_per_cent_of_their_ground_truth_class() -> None:
    figure = confusion_figure(NAMES, [[90, 10, 0], [1, 999, 0], [0, 0, 0]])
    axes, bar = figure.axes
    shown: Any = axes.images[0].get_array()
    percent = np.ma.filled(shown, np.nan)
    np.testing.assert_allclose(percent[:2], [[90.0, 10.0, 0.0], [0.1, 99.9, 0.0]])
    assert np.isnan(percent[2]).all()
    assert [text.get_text() for text in axes.texts] == ["90", "10", "100"]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["sky (9.1%)", "road (90.9%)", "car (absent)"]
    assert bar.get_ylabel() == "% of the ground-truth class"
    assert axes.get_ylabel() == "ground truth (fraction of all pixels)"


def test_images_are_counted_where_asked_and_many_classes_fit() -> None:
    names = [f"class {index}" for index in range(65)]
    figure = confusion_figure(names, (5 * np.eye(65, dtype=int)).tolist(), unit="images")
    assert figure.axes[0].get_ylabel() == "ground truth (fraction of all images)"
    assert max(figure.get_size_inches()) < 18


def test_empty_or_non_square_matrix_is_refused() -> None:
    with pytest.raises(DataError, match="contains no pixels"):
        confusion_figure(NAMES, np.zeros((3, 3), dtype=int).tolist())
    with pytest.raises(DataError, match="does not match 3 classes"):
        confusion_figure(NAMES, [[1, 2], [3, 4]])

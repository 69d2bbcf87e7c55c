"""The confusion matrix as a figure."""

from __future__ import annotations

import numpy as np
import pytest

from dlcvcli.errors import DataError
from dlcvcli.figures.confusion import confusion_figure

NAMES = ("sky", "road", "car")


def test_rows_are_fractions_of_their_ground_truth_class() -> None:
    figure = confusion_figure(NAMES, [[90, 10, 0], [1, 999, 0], [0, 0, 0]])
    axes, bar = figure.axes
    fractions = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_allclose(fractions[:2], [[0.9, 0.1, 0.0], [0.001, 0.999, 0.0]])
    assert np.isnan(fractions[2]).all()
    assert [text.get_text() for text in axes.texts] == ["90", "10", "100"]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["sky (9.1%)", "road (90.9%)", "car (absent)"]
    assert bar.get_ylabel() == "fraction of ground truth, numbers in %"
    assert axes.get_ylabel() == "ground truth (fraction of all pixels)"


def test_empty_or_non_square_matrix_is_refused() -> None:
    with pytest.raises(DataError, match="contains no pixels"):
        confusion_figure(NAMES, np.zeros((3, 3), dtype=int).tolist())
    with pytest.raises(DataError, match="does not match 3 classes"):
        confusion_figure(NAMES, [[1, 2], [3, 4]])

"""Images with their predicted classes."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_hex

from dlcvcli.errors import DataError
from dlcvcli.figures.predictions import RIGHT, WRONG, Card, predictions_figure


def card(true: str, predicted: str, height: int = 8, width: int = 8) -> Card:
    """Return a black image."""
    return Card(np.zeros((height, width, 3), np.uint8), true, predicted, 0.875)


def test_wrong_predictions_have_a_red_frame_and_the_true_class() -> None:
    figure = predictions_figure({"right": [card("cat", "cat")], "wrong": [card("cat", "dog")]})
    (axes,) = figure.axes
    assert [to_hex(frame.get_edgecolor()) for frame in axes.patches] == [RIGHT.lower(), WRONG]
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["right", "cat 0.88", "wrong", "dog 0.88", "true: cat"]


def test_images_keep_their_proportions_and_long_names_are_shortened() -> None:
    figure = predictions_figure({"right": [card("n" * 30, "n" * 30, 4, 8)] * 3}, columns=2)
    (axes,) = figure.axes
    left, right, bottom, top = axes.images[0].get_extent()
    assert (right - left) / (bottom - top) == pytest.approx(2)
    assert axes.texts[1].get_text().endswith("n… 0.88")
    # The third image begins the second row.
    assert axes.images[2].get_extent()[0] == axes.images[0].get_extent()[0]


def test_no_image_is_refused() -> None:
    with pytest.raises(DataError, match="no image"):
        predictions_figure({"right": []})

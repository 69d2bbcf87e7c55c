"""The figure of an episode: predicted classes and principal components."""

from __future__ import annotations

import numpy as np
import pytest

from dlcvcli.figures.episode import EpisodePicture, episode_figure, principal_components


def test_principal_components_have_fractions_of_the_variance_and_a_fixed_sign() -> None:
    points = np.array([[3, 1, 0], [-3, 1, 0], [0, 2, 0], [0, 0, 0]], np.float32)
    projected, fractions = principal_components(points)
    assert np.abs(projected[:, 0]) == pytest.approx([3, 3, 0, 0], abs=1e-6)
    assert projected[0, 0] > 0
    assert fractions == pytest.approx((0.9, 0.1))


def test_misclassified_query_has_the_number_of_its_predicted_class() -> None:
    rng = np.random.default_rng(0)
    figure = episode_figure(
        EpisodePicture(
            title="conv4",
            names=("a", "b"),
            support=rng.integers(0, 256, (2, 1, 8, 8, 3)).astype(np.uint8),
            query=rng.integers(0, 256, (3, 8, 8, 3)).astype(np.uint8),
            answers=np.array([0, 1, 1]),
            predictions=np.array([0, 0, 1]),
            support_points=rng.random((2, 1, 4), np.float32),
            query_points=rng.random((3, 4), np.float32),
        )
    )
    assert figure.get_suptitle() == "conv4: 2 of 3 queries correct"
    images, points = figure.axes
    marks = [text.get_text() for text in images.texts if text.get_bbox_patch() is not None]
    assert marks == ["0"]
    assert points.get_xlabel().startswith("first principal component (")


def test_long_class_names_are_not_cut() -> None:
    rng = np.random.default_rng(0)
    names = ("Japanese_(hiragana)/character01", "W" * 28)
    figure = episode_figure(
        EpisodePicture(
            title="conv4",
            names=names,
            support=np.zeros((2, 1, 8, 8, 3), np.uint8),
            query=np.zeros((2, 8, 8, 3), np.uint8),
            answers=np.array([0, 1]),
            predictions=np.array([0, 1]),
            support_points=rng.random((2, 1, 4), np.float32),
            query_points=rng.random((2, 4), np.float32),
        )
    )
    figure.draw_without_rendering()
    named = [text for text in figure.axes[0].texts if text.get_horizontalalignment() == "right"]
    assert named[0].get_text().endswith("character01  0")
    assert all(text.get_window_extent().x0 >= 0 for text in named)

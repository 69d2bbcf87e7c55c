"""Few images that show all classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcvcli.data.cover import class_shares, greedy_cover
from dlcvcli.data.segmentation import open_split


def test_fractions_are_those_of_the_masks(landcover: Path) -> None:
    data = open_split(landcover, "train")
    fractions = class_shares(data)
    assert fractions.shape == (12, 7)
    np.testing.assert_allclose(fractions.sum(axis=1), 1.0)
    mask = data.read(3).mask
    assert fractions[3].tolist() == [float((mask == index).mean()) for index in range(7)]


def test_the_image_with_the_most_new_classes_comes_first() -> None:
    fractions = np.array([[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5], [0.3, 0.4, 0.3, 0], [0, 0, 0, 1.0]])
    assert greedy_cover(fractions, 4) == [2, 1, 0, 3]
    assert greedy_cover(fractions, 2) == [2, 1]


def test_what_is_hardly_visible_does_not_count_unless_there_is_no_better() -> None:
    fractions = np.array([[0.999, 0.001], [1.0, 0.0], [0.995, 0.005]])
    # The second class is largest in the last image, if small.
    assert greedy_cover(fractions, 1) == [2]
    assert greedy_cover(np.zeros((2, 3)), 5) == [0, 1]
    assert greedy_cover(np.zeros((0, 3)), 5) == []


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_as_many_images_as_classes_always_cover_what_occurs(
    images: int, classes: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    fractions = rng.random((images, classes)) * (rng.random((images, classes)) < 0.3)
    chosen = greedy_cover(fractions, classes)
    assert len(set(chosen)) == len(chosen) <= classes
    occurs = fractions.max(axis=0) > 0
    assert ((fractions[chosen] > 0).any(axis=0) == occurs).all()


def test_classes_are_shown_equally_often_once_all_are_shown() -> None:
    # Two classes alone in their images: the third image is of the class shown least.
    fractions = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    chosen = greedy_cover(fractions, 4)
    assert sorted(int(fractions[i, 1]) for i in chosen) == [0, 0, 1, 1]


@pytest.mark.parametrize("count", [1, 5])
def test_the_choice_is_the_same_each_time(count: int) -> None:
    fractions = np.random.default_rng(0).random((20, 8))
    assert greedy_cover(fractions, count) == greedy_cover(fractions, count)

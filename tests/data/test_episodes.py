"""Episodes: valid, without repetition, and the same each time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcvcli.data.episodes import Shape, draw_episode, require_enough
from dlcvcli.errors import DataError


@given(
    st.lists(st.integers(4, 30), min_size=3, max_size=12),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(1, 2),
    st.integers(0, 2**32 - 1),
    st.integers(0, 10**6),
)
def test_no_class_and_no_image_is_repeated(
    sizes: list[int], n_way: int, k_shot: int, n_query: int, seed: int, number: int
) -> None:
    episode = draw_episode(sizes, Shape(n_way, k_shot, n_query), seed, number)
    assert episode.support.shape == (n_way, k_shot)
    assert episode.query.shape == (n_way, n_query)
    images = np.concatenate([episode.support, episode.query], axis=1)
    assert len(np.unique(images)) == images.size
    # Each row is of one class, and no two rows of the same.
    owners = np.searchsorted(np.cumsum(sizes), images, side="right")
    assert (owners == owners[:, :1]).all()
    assert len(np.unique(owners[:, 0])) == n_way
    again = draw_episode(sizes, Shape(n_way, k_shot, n_query), seed, number)
    assert np.array_equal(again.support, episode.support)
    assert np.array_equal(again.query, episode.query)


def test_every_class_and_image_is_drawn_about_equally_often() -> None:
    sizes = [5, 10]
    counts = np.zeros(15)
    for number in range(3000):
        episode = draw_episode(sizes, Shape(1, 1, 1), 0, number)
        counts[episode.support] += 1
    # Classes are drawn alike, whatever their size: each image of the larger one half as often.
    np.testing.assert_allclose(counts, [300] * 5 + [150] * 10, rtol=0.3)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [([20] * 4, "4 classes, too few for 5 ways"), ([20] * 5 + [15], "the smallest 15")],
)
def test_a_set_that_is_too_small_is_refused(sizes: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        require_enough(sizes, Shape(5, 1, 15), "synthetic")
    require_enough([16] * 5, Shape(5, 1, 15), "synthetic")

"""Tiles cover the image, are blended, and do not change a pointwise network."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcvcli.data.reading import Pixels
from dlcvcli.errors import UsageError
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.segmentation.predictor import Logits
from dlcvcli.tasks.segmentation.tiles import Tiled, starts, window
from tests.tasks.segmentation.pointwise import Pointwise, pictures


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 40), st.integers(2, 40), st.data())
def test_a_pointwise_network_gives_the_same_in_tiles(
    height: int, width: int, data: st.DataObject
) -> None:
    tile = data.draw(st.integers(2, 20)), data.draw(st.integers(2, 20))
    overlap = data.draw(st.integers(0, min(tile) // 2))
    images = pictures(2, height, width)
    untiled = Pointwise()
    tiled = Tiled(Pointwise(), tile, overlap, batch_size=data.draw(st.integers(1, 5)))
    size = height, width
    expected = untiled.logits(images, size, StageClock())
    np.testing.assert_allclose(tiled.logits(images, size, StageClock()), expected, rtol=1e-5)
    # Rounding of a weighted sum may break ties either way, so tied pixels are excluded.
    best = np.sort(expected, axis=1)
    clear = best[:, -1] - best[:, -2] > 1e-3
    masks = tiled(images, size, StageClock())
    assert masks.dtype == np.uint8
    assert np.array_equal(masks[clear], expected.argmax(axis=1)[clear])


@given(st.integers(1, 300), st.integers(1, 100), st.integers(0, 50))
def test_tiles_cover_a_length_with_the_requested_overlap(
    length: int, part: int, overlap: int
) -> None:
    # In an image smaller than a tile, the overlap may be the complete part.
    overlap = min(overlap, part - 1 if part < length else part)
    part = min(part, length)
    offsets = starts(length, part, overlap)
    assert offsets[0] == 0
    assert offsets[-1] + part == length
    assert all(0 < b - a <= part - overlap for a, b in pairwise(offsets))


def test_the_weights_of_neighbours_add_up_to_one_in_their_overlap() -> None:
    weights = window((20, 10), 4)[10]
    np.testing.assert_allclose(weights[-4:] + weights[:4], 1.0)
    assert (window((8, 8), 0) == 1).all()


class Numbered(Pointwise):
    """Returns the number of the call as the logits of its tile."""

    def logits(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Logits:
        self.seen.append(images.shape)
        return np.full((len(images), 1, *size), len(self.seen) - 1, dtype=np.float32)


def test_overlapping_tiles_are_blended_linearly() -> None:
    tiled = Tiled(Numbered(), (16, 16), 8, batch_size=1)
    # The second call is the second tile: from 0 to 1 over the columns 8 to 15.
    row = tiled.logits(pictures(1, 16, 24), (16, 24), StageClock())[0, 0, 1]
    assert (row[:8] == 0).all()
    assert (row[16:] == 1).all()
    np.testing.assert_allclose(row[8:16], (np.arange(8) + 0.5) / 8, rtol=1e-5)


@pytest.mark.parametrize("side", [1, 7, 8, 9])
def test_an_image_as_small_as_the_overlap_is_not_tiled(side: int) -> None:
    images = pictures(1, side, 3 * side)
    masks = Tiled(Pointwise(), (64, 64), 8)(images, (side, 3 * side), StageClock())
    assert np.array_equal(masks, Pointwise()(images, (side, 3 * side), StageClock()))


def test_all_tiles_have_one_size_and_a_small_image_is_not_tiled() -> None:
    inner = Pointwise()
    Tiled(inner, (16, 16), 4, batch_size=1)(pictures(1, 37, 50), (37, 50), StageClock())
    assert set(inner.seen) == {(1, 16, 16, 3)}
    small = Pointwise()
    Tiled(small, (64, 64), 8)(pictures(1, 37, 50), (37, 50), StageClock())
    assert small.seen == [(1, 37, 50, 3)]


def test_memory_is_limited_to_one_row_of_tiles() -> None:
    images = np.zeros((1, 2048, 1024, 3), dtype=np.uint8)
    tiled = Tiled(Pointwise(), (64, 64), 8)
    tracemalloc.start()
    tiled(images, (2048, 1024), StageClock())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All logits would be 24 MiB; a row of them is 0.75, and the mask 2.
    assert peak < 6 * 2**20


@pytest.mark.parametrize("overlap", [9, 16, -1])
def test_an_overlap_beyond_half_a_tile_is_refused(overlap: int) -> None:
    with pytest.raises(UsageError, match="does not fit tiles of 16x20") as caught:
        Tiled(Pointwise(), (16, 20), overlap)
    assert caught.value.hint == "choose 0 to 8"


def test_tiles_are_refused_for_a_model_that_resizes_images() -> None:
    with pytest.raises(UsageError, match="stretches images to 32x48"):
        Tiled(Pointwise(size=(32, 48)), (16, 16), 4)


def test_a_tiled_predictor_describes_itself() -> None:
    tiled = Tiled(Pointwise(), (16, 20), 4)
    assert tiled.notes == {"device": "CPU", "tile": [16, 20], "overlap": 4}
    assert (tiled.backend, tiled.provider, tiled.card.model) == ("synthetic", "cpu", "synthetic")

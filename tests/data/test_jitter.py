"""Random affine transforms: none at all, known ones, and within their limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dlcvcli.config.schema import JitterSettings
from dlcvcli.data.jitter import jitter


def dots(count: int = 64, side: int = 33, at: tuple[int, int] = (16, 26)) -> torch.Tensor:
    """Return white images with a black square of three pixels at (row, column)."""
    images = torch.full((count, side, side, 3), 255, dtype=torch.uint8)
    row, column = at
    images[:, row - 1 : row + 2, column - 1 : column + 2] = 0
    return images


def places(images: torch.Tensor) -> np.ndarray:
    """Return the centre of the dark pixels of each image, [N, (row, column)]."""
    dark = 255 - images[..., 0].double().numpy()
    grid = np.arange(images.shape[1])
    total = dark.sum((1, 2))
    rows, columns = (dark.sum(2) * grid).sum(1), (dark.sum(1) * grid).sum(1)
    return np.stack([rows / total, columns / total], axis=1)


def test_nothing_leaves_every_pixel() -> None:
    images = torch.randint(0, 256, (3, 5, 7, 3), dtype=torch.uint8)
    assert jitter(images, JitterSettings(), np.random.default_rng(0)) is images
    flipped = jitter(images, JitterSettings(flip=1.0), np.random.default_rng(0))
    assert torch.equal(flipped, images.flip(2))


@pytest.mark.parametrize(
    ("settings", "rows", "columns"),
    [
        # A dot 10 right of the centre: along the circle by 30 degrees, or along the line to it.
        (JitterSettings(rotate=30), (11, 21), (16 + 10 * np.cos(np.pi / 6), 26)),
        (JitterSettings(scale=(0.5, 1.2)), (16, 16), (21, 28)),
        (JitterSettings(shift=0.1), (12.7, 19.3), (22.7, 29.3)),
        (JitterSettings(shear=30), (16, 16), (26, 26)),
    ],
)
def test_transforms_stay_within_their_limits_and_reach_them(
    settings: JitterSettings, rows: tuple[float, float], columns: tuple[float, float]
) -> None:
    moved = jitter(dots(256), settings, np.random.default_rng(0))
    assert moved.dtype == torch.uint8
    positions = places(moved)
    for axis, (low, high) in enumerate((rows, columns)):
        assert positions[:, axis].min() >= low - 0.2
        assert positions[:, axis].max() <= high + 0.2
        assert np.ptp(positions[:, axis]) >= 0.8 * (high - low)


def test_a_circle_stays_round_in_an_image_that_is_not_square() -> None:
    images = torch.full((200, 21, 61, 3), 255, dtype=torch.uint8)
    images[:, 9:12, 37:40] = 0  # 8 right of the centre
    moved = jitter(images, JitterSettings(rotate=90), np.random.default_rng(1))
    dark = 255 - moved[..., 0].double().numpy()
    rows = (dark.sum(2) * np.arange(21)).sum(1) / dark.sum((1, 2)) - 10
    columns = (dark.sum(1) * np.arange(61)).sum(1) / dark.sum((1, 2)) - 30
    np.testing.assert_allclose(np.hypot(rows, columns), 8, atol=0.35)


def test_the_same_generator_moves_alike_and_images_apart() -> None:
    settings = JitterSettings(rotate=20, shear=5, scale=(0.9, 1.1), shift=0.05, flip=0.5)
    one, two = (jitter(dots(4), settings, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one[0], one[1])

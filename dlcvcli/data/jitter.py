"""Random affine transforms of images: rotated, scaled, sheared, shifted, flipped."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dlcvcli.config.schema import JitterSettings


def jitter(images: Tensor, settings: JitterSettings, rng: np.random.Generator) -> Tensor:
    """Return the images, each transformed at random about its centre.

    Interpolation is bilinear; pixels from beyond the border take the colour of the border.

    Args:
        images: uint8 ``[N, H, W, 3]``.
        settings: the limits of each transform; if all are off, the images are returned unchanged.
        rng: the source of every draw.

    Returns:
        uint8 ``[N, H, W, 3]``.
    """
    if settings.is_off:
        return images
    count = len(images)
    angle = np.deg2rad(rng.uniform(-settings.rotate, settings.rotate, count))
    shear = np.tan(np.deg2rad(rng.uniform(-settings.shear, settings.shear, count)))
    low, high = np.log(settings.scale)
    scale = np.exp(rng.uniform(low, high, count))
    mirror = np.where(rng.random(count) < settings.flip, -1.0, 1.0)
    shift = rng.uniform(-2 * settings.shift, 2 * settings.shift, (2, count))
    height, width = images.shape[1:3]
    # The source of each pixel, in units of half a side; the ratio keeps circles round.
    ratio = height / width
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    theta = np.stack(
        [
            np.stack([mirror * cos, mirror * (shear * cos - sin) * ratio, shift[0]], axis=-1),
            np.stack([sin / ratio, shear * sin + cos, shift[1]], axis=-1),
        ],
        axis=1,
    )
    grid = F.affine_grid(
        torch.from_numpy(theta).float(), [count, 3, height, width], align_corners=False
    )
    moved = F.grid_sample(
        images.permute(0, 3, 1, 2).float(),
        grid,
        mode="bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return moved.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1)

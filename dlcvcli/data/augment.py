"""Random augmentation of a training image and its mask.

Every draw comes from the one `numpy` generator that the caller passes. It is seeded by (seed,
epoch, sample), so that neither the number of loader workers nor an interruption changes a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from dlcvcli.config.schema import AugmentSettings

Rng = np.random.Generator


@dataclass(frozen=True)
class Window:
    """A rectangle of the source image, in pixels; it may reach beyond the image."""

    top: int
    left: int
    height: int
    width: int


def draw_window(
    rng: Rng, image: tuple[int, int], crop: tuple[int, int], scale: tuple[float, float]
) -> Window:
    """Return a random window of an image that, resized to the crop, has a random scale.

    Cropping before resizing gives the same view as scaling the complete image first, at the cost
    of the crop alone. Where the window is larger than the image, the image lies at a random place
    inside it.

    Args:
        rng: the source of every draw.
        image, crop: (height, width) in pixels.
        scale: smallest and largest scale, drawn log-uniformly.
    """
    factor = float(np.exp(rng.uniform(np.log(scale[0]), np.log(scale[1]))))
    height, width = (max(1, round(side / factor)) for side in crop)
    top, left = (
        int(rng.integers(min(0, have - want), max(0, have - want) + 1))
        for have, want in zip(image, (height, width), strict=True)
    )
    return Window(top, left, height, width)


def cut_window(image: Tensor, window: Window, fill: Tensor | int) -> Tensor:
    """Return a window of an image, filled where it reaches beyond the image.

    Args:
        image: uint8 [C, H, W].
        window: the rectangle.
        fill: one value, or one per channel.

    Returns:
        uint8 [C, h, w], h and w of the window.
    """
    height, width = image.shape[-2:]
    top, left = max(0, window.top), max(0, window.left)
    bottom = min(height, window.top + window.height)
    right = min(width, window.left + window.width)
    part = image[:, top:bottom, left:right]
    margins = (
        left - window.left,
        window.left + window.width - right,
        top - window.top,
        window.top + window.height - bottom,
    )
    if not any(margins):
        return part
    if isinstance(fill, int):
        return pad(part, margins, value=fill)
    canvas = fill.view(-1, 1, 1).expand(-1, window.height, window.width).clone()
    canvas[:, margins[2] : margins[2] + part.shape[1], margins[0] : margins[0] + part.shape[2]] = (
        part
    )
    return canvas


class SegmentationAugment:
    """Random scale, crop, horizontal flip and colour jitter of an image and its mask.

    Args:
        settings: the strength of each change.
        crop: (height, width) of the result.
        fill: RGB, 0 to 255, of the area beyond the image; the mean colour normalises to 0.
        ignore_index: id of the mask in that area.
    """

    def __init__(
        self,
        settings: AugmentSettings,
        crop: tuple[int, int],
        fill: tuple[int, int, int],
        ignore_index: int,
    ) -> None:
        self.settings = settings
        self.crop = crop
        self.fill = torch.tensor(fill, dtype=torch.uint8)
        self.ignore_index = ignore_index

    def __call__(
        self, rng: Rng, image: Tensor, mask: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return an augmented copy.

        Args:
            rng: the source of every draw.
            image: uint8 [3, H, W].
            mask: uint8 [H, W]; None for an image without a mask, which is changed all the same.

        Returns:
            uint8 [3, h, w] and uint8 [h, w] or None; h and w are those of the crop.
        """
        height, width = image.shape[-2:]
        window = draw_window(rng, (height, width), self.crop, self.settings.scale)
        image = cut_window(image, window, self.fill)
        if image.shape[-2:] != self.crop:
            image = F.resize(image, list(self.crop), antialias=True)
        flip = rng.random() < self.settings.flip
        if flip:
            image = image.flip(-1)
        if mask is not None:
            mask = self._move(mask, window, flip=flip)
        return jitter_colours(rng, image, self.settings), mask

    def _move(self, mask: Tensor, window: Window, *, flip: bool) -> Tensor:
        """Return a mask, uint8 [H, W], cropped, resized and flipped as its image was."""
        moved = cut_window(mask[None], window, self.ignore_index)
        if moved.shape[-2:] != self.crop:
            moved = F.resize(moved, list(self.crop), interpolation=InterpolationMode.NEAREST_EXACT)
        return (moved.flip(-1) if flip else moved)[0]


class ColourSettings(Protocol):
    """The strength of each change of colours, as a largest change of its factor."""

    @property
    def brightness(self) -> float:
        """Of the brightness factor."""

    @property
    def contrast(self) -> float:
        """Of the contrast factor."""

    @property
    def saturation(self) -> float:
        """Of the saturation factor."""

    @property
    def hue(self) -> float:
        """Of the hue, in turns of the colour wheel."""


def jitter_colours(rng: Rng, image: Tensor, strength: ColourSettings) -> Tensor:
    """Return an image, uint8 [3, H, W], with random brightness, contrast, saturation and hue."""
    # Always four draws, so that turning one change off does not alter the others.
    light, contrast, saturation, hue = rng.uniform(-1, 1, size=4)
    if strength.brightness:
        image = F.adjust_brightness(image, 1 + strength.brightness * light)
    if strength.contrast:
        image = F.adjust_contrast(image, 1 + strength.contrast * contrast)
    if strength.saturation:
        image = F.adjust_saturation(image, 1 + strength.saturation * saturation)
    if strength.hue:
        image = F.adjust_hue(image, strength.hue * hue)
    return image

"""Random augmentation of images by class: crops, flips, colours, RandAugment, erasing.

Every draw comes from the `numpy` generator that the caller passes; see `augment`. A change that is
turned off takes its draws too, so that the others stay the same.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from dlcvcli.config.schema import ImageAugmentSettings
from dlcvcli.data.augment import Window, cut_window, jitter_colours
from dlcvcli.data.normalise import MEAN_COLOUR

Rng = np.random.Generator

# Area and aspect ratio of an erased rectangle (Zhong et al. 2020, arXiv:1708.04896, section 4.1).
_ERASED_AREA, _ERASED_RATIO = (0.02, 0.33), (0.3, 1 / 0.3)


class ImageAugment:
    """Changes an image at random.

    Args:
        settings: the strength of each change.
        size: (height, width) of the result.
    """

    def __init__(self, settings: ImageAugmentSettings, size: tuple[int, int]) -> None:
        self.settings = settings
        self.size = size
        self.fill = torch.tensor(MEAN_COLOUR, dtype=torch.uint8)
        self._randaugment = v2.RandAugment(
            settings.randaugment, settings.magnitude, fill=list(map(float, MEAN_COLOUR))
        )

    def __call__(self, rng: Rng, image: Tensor, mask: Tensor | None) -> tuple[Tensor, None]:
        """Return an augmented copy.

        Args:
            rng: the source of every draw.
            image: uint8 [3, H, W].
            mask: None.

        Returns:
            uint8 [3, h, w] of the size, and None.
        """
        s = self.settings
        image = self._crop(rng, image)
        if rng.random() < s.flip:
            image = image.flip(-1)
        image = jitter_colours(rng, image, s)
        if rng.random() < s.grey:
            image = F.rgb_to_grayscale(image, num_output_channels=3)
        seed = int(rng.integers(2**63))
        if s.randaugment:
            # Torchvision draws from the global generator of torch.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                image = self._randaugment(image)
        if rng.random() < s.erase:
            image = self._erase(rng, image)
        return image, None

    def _crop(self, rng: Rng, image: Tensor) -> Tensor:
        s = self.settings
        height, width = image.shape[-2:]
        window = draw_crop(rng, (height, width), s.scale, s.ratio)
        image = cut_window(image, window, self.fill)
        if image.shape[-2:] != self.size:
            image = F.resize(image, list(self.size), antialias=True)
        top, left = (_draw_offset(rng, 2 * s.pad) - s.pad for _ in range(2))
        return cut_window(image, Window(top, left, *self.size), self.fill)

    def _erase(self, rng: Rng, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        window = draw_crop(rng, (height, width), _ERASED_AREA, _ERASED_RATIO)
        image = image.clone()
        rows = slice(window.top, window.top + window.height)
        columns = slice(window.left, window.left + window.width)
        image[:, rows, columns] = self.fill.view(3, 1, 1)
        return image


def draw_crop(
    rng: Rng, image: tuple[int, int], scale: tuple[float, float], ratio: tuple[float, float]
) -> Window:
    """Return a random rectangle inside an image (Szegedy et al. 2015, arXiv:1409.4842, section 6).

    Args:
        rng: the source of every draw.
        image: (height, width) in pixels.
        scale: fraction of the image's area, drawn uniformly.
        ratio: width / height, relative to that of the image, drawn log-uniformly; with a scale of
            1 it has no effect, since the complete image is taken.
    """
    height, width = image
    area = rng.uniform(*scale)
    aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
    # The largest aspect ratio that the area leaves inside the image.
    aspect = min(max(aspect, area), 1 / area)
    own = (
        min(height, max(1, round(height * math.sqrt(area / aspect)))),
        min(width, max(1, round(width * math.sqrt(area * aspect)))),
    )
    top, left = (_draw_offset(rng, have - want) for have, want in zip(image, own, strict=True))
    return Window(top, left, *own)


def _draw_offset(rng: Rng, most: int) -> int:
    """Return a random whole number from 0 to `most`."""
    # `integers` takes no draw where there is one choice only.
    return int(rng.random() * (most + 1))

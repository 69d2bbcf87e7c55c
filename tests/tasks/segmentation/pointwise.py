"""A predictor whose logits at a pixel depend on that pixel alone, so that all views agree."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from dlcvcli.data.reading import Pixels
from dlcvcli.palette import PRESETS, Mask
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.segmentation.card import SegmenterCard
from dlcvcli.tasks.segmentation.predictor import Logits


class Pointwise:
    """Returns three logits, one for each colour channel, and records the sizes of its inputs."""

    backend = "synthetic"
    provider = "cpu"
    precision = "fp32"
    on_gpu = False
    tile: tuple[int, int] | None = None

    def __init__(self, size: tuple[int, int] | None = None) -> None:
        self.card = SegmenterCard("seg", "synthetic", PRESETS["voc21"], 1, size=size)
        self.notes: dict[str, Any] = {"device": "CPU"}
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Mask:
        return np.asarray(self.logits(images, size, clock).argmax(axis=1), dtype=np.uint8)

    def logits(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Logits:
        self.seen.append(images.shape)
        with clock.stage("run"):
            logits = images.astype(np.float32).transpose(0, 3, 1, 2) / 16
            if images.shape[1:3] == size:
                return logits
            planes = [
                [
                    np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR))
                    for plane in image
                ]
                for image in logits
            ]
            return np.asarray(planes, dtype=np.float32)


def pictures(count: int, height: int, width: int) -> Pixels:
    """Return random images, uint8 [count, height, width, 3]."""
    return np.random.default_rng(0).integers(0, 256, (count, height, width, 3)).astype(np.uint8)

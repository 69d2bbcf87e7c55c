"""Files of masks, written like those of an evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dlcvcli.data.masks import write_mask
from dlcvcli.palette import PRESETS, Mask

CLASSES = PRESETS["camvid11"]
SHAPES = [(20, 30), (30, 20), (17, 9)]


def write_masks(folder: Path, masks: dict[str, Mask]) -> Path:
    """Write masks like an evaluation."""
    folder.mkdir(parents=True)
    for name, mask in masks.items():
        write_mask(folder / f"{name}.png", mask, CLASSES)
    return folder


def some_masks() -> dict[str, Mask]:
    rng = np.random.default_rng(0)
    return {str(i): rng.integers(0, 11, size).astype(np.uint8) for i, size in enumerate(SHAPES)}

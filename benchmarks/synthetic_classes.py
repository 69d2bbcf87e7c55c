"""Synthetic images by class, as files: what the few-shot benchmarks train on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

IMAGES = {"mini": 100, "omniglot": 20}
"""Images per class of each kind of set."""


def make_classes(folder: Path, kind: str, *, classes: int, seed: int) -> None:
    """Write a split: one folder per class, with `IMAGES[kind]` images in each.

    Args:
        folder: the folder of the split, named after it.
        kind: `mini`: colour JPEG of 84x84 like mini-ImageNet; `omniglot`: black strokes on white,
            PNG of 105x105 with one bit per pixel like Omniglot.
        classes: number of classes.
        seed: seed of all random choices.
    """
    rng = np.random.default_rng(seed)
    make, suffix = (_blotches, "jpg") if kind == "mini" else (_glyph, "png")
    for index in range(classes):
        inner = folder / f"class{index:03}"
        inner.mkdir(parents=True)
        # A class is a coarse picture, or the corners of a stroke; its images are noisy copies.
        of_class = rng.random((8, 8, 3) if kind == "mini" else (6, 2))
        for number in range(IMAGES[kind]):
            make(of_class, rng).save(inner / f"{number:04}.{suffix}")


def _blotches(coarse: np.ndarray, rng: np.random.Generator) -> Image.Image:
    noisy = coarse + 0.25 * rng.standard_normal(coarse.shape)
    small = Image.fromarray((noisy.clip(0, 1) * 255).astype(np.uint8))
    large = np.asarray(small.resize((84, 84), Image.Resampling.BICUBIC), np.float32)
    grain = 12 * rng.standard_normal(large.shape, np.float32)
    return Image.fromarray((large + grain).clip(0, 255).astype(np.uint8))


def _glyph(corners: np.ndarray, rng: np.random.Generator) -> Image.Image:
    noisy = 10 + 85 * corners + 3 * rng.standard_normal(corners.shape)
    image = Image.new("1", (105, 105), 1)
    points = [(float(x), float(y)) for x, y in noisy]
    ImageDraw.Draw(image).line(points, fill=0, width=3, joint="curve")
    return image

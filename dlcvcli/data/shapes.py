"""A synthetic classification set: textured shapes on cluttered backgrounds.

The class is the outline alone: colour, texture, size, rotation, place and background are random,
part of the shape may be covered, and the image has noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.reading import Pixels, Progress, read_ahead
from dlcvcli.data.writing import write_image
from dlcvcli.files import new_folder
from dlcvcli.machine import usable_cores

Rng = np.random.Generator
Field = NDArray[np.float64]
Inside = Callable[[Field, Field], NDArray[np.bool_]]


def _polygon(corners: int) -> Inside:
    """Return a regular polygon with corners at distance 1."""

    def inside(x: Field, y: Field) -> NDArray[np.bool_]:
        angle = np.mod(np.arctan2(x, y), 2 * math.pi / corners) - math.pi / corners
        return np.asarray(np.hypot(x, y) * np.cos(angle) <= math.cos(math.pi / corners))

    return inside


def _star(x: Field, y: Field) -> NDArray[np.bool_]:
    angle = np.mod(np.arctan2(x, y), 2 * math.pi / 5)
    # The radius falls from a tip to the notch between two tips, and rises again.
    share = np.abs(angle - math.pi / 5) / (math.pi / 5)
    return np.asarray(np.hypot(x, y) <= 0.42 + 0.58 * share**1.6)


def _heart(x: Field, y: Field) -> NDArray[np.bool_]:
    x, y = 1.25 * x, -1.25 * y + 0.1
    return np.asarray((x**2 + y**2 - 1) ** 3 <= x**2 * y**3)


def _arrow(x: Field, y: Field) -> NDArray[np.bool_]:
    shaft = (np.abs(x) <= 0.22) & (y >= -0.1) & (y <= 0.95)
    tip = (y <= 0) & (np.abs(x) <= 0.8 * (y + 0.95))
    return np.asarray(shaft | tip)


SHAPES: dict[str, Inside] = {
    "arrow": _arrow,
    "circle": lambda x, y: np.hypot(x, y) <= 0.85,
    "crescent": lambda x, y: (np.hypot(x, y) <= 0.95) & (np.hypot(x - 0.42, y) > 0.72),
    "cross": lambda x, y: (
        (np.minimum(np.abs(x), np.abs(y)) <= 0.28) & (np.maximum(np.abs(x), np.abs(y)) <= 0.9)
    ),
    "heart": _heart,
    "hexagon": _polygon(6),
    "ring": lambda x, y: (np.hypot(x, y) <= 0.95) & (np.hypot(x, y) > 0.55),
    "square": _polygon(4),
    "star": _star,
    "triangle": _polygon(3),
}
"""Class -> whether points are inside its outline, which fits into the unit circle."""


def make_shapes(
    folder: Path,
    *,
    train: int = 2000,
    validation: int = 400,
    size: tuple[int, int] = (64, 64),
    seed: int = 0,
    progress: Progress | None = None,
) -> None:
    """Write a set of `train/CLASS/*.png` and `val/CLASS/*.png`, the classes equally often.

    Args:
        folder: a new folder.
        train, validation: number of images of each split; a few more of the first classes where
            the number is no multiple of the classes.
        size: (height, width).
        seed: the same seed gives the same files.
        progress: called with (images done, images in all).

    The folder appears when the set is complete.

    Raises:
        DataError: the folder is not empty.
    """
    names = tuple(SHAPES)
    jobs = [
        (split, number, index)
        for number, (split, count) in enumerate((("train", train), ("val", validation)))
        for index in range(count)
    ]
    threads = min(8, usable_cores())
    with new_folder(folder) as partial:
        for split in ("train", "val"):
            for name in names:
                (partial / split / name).mkdir(parents=True)

        def write(job: tuple[str, int, int]) -> None:
            split, number, index = job
            name = names[index % len(names)]
            image = draw_shape(np.random.default_rng((seed, number, index)), name, size)
            write_image(partial / split / name / f"{index:05d}.png", image, "PNG")

        for done, _ in enumerate(read_ahead(write, jobs, threads=threads, ahead=4 * threads), 1):
            if progress is not None:
                progress(done, len(jobs))


def draw_shape(rng: Rng, name: str, size: tuple[int, int]) -> Pixels:
    """Return an image of a shape, uint8 [H, W, 3].

    Args:
        rng: the source of every draw.
        name: a key of `SHAPES`.
        size: (height, width).
    """
    background, ground = _two_colours(rng)
    canvas = _textured(rng, size, ground)
    for _ in range(int(rng.integers(2, 6))):
        # Thin bars of other colours, behind the shape.
        _lay(canvas, _bar(rng, size), _textured(rng, size, rng.uniform(0, 1, 3)))
    _lay(canvas, _placed(rng, size, SHAPES[name]), _textured(rng, size, background))
    if rng.random() < 0.5:
        _lay(canvas, _bar(rng, size), _textured(rng, size, rng.uniform(0, 1, 3)))
    canvas = (canvas - 0.5) * rng.uniform(0.7, 1.1) + 0.5 + rng.uniform(-0.08, 0.08)
    canvas += rng.normal(0, rng.uniform(0.01, 0.06), canvas.shape)
    return (canvas.clip(0, 1) * 255).round().astype(np.uint8)


def _two_colours(rng: Rng) -> tuple[Field, Field]:
    """Return two colours that differ enough to see one on the other."""
    while True:
        one, other = rng.uniform(0.05, 0.95, 3), rng.uniform(0.05, 0.95, 3)
        if np.abs(one - other).sum() > 0.8:
            return one, other


def _grid(size: tuple[int, int]) -> tuple[Field, Field]:
    """Return x and y of the pixels, in half sides of the shorter one from the centre."""
    height, width = size
    half = min(size) / 2
    y, x = np.mgrid[:height, :width]
    return (x + 0.5 - width / 2) / half, (y + 0.5 - height / 2) / half


def _turned(rng: Rng, x: Field, y: Field) -> tuple[Field, Field]:
    angle = rng.uniform(0, 2 * math.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * x + sin * y, cos * y - sin * x


def _placed(rng: Rng, size: tuple[int, int], shape: Inside) -> NDArray[np.bool_]:
    x, y = _grid(size)
    scale = rng.uniform(0.4, 0.8)
    reach = 1 - scale
    x, y = _turned(rng, x - rng.uniform(-reach, reach), y - rng.uniform(-reach, reach))
    stretch = rng.uniform(0.85, 1.15)
    return shape(x / scale * stretch, y / scale / stretch)


def _bar(rng: Rng, size: tuple[int, int]) -> NDArray[np.bool_]:
    x, y = _turned(rng, *_grid(size))
    return np.asarray(
        (np.abs(x - rng.uniform(-1, 1)) <= rng.uniform(0.03, 0.12))
        & (np.abs(y - rng.uniform(-1, 1)) <= rng.uniform(0.3, 1.2))
    )


def _textured(rng: Rng, size: tuple[int, int], colour: Field) -> Field:
    """Return an area of a colour with stripes or blotches, float64 [H, W, 3] in about [0, 1]."""
    x, y = _turned(rng, *_grid(size))
    waves = np.sin(x * rng.uniform(3, 16) + rng.uniform(0, 6))
    if rng.random() < 0.5:
        waves = waves * np.sin(y * rng.uniform(3, 16) + rng.uniform(0, 6))
    tint = rng.uniform(-0.25, 0.25, 3) * rng.random()
    return np.asarray(colour + waves[..., None] * tint)


def _lay(canvas: Field, where: NDArray[np.bool_], area: Field) -> None:
    canvas[where] = area[where]

"""Class colours that can be distinguished with any colour vision."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dlcvcli.palette import ClassSet, Colour

Floats = NDArray[np.float64]

# Okabe and Ito 2008, "Color Universal Design", without black, which marks pixels without a label.
_FIRST: tuple[Colour, ...] = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (86, 180, 233),
    (204, 121, 167),
)

# Transforms of linear RGB for normal vision and for vision without one kind of cone, from Machado,
# Oliveira and Fernandes 2009, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", severity 1.0.
_VISIONS = np.array(
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ],
    ]
)
# IEC 61966-2-1: linear sRGB to CIE XYZ under D65, and the reference white of CIELAB.
_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE = _XYZ.sum(axis=1)
_LEVELS = 9


def recoloured(classes: ClassSet) -> ClassSet:
    """Return a class set with `safe_colours`, and black for pixels without a label."""
    return replace(classes, colours=safe_colours(len(classes)), ignore_colour=None)


@cache
def safe_colours(count: int) -> tuple[Colour, ...]:
    """Return colours that differ in normal, protanopic, deuteranopic and tritanopic vision.

    The first seven are those of Okabe and Ito. Each further colour is the one in a grid of colours
    with the largest distance to black and all earlier colours, in the least favourable vision.
    """
    grid = np.linspace(0, 255, _LEVELS).round().astype(np.int64)
    candidates = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), axis=-1).reshape(-1, 3)
    seen = appearance(candidates)
    chosen = list(_FIRST[:count])
    taken = appearance(np.array([(0, 0, 0), *chosen]))
    nearest = distances(seen, taken).min(axis=1)
    while len(chosen) < count:
        best = int(nearest.argmax())
        red, green, blue = (int(value) for value in candidates[best])
        chosen.append((red, green, blue))
        nearest = np.minimum(nearest, distances(seen, seen[:, best : best + 1])[:, 0])
    return tuple(chosen)


def appearance(colours: NDArray[np.int64]) -> Floats:
    """Return RGB colours [N, 3], 0 to 255, as CIELAB in each vision, [visions, N, 3]."""
    part = colours / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.einsum("vij,nj->vni", _VISIONS, linear), 0, 1)
    relative = (seen @ _XYZ.T) / _WHITE
    root = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative * 841 / 108 + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def distances(first: Floats, second: Floats) -> Floats:
    """Return CIE76 differences [N, M] between two `appearance`s, the minimum over the visions."""
    gaps: Floats = np.linalg.norm(first[:, :, None] - second[:, None], axis=-1)
    return np.asarray(gaps.min(axis=0))

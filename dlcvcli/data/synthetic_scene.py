"""The geometry of a synthetic land-cover tile: its coordinates, parcels and noise."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Rng = np.random.Generator
Size = tuple[int, int]


class Scene:
    """The generator, coordinates and parcels of one tile; every pixel array is flat, [H * W]."""

    def __init__(self, rng: Rng, size: Size) -> None:
        self.rng, self.size = rng, size
        # Side in pixels of a square of the same area, the unit of regions; then that of textures.
        self.span = math.sqrt(size[0] * size[1])
        self.fine = max(math.sqrt(self.span / 512), 0.45)
        self.y, self.x = (axis.ravel() for axis in np.indices(size, np.float32))
        angle = rng.uniform(0, math.pi)
        cos, sin = math.cos(angle), math.sin(angle)
        # x and y rotated to the axes of parcels and streets, and slightly bent.
        self.u = self.x * cos + self.y * sin + self.noise(self.span * 0.7) * (0.02 * self.span)
        self.v = self.y * cos - self.x * sin + self.noise(self.span * 0.7) * (0.02 * self.span)
        self.parcel, centres, self.edge = _parcels(rng, self.u, self.v, self.span)
        turn = np.array([[cos, -sin], [sin, cos]], np.float32)
        self.centres: Floats = (centres[:, None, :] * turn).sum(-1)  # back to [parcels, (x, y)]

    def noise(self, cell: float) -> Floats:
        """Return smooth noise of about unit spread whose bumps are `cell` pixels wide, [H * W]."""
        height, width = self.size
        rows, columns = height / max(cell, 1.0), width / max(cell, 1.0)
        grid = self.rng.standard_normal((math.ceil(rows) + 3, math.ceil(columns) + 3), np.float32)
        # Bicubic needs a neighbour on every side: without the margin, borders look stretched.
        box = (1.0, 1.0, 1.0 + columns, 1.0 + rows)
        field = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC, box=box)
        return np.asarray(field, np.float32).ravel() * np.float32(1.3)

    def tint(self, spread: float, count: int = 1) -> Floats:
        """Return random colour offsets [count, 3]; brightness varies more than hue."""
        light, hue = self.rng.normal(0, spread, (count, 1)), self.rng.normal(0, spread, (count, 3))
        return (light + 0.4 * hue).astype(np.float32)


def _parcels(rng: Rng, u: Floats, v: Floats, span: float) -> tuple[Ints, Floats, Floats]:
    """Divide the plane into rows of rectangular parcels.

    Returns:
        For each pixel its parcel's id; the parcels' centres in (u, v); and for each pixel the
        distance to its parcel's border.
    """
    low, high = float(v.min()) - 1, float(v.max()) + 1
    depths = rng.uniform(0.11, 0.26, math.ceil((high - low) / (0.11 * span)) + 1) * span
    lines = (low + np.concatenate([[0.0], np.cumsum(depths)])).astype(np.float32)
    row = np.searchsorted(lines, v, side="right") - 1
    widths = (rng.uniform(0.13, 0.34, depths.size) * span).astype(np.float32)
    starts = np.float32(u.min()) - widths * rng.random(depths.size, np.float32) - 1
    across = (u - starts[row]) / widths[row]
    column = across.astype(np.int64)
    columns = int(column.max()) + 1
    part = across - column
    edge_u = np.minimum(part, 1 - part) * widths[row]
    edge_v = np.minimum(v - lines[row], lines[row + 1] - v)
    middle_u = starts[:, None] + (np.arange(columns, dtype=np.float32) + 0.5) * widths[:, None]
    middle_v = np.repeat(((lines[1:] + lines[:-1]) / 2)[:, None], columns, axis=1)
    centres = np.stack([middle_u.ravel(), middle_v.ravel()], axis=1).astype(np.float32)
    return row * columns + column, centres, np.minimum(edge_u, edge_v)

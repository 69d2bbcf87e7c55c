"""The colours of each class in a synthetic land-cover tile."""

from __future__ import annotations

import math

import numpy as np

from dlcvcli.data.synthetic_scene import Floats, Ints, Scene


def _shades(text: str) -> Floats:
    return np.array([tuple(bytes.fromhex(word)) for word in text.split()], np.float32)


# Colour alone must not reveal the class: fields range from bare soil (the colour of barren) over
# stubble (rangeland) to dark crops (forest), some water is as green as woods, roofs have any hue.
_FIELDS = _shades("607e40 8c9252 a29064 405832 907656 767e4c b6a278 526c38")
_ROOFS = _shades("b4ac9e a8967c 966452 cec8bc 70706e 847868 92886e")
ROADS = _shades("b0a084 989694 b8b6b2 707074")
_WATERS = _shades("2a4254 3a5248 465650 4a5c3a 34482e 64684a")
_RANGES = _shades("88845c 767e52 9c906a")
_BARRENS = _shades("b4a486 9a9484 a89274")

# Textures: each function returns colours, float32 [n, 3], for the n flat pixel indices in `at`.


def _urban(scene: Scene, at: Ints) -> Floats:
    rng, fine = scene.rng, scene.fine
    house, block = 10.0 * fine, 44.0 * fine
    u, v = scene.u[at], scene.v[at]
    cell_u, cell_v = np.floor(u / house), np.floor(v / house)
    # A small table, used cyclically: no two neighbouring houses are alike.
    lot = ((cell_u.astype(np.int64) * 31 + cell_v.astype(np.int64) * 57) % 1009).astype(np.int64)
    roof = _ROOFS[rng.integers(len(_ROOFS), size=1009)] + scene.tint(9, 1009)
    reach = rng.uniform(0.26, 0.46, (1009, 2)).astype(np.float32)
    built = rng.random(1009) < rng.uniform(0.65, 0.9)
    garden = np.array([102, 108, 76], np.float32) + scene.tint(9)
    paint = garden + (scene.noise(5 * fine)[at] * 9)[:, None]
    off_u, off_v = np.abs(u / house - cell_u - 0.5), np.abs(v / house - cell_v - 0.5)
    shade = built[lot] & (off_u < reach[lot, 0] + 0.12) & (off_v < reach[lot, 1] + 0.12)
    paint[shade] *= np.float32(0.72)
    roofed = built[lot] & (off_u < reach[lot, 0]) & (off_v < reach[lot, 1])
    paint[roofed] = roof[lot[roofed]]
    street = np.minimum(np.mod(u, block), np.mod(v, block * 1.4)) < max(4.0 * fine, 2.0)
    paint[street] = np.array([142, 136, 124], np.float32) + scene.tint(8)
    return np.asarray(paint, np.float32)


def _agriculture(scene: Scene, at: Ints) -> Floats:
    rng, fine = scene.rng, scene.fine
    count = len(scene.centres)
    colour = _FIELDS[rng.integers(len(_FIELDS), size=count)] + scene.tint(8, count)
    turn = rng.choice([0.0, math.pi / 2], size=count) + rng.normal(0, 0.15, count)
    # JPEG compression would blur rows closer than four pixels.
    pitch = np.maximum(rng.uniform(5, 10, count) * fine, 4)
    wave = (np.stack([np.cos(turn), np.sin(turn)]) * (2 * math.pi / pitch)).astype(np.float32)
    depth = rng.uniform(9, 22, count).astype(np.float32)
    field = scene.parcel[at]
    rows = np.sin(scene.u[at] * wave[0, field] + scene.v[at] * wave[1, field]) * depth[field]
    uneven = scene.noise(scene.span * 0.12)[at] * 5
    paint = colour[field] + (rows + uneven)[:, None]
    paint[scene.edge[at] < max(1.3 * fine, 0.8)] *= np.float32(0.8)
    return np.asarray(paint, np.float32)


def _rangeland(scene: Scene, at: Ints) -> Floats:
    mottle = scene.noise(26 * scene.fine)[at] * 9 + scene.noise(9 * scene.fine)[at] * 5
    base = _RANGES[scene.rng.integers(len(_RANGES))] + scene.tint(8)
    drift = scene.noise(scene.span * 0.3)[at, None] * np.array([10, 4, 2], np.float32)
    paint = base + drift + mottle[:, None]
    paint[scene.noise(4 * scene.fine)[at] > 2.1] *= np.float32(0.78)  # single shrubs
    return np.asarray(paint, np.float32)


def _forest(scene: Scene, at: Ints) -> Floats:
    fine = scene.fine
    crowns = scene.noise(max(5.5 * fine, 3.0)) + scene.noise(max(9 * fine, 4.0)) * np.float32(0.7)
    relief = crowns.reshape(scene.size)
    step = max(round(1.6 * fine), 1)
    # Light from one side: the near side of a crown is bright, its far side in shadow.
    lit = relief - np.roll(relief, (step, step), (0, 1))
    shade = (crowns * 10 + lit.ravel() * 14)[at]
    kinds = scene.noise(scene.span * 0.15)[at, None] * np.array([7, 5, 2], np.float32)
    base = np.array([66, 86, 52], np.float32) + scene.tint(9)
    return np.asarray(base + kinds + shade[:, None] * np.array([0.9, 1.0, 0.8]), np.float32)


def _water(scene: Scene, at: Ints) -> Floats:
    base = _WATERS[scene.rng.integers(len(_WATERS))] + scene.tint(6)
    depth = scene.noise(scene.span * 0.5)[at] * 6
    return np.asarray(base + depth[:, None] * np.array([0.8, 1.0, 1.1]), np.float32)


def _barren(scene: Scene, at: Ints) -> Floats:
    rng, fine = scene.rng, scene.fine
    base = _BARRENS[rng.integers(len(_BARRENS))] + scene.tint(10)
    drift = scene.noise(scene.span * 0.2)[at] * 9 + scene.noise(14 * fine)[at] * 6
    speckle = rng.standard_normal(at.size, np.float32) * 9 + scene.noise(2.2 * fine)[at] * 9
    return np.asarray(base + (drift + speckle)[:, None], np.float32)


TEXTURES = (_urban, _agriculture, _rangeland, _forest, _water, _barren)

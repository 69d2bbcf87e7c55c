"""Draw synthetic land-cover tiles from a seed: satellite-like images with exact masks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dlcvcli.data.synthetic_scene import Bytes, Floats, Ints, Rng, Scene, Size
from dlcvcli.data.synthetic_textures import ROADS, TEXTURES
from dlcvcli.errors import UsageError
from dlcvcli.files import new_folder
from dlcvcli.palette import PRESETS

URBAN, AGRICULTURE, RANGELAND, FOREST, WATER, BARREN, UNKNOWN = range(7)

SMALLEST_SIDE = 64
SPLITS = ("train", "validation")

# Probability of each class in a tile beside its leading class: fields are common and open water is
# rare, as in the countryside.
_PROBABILITIES = np.array([0.12, 0.40, 0.14, 0.18, 0.07, 0.09])
# Probability of each class for a single parcel of farmland, most of which stay fields.
_PARCEL_CLASSES = np.array([AGRICULTURE, RANGELAND, FOREST, URBAN, BARREN])
_PARCEL_PROBABILITIES = np.array([0.86, 0.05, 0.05, 0.02, 0.02])


def make_landcover(
    folder: Path,
    *,
    train: int = 64,
    validation: int = 16,
    size: Size = (512, 512),
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write a synthetic land-cover set into `folder`.

    The layout is DeepGlobe's: `SPLIT/NNNN_sat.jpg` beside `SPLIT/NNNN_mask.png`, numbered from
    0000, masks as RGB in the colours of the preset `landcover7`. A tile depends on `seed`, its
    split, its number and `size` alone. So more tiles do not change the first ones, and the same
    seed gives the same bytes (under the same versions of numpy and Pillow). Any seven consecutive
    tiles contain all seven classes. The folder appears when the set is complete.

    Args:
        folder: a new or an empty folder.
        train, validation: numbers of tiles, at least 0.
        size: (height, width) in pixels, each at least 64.
        seed: at least 0.
        progress: called with (tiles done, tiles in all).

    Raises:
        UsageError: a size or a number is out of range.
        DataError: the folder is not empty.
    """
    _check_size(size)
    if min(train, validation, seed) < 0:
        raise UsageError(
            "numbers of tiles and the seed must not be negative, but are: "
            f"train {train}, validation {validation}, seed {seed}"
        )
    colours = np.array(PRESETS["landcover7"].colours, np.uint8)
    done = 0
    with new_folder(folder) as partial:
        for number, (split, count) in enumerate(zip(SPLITS, (train, validation), strict=True)):
            place = partial / split
            place.mkdir()
            for index in range(count):
                rng = np.random.default_rng([seed, number, index])
                image, mask = landcover_tile(rng, size, lead=index % 7)
                Image.fromarray(image).save(place / f"{index:04d}_sat.jpg", quality=92)
                Image.fromarray(colours[mask]).save(place / f"{index:04d}_mask.png")
                done += 1
                if progress is not None:
                    progress(done, train + validation)


def landcover_tile(rng: Rng, size: Size, *, lead: int | None = None) -> tuple[Bytes, Bytes]:
    """Return one synthetic land-cover tile and its mask.

    Regions grow in proportion to the tile. Details (rows, roofs, roads) grow with its square root,
    so that a small tile looks as if seen from higher up and its textures are still resolved.

    Args:
        rng: the generator of this tile alone.
        size: (height, width) in pixels, each at least 64.
        lead: a class id, 0 to 6, that is certain to occur; None draws it.

    Returns:
        The image, uint8 [H, W, 3], RGB, and the mask, uint8 [H, W], with the ids 0 urban,
        1 agriculture, 2 rangeland, 3 forest, 4 water, 5 barren, 6 unknown.

    Raises:
        UsageError: the size is too small.
    """
    _check_size(size)
    lead = int(rng.integers(7)) if lead is None else lead
    scene = Scene(rng, size)
    mask = _zones(scene, lead)
    if rng.random() < (0.5 if lead == WATER else 0.14):
        _add_river(scene, mask)
    _add_ponds(scene, mask)
    paint = np.empty((mask.size, 3), np.float32)
    for label, texture in enumerate(TEXTURES):
        at = np.flatnonzero(mask == label)
        if at.size:
            paint[at] = texture(scene, at)
    _add_roads(scene, mask, paint)
    _light(scene, paint)
    if lead == UNKNOWN or rng.random() < 0.03:
        _hide(scene, mask, paint)
    return _expose(scene, paint), mask.reshape(size)


def _check_size(size: Size) -> None:
    if min(size) < SMALLEST_SIDE:
        raise UsageError(
            f"a size of {size[0]}x{size[1]} pixels is too small for synthetic tiles",
            f"choose a --size of {SMALLEST_SIDE}x{SMALLEST_SIDE} or more",
        )


def _zones(scene: Scene, lead: int) -> Bytes:
    """Return the mask of the large regions: urban and farmed parcels, the rest irregular."""
    rng, span, width = scene.rng, scene.span, scene.size[1]
    others = rng.choice(6, size=int(rng.integers(2, 5)), replace=False, p=_PROBABILITIES)
    count = int(rng.integers(5, 9))
    seeds = rng.uniform(-0.05, 1.05, (count, 2)) * scene.size[::-1]
    kinds = rng.choice(others, size=count)
    kinds[1 : 1 + others.size] = others
    warp_x, warp_y = (
        scene.noise(span * 0.22) * (0.06 * span) + scene.noise(span * 0.05) * (0.012 * span)
        for _ in range(2)
    )
    # The leading class has its seed near the middle and the others keep a distance, so that it is
    # not a sliver. The seed moves with the warp, so that its own pixel is of its class.
    x, y = (rng.uniform(0.35, 0.65, 2) * scene.size[::-1]).astype(int)
    home = y * width + x
    kinds[0] = kinds[0] if lead == UNKNOWN else lead
    seeds[0] = x + warp_x[home], y + warp_y[home]
    away = seeds[1:] - seeds[0]
    seeds[1:] = seeds[0] + away * np.maximum(1, 0.35 * span / np.hypot(*away.T))[:, None]
    wild = kinds[_nearest(scene.x + warp_x, scene.y + warp_y, seeds)]
    by_parcel = kinds[_nearest(scene.centres[:, 0], scene.centres[:, 1], seeds)]
    farmed = by_parcel == AGRICULTURE
    by_parcel[farmed] = rng.choice(_PARCEL_CLASSES, size=farmed.sum(), p=_PARCEL_PROBABILITIES)
    by_parcel[scene.parcel[home]] = kinds[0]
    farmed[scene.parcel[home]] = kinds[0] == AGRICULTURE
    ordered = (farmed | (by_parcel == URBAN))[scene.parcel]
    tame = by_parcel[scene.parcel]
    untamed = (wild != AGRICULTURE) & (wild != URBAN)
    # Shores do not follow parcel borders: water comes from the irregular regions alone.
    use_wild = (~ordered & untamed) | (wild == WATER) | (tame == WATER)
    return np.where(use_wild, wild, tame).astype(np.uint8)


def _nearest(x: Floats, y: Floats, seeds: NDArray[np.float64]) -> Ints:
    best = np.full(x.shape, np.inf, np.float32)
    label = np.zeros(x.shape, np.int64)
    for number, (seed_x, seed_y) in enumerate(seeds.astype(np.float32)):
        distance = (x - seed_x) ** 2 + (y - seed_y) ** 2
        label[distance < best] = number
        np.minimum(best, distance, out=best)
    return label


def _curve(scene: Scene, swing: float) -> Floats:
    """Return each pixel's distance, in pixels, from a winding line that crosses the tile."""
    rng, span, (height, width) = scene.rng, scene.span, scene.size
    angle = rng.uniform(0, math.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    centre = rng.uniform(0.2, 0.8, 2) * (width, height)
    along = (scene.x - np.float32(centre[0])) * cos + (scene.y - np.float32(centre[1])) * sin
    aside = (scene.y - np.float32(centre[1])) * cos - (scene.x - np.float32(centre[0])) * sin
    steep = np.zeros_like(along)
    for wave in (0.9, 0.37):
        length = wave * span * rng.uniform(0.8, 1.3) / (2 * math.pi)
        height_of_wave = swing * length * rng.uniform(0.5, 1.0)
        phase = along / np.float32(length) + np.float32(rng.uniform(0, 2 * math.pi))
        aside -= np.float32(height_of_wave) * np.sin(phase)
        steep += np.float32(height_of_wave / length) * np.cos(phase)
    # The offset measured across the line overstates the distance where the line runs steeply.
    distance: Floats = np.abs(aside) / np.sqrt(1 + steep * steep)
    return distance


def _add_river(scene: Scene, mask: Bytes) -> None:
    half = scene.rng.uniform(0.012, 0.035) * scene.span
    distance = _curve(scene, 0.75) + scene.noise(scene.span * 0.06) * np.float32(0.2 * half)
    bank = int(scene.rng.choice([FOREST, RANGELAND, BARREN]))
    mask[(distance < half * 1.7) & (mask != WATER)] = bank
    mask[distance < half] = WATER


def _add_ponds(scene: Scene, mask: Bytes) -> None:
    rng = scene.rng
    for _ in range(int(rng.integers(1, 7))):
        x, y = rng.uniform(0, 1, 2) * (scene.size[1], scene.size[0])
        long = rng.uniform(6, 20) / 2 * scene.fine
        short = max(long * rng.uniform(0.6, 1.0), 1.5)
        tilt, lobe = rng.uniform(0, 2 * math.pi, 2)
        reach = math.ceil(long * 1.3) + 1
        top, bottom = max(int(y) - reach, 0), min(int(y) + reach + 1, scene.size[0])
        left, right = max(int(x) - reach, 0), min(int(x) + reach + 1, scene.size[1])
        dy, dx = np.mgrid[top:bottom, left:right] - np.array([y, x]).reshape(2, 1, 1)
        a = (dx * math.cos(tilt) + dy * math.sin(tilt)) / long
        b = (dy * math.cos(tilt) - dx * math.sin(tilt)) / short
        inside = np.hypot(a, b) < 1 + 0.12 * np.sin(2 * np.arctan2(b, a) + lobe)
        mask.reshape(scene.size)[top:bottom, left:right][inside] = WATER


def _add_roads(scene: Scene, mask: Bytes, paint: Floats) -> None:
    rng = scene.rng
    for _ in range(int(rng.integers(1, 4))):
        wide = max(rng.uniform(2, 4) * scene.fine, 1.4)
        distance = _curve(scene, rng.choice([0.03, 0.12, 0.3]))
        colour = ROADS[rng.integers(len(ROADS))] + scene.tint(7)
        # A darker verge, without which a road over ground of its own colour would be invisible.
        paint[distance < wide / 2 + 1.6 * scene.fine] *= np.float32(0.84)
        cover = np.clip(wide / 2 + 0.5 - distance, 0, 1).astype(np.float32)
        at = np.flatnonzero(cover)
        paint[at] += (colour - paint[at]) * cover[at, None]
        mask[distance < wide / 2] = URBAN


def _light(scene: Scene, paint: Floats) -> None:
    """Apply sunlight, haze and white balance to the tile, in place."""
    gain = scene.rng.uniform(0.82, 1.17) * scene.rng.normal(1, 0.028, 3)
    haze = scene.rng.uniform(0, 20)
    shade = 1 + scene.noise(scene.span * 0.8) * np.float32(0.035)
    paint *= shade[:, None] * (gain * (1 - haze / 255)).astype(np.float32)
    paint += np.array([0.9, 1.0, 1.1], np.float32) * np.float32(haze)


def _hide(scene: Scene, mask: Bytes, paint: Floats) -> None:
    """Cover a corner in black, as outside of the swath, or a part by a cloud; mark it unknown."""
    rng, span, (height, width) = scene.rng, scene.span, scene.size
    if rng.random() < 0.6:
        in_x = np.abs(scene.x - np.float32(rng.integers(2) * (width - 1)))
        in_y = np.abs(scene.y - np.float32(rng.integers(2) * (height - 1)))
        lean = np.float32(rng.uniform(0.35, 1.0))
        dark = in_x * lean + in_y < rng.uniform(0.2, 0.5) * min(height, width)
        mask[dark] = UNKNOWN
        paint[dark] = rng.uniform(0, 6)
        return
    x, y = rng.uniform(0.15, 0.85, 2) * (width, height)
    ragged = scene.noise(span * 0.12) * np.float32(0.3) + scene.noise(span * 0.04) * np.float32(0.1)
    away = np.hypot(scene.x - np.float32(x), scene.y - np.float32(y))
    thick = np.clip((1 - away / np.float32(rng.uniform(0.14, 0.28) * span) + ragged) * 2.5, 0, 1)
    cloud = np.array([232, 234, 238], np.float32) + (scene.noise(span * 0.06) * 6)[:, None]
    paint += (cloud - paint) * thick[:, None]
    mask[thick > 0.5] = UNKNOWN


def _expose(scene: Scene, paint: Floats) -> Bytes:
    """Return the tile as uint8 [H, W, 3], slightly blurred and with sensor noise."""
    rng, shape = scene.rng, (*scene.size, 3)
    sharp = Image.fromarray(np.clip(paint, 0, 255).astype(np.uint8).reshape(shape))
    soft = sharp.filter(ImageFilter.GaussianBlur(rng.uniform(0.35, 0.75)))
    grain = rng.standard_normal(shape, np.float32) * np.float32(rng.uniform(1.5, 5))
    return np.clip(np.asarray(soft, np.float32) + grain + 0.5, 0, 255).astype(np.uint8)

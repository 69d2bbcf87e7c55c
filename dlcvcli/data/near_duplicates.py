"""Find images that look alike, by a perceptual hash. Needs numpy and Pillow only.

Two exports of one photograph differ in every byte and look the same. With one of them to train on
and the other to validate on, a score is too high.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dlcvcli.data.reading import Pixels

Hashes = NDArray[np.uint64]

# Of 64 bits. Another export of a photograph (3/4 of the size, JPEG quality 75) differs by 2 bits in
# the median and by 8 at worst. Of 1,000 validation images of CIFAR-10, one differs by at most 4
# from a training image, and is the same photograph; of 341 photographs of clothing, none does, and
# at 6 the first two are other clothes. Frames of a car's camera that are 1.3 s apart (CamVid)
# differ by 22 or more, no less than unrelated ones: only a hold-out by group separates them.
RADIUS = 4
_SIDE = 32
_FREQUENCIES = 8
_BLOCK = 1024
# Of each frequency, its values at the 32 places, float64 [8, 32].
_COSINES = np.cos(
    np.pi * np.arange(_FREQUENCIES)[:, None] * (2 * np.arange(_SIDE)[None] + 1) / (2 * _SIDE)
)


def perceptual_hash(image: Pixels) -> int:
    """Return 64 bits of an image, uint8 [H, W, 3]; 0 for an image of a single shade.

    The image becomes grey and 32 x 32 pixels large, and each bit says whether one of the 8 x 8
    lowest frequencies of its cosine transform (DCT-II) exceeds their median.
    """
    small = Image.fromarray(image).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float64)
    if not np.ptp(pixels):
        return 0
    low = (_COSINES @ pixels @ _COSINES.T).ravel()
    bits = np.packbits(low > np.median(low[1:]))
    return int.from_bytes(bits.tobytes(), "big")


def look_alike(one: Hashes, other: Hashes, radius: int = RADIUS) -> NDArray[np.int64]:
    """Return for each hash of `other` the place of the nearest of `one`, or -1 if none is near.

    Args:
        one, other: hashes, uint64 [N] and [M].
        radius: the most bits by which two near ones differ.

    Returns:
        int64 [M].
    """
    nearest = np.full(len(other), -1, np.int64)
    if not len(one):
        return nearest
    for start in range(0, len(other), _BLOCK):
        block = other[start : start + _BLOCK]
        distance = np.bitwise_count(block[:, None] ^ one[None])
        place = distance.argmin(axis=1)
        near = distance[np.arange(len(block)), place] <= radius
        nearest[start : start + _BLOCK][near] = place[near]
    return nearest


def near_duplicates(
    splits: Mapping[str, Mapping[str, int]],
) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Return the images of two splits that look alike.

    Args:
        splits: split -> name of an image -> its `perceptual_hash`.

    Returns:
        (split, later split) -> (name in the later split, the most similar name in the other), for
        pairs of `train`, `val` and `test` that have some. Images of a single shade have hash 0 and
        are left out.
    """
    kept = {
        split: {name: value for name, value in splits[split].items() if value}
        for split in ("train", "val", "test")
        if split in splits
    }
    found = {}
    for one, other in combinations(kept, 2):
        names = list(kept[one])
        nearest = look_alike(_hashes(kept[one].values()), _hashes(kept[other].values()))
        pairs = [
            (name, names[place])
            for name, place in zip(kept[other], nearest.tolist(), strict=True)
            if place >= 0
        ]
        if pairs:
            found[one, other] = pairs
    return found


def describe_alike(pairs: Sequence[tuple[str, str]], of: int, other: str, one: str) -> str:
    """Return a line on the images of the split `other` that look like images of `one`."""
    return (
        f"{len(pairs)} of the {of} images of {other} look like images of {one} (e.g. {pairs[0][0]} "
        f"and {pairs[0][1]}): hold out by group, as in --set 'data.holdout_by=^[^_]+'"
    )


def _hashes(values: object) -> Hashes:
    return np.array(list(values), np.uint64)  # type: ignore[call-overload]

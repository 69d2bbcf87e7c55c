"""Images that look alike: equal after small changes, different from others."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dlcvcli.data.near_duplicates import look_alike, near_duplicates, perceptual_hash


def images(count: int = 30) -> list[np.ndarray]:
    """Return smooth random images, as photographs are."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 10, 10, 3)).astype(np.uint8)
    return [
        np.asarray(Image.fromarray(one).resize((64, 64), Image.Resampling.BICUBIC))
        for one in coarse
    ]


def smaller(image: np.ndarray) -> np.ndarray:
    """Return another export of an image: smaller and a little brighter."""
    small = np.asarray(Image.fromarray(image).resize((48, 48), Image.Resampling.BILINEAR))
    return np.clip(small.astype(int) + 6, 0, 255).astype(np.uint8)


def test_another_export_of_an_image_is_found_and_other_images_are_not() -> None:
    originals = images()
    hashes = np.array([perceptual_hash(image) for image in originals], np.uint64)
    exports = np.array([perceptual_hash(smaller(image)) for image in originals], np.uint64)
    found = look_alike(hashes, exports)
    assert (found == np.arange(len(originals))).mean() >= 0.8
    assert set(found.tolist()) <= {-1, *range(len(originals))}
    assert (look_alike(hashes[:15], hashes[15:]) == -1).all()


def test_pairs_are_reported_by_split() -> None:
    one, two, three = (perceptual_hash(image) for image in images()[:3])
    found = near_duplicates({"train": {"a": one, "b": two}, "val": {"c": two ^ 1, "d": three}})
    assert found == {("train", "val"): [("c", "b")]}
    # A picture of one shade says nothing.
    assert near_duplicates({"train": {"a": 0}, "val": {"b": 0}}) == {}

"""Choose few images that together show every class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.masks import read_mask
from dlcvcli.data.reading import Progress, read_ahead
from dlcvcli.data.segmentation import SegmentationSet
from dlcvcli.machine import usable_cores

# Fraction of an image; a class that covers less is hard to see.
VISIBLE = 0.01


def class_shares(data: SegmentationSet, progress: Progress | None = None) -> NDArray[np.float64]:
    """Return the fraction of each image's pixels in each class, float64 [images, classes].

    Raises:
        DataError: an annotation cannot be read.
    """
    count, threads = len(data.classes), usable_cores()

    def shares_of(index: int) -> NDArray[np.float64]:
        mask = read_mask(data.pairs[index].mask, data.classes, binarise=data.binarise)
        return np.bincount(mask.ravel(), minlength=256)[:count] / mask.size

    shares = []
    results = read_ahead(shares_of, range(len(data)), threads=threads, ahead=4 * threads)
    for done, own in enumerate(results, 1):
        shares.append(own)
        if progress is not None:
            progress(done, len(data))
    return np.array(shares).reshape(-1, count)


def greedy_cover(shares: NDArray[np.float64], count: int) -> list[int]:
    """Return the indices of images that together show as many classes as possible, rare ones too.

    Each step chooses the image with the most classes that no chosen image shows yet; once all
    are shown, the image with the most classes among those shown least often. A class counts as
    shown where it covers a hundredth of an image, or in the image where it is largest. Of equal
    images the first is chosen. This is the greedy set cover of Johnson 1974, "Approximation
    algorithms for combinatorial problems", section 4.

    Args:
        shares: fractions of pixels, [images, classes], as `class_shares` returns them.
        count: number of images to choose, at most.

    Returns:
        Indices in the order of choice.
    """
    largest = shares.max(axis=0, initial=0)
    shown = (shares >= np.minimum(VISIBLE, largest)) & (shares > 0)
    times = np.zeros(shares.shape[1], dtype=np.int64)
    chosen: list[int] = []
    left = set(range(len(shares)))
    while left and len(chosen) < count:
        present = times[shown.any(axis=0)]
        wanted = times == (present.min() if present.size else 0)
        best = max(sorted(left), key=lambda index: int((shown[index] & wanted).sum()))
        chosen.append(best)
        left.remove(best)
        times += shown[best]
    return chosen

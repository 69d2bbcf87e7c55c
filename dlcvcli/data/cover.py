"""Few images that together show every class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.masks import read_mask
from dlcvcli.data.reading import Progress, read_ahead
from dlcvcli.data.segmentation import SegmentationSet
from dlcvcli.machine import usable_cores

# A class that covers less of an image is hardly to be seen in a picture of it.
VISIBLE = 0.01


def class_shares(data: SegmentationSet, progress: Progress | None = None) -> NDArray[np.float64]:
    """Return each image's share of pixels of each class, [images, classes].

    Raises:
        DataError: an annotation cannot be read.
    """
    count, threads = len(data.classes), usable_cores()

    def look(index: int) -> NDArray[np.float64]:
        mask = read_mask(data.pairs[index].mask, data.classes, binarise=data.binarise)
        return np.bincount(mask.ravel(), minlength=256)[:count] / mask.size

    shares = []
    found = read_ahead(look, range(len(data)), threads=threads, ahead=4 * threads)
    for done, share in enumerate(found, 1):
        shares.append(share)
        if progress is not None:
            progress(done, len(data))
    return np.array(shares).reshape(-1, count)


def greedy_cover(shares: NDArray[np.float64], count: int) -> list[int]:
    """Choose images that together show as many classes as can be, the rarest served too.

    Each in turn is the image with the most classes that no chosen one shows; once all are shown,
    that with the most of those shown least often. A class counts where it covers a hundredth of an
    image, or is nowhere larger; of equals, the first image is taken. (The greedy set cover of
    Johnson 1974, "Approximation algorithms for combinatorial problems", section 4.)

    Args:
        shares: [images, classes], see `class_shares`.
        count: how many to choose, at most.

    Returns:
        Indices in the order in which they were chosen.
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

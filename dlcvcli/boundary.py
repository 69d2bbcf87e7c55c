"""How well a segmentation's outlines lie: the boundary F-score, which areas hide from mIoU."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcvcli.palette import ClassSet, Mask

Bits = NDArray[np.bool_]

# Csurka, Larlus and Perronnin 2013, "What is a good evaluation measure for semantic segmentation?",
# section 3.2.
TOLERANCE = 0.0075


class BoundaryScore:
    """Gathers the boundary F1 of every class, image by image (Csurka et al. 2013, section 3.2).

    Precision is the share of a class's predicted boundary that lies within a tolerance of its true
    one, recall the reverse, F1 = 2 P R / (P + R). A class scores in the images where it has a
    boundary, in truth or prediction (0 where in one of them only); its score is the mean over
    those images, and the result the mean over the classes.

    A boundary runs along the pixels of a class that have a neighbour (left, right, above, below)
    of another one; the image's border makes none, and neither do pixels whose truth has no label or
    is of a class that is not scored: like under `voc`, they are not there.

    Args:
        classes: what the ids mean.
        tolerance: distance allowed / diagonal of the image; rounded up to whole pixels.
    """

    def __init__(self, classes: ClassSet, tolerance: float = TOLERANCE) -> None:
        self.classes = classes
        self.tolerance = tolerance
        self.sums = np.zeros(len(classes))
        self.images = np.zeros(len(classes), dtype=np.int64)

    def update(self, truth: Mask, prediction: Mask) -> None:
        """Add a stack of images, uint8 [N, H, W] each."""
        for one, other in zip(truth, prediction, strict=True):
            self._add(one, other)

    def _add(self, truth: Mask, prediction: Mask) -> None:
        labelled = np.isin(truth, self.classes.scored)
        reach = math.ceil(self.tolerance * math.hypot(*truth.shape))
        for index in self.classes.scored:
            real = outline(truth == index, labelled)
            found = outline((prediction == index) & labelled, labelled)
            if not (real.any() or found.any()):
                continue
            self.images[index] += 1
            if real.any() and found.any():
                precision = float(within(real, reach)[found].mean())
                recall = float(within(found, reach)[real].mean())
                if precision + recall:
                    self.sums[index] += 2 * precision * recall / (precision + recall)

    def compute(self) -> dict[str, Any]:
        """Return `f1`, `f1_per_class` (name -> value) and `tolerance`; None where none exists."""
        per_class: dict[str, float | None] = {
            name: float(self.sums[index] / self.images[index]) if self.images[index] else None
            for index, name in enumerate(self.classes.names)
        }
        known = [value for value in per_class.values() if value is not None]
        return {
            "f1": float(np.mean(known)) if known else None,
            "f1_per_class": per_class,
            "tolerance": self.tolerance,
        }


def outline(area: Bits, labelled: Bits) -> Bits:
    """Return the pixels of an area, bool [H, W], with a labelled neighbour outside it."""
    outside = labelled & ~area
    beside = np.zeros_like(area)
    beside[:, 1:] |= outside[:, :-1]
    beside[:, :-1] |= outside[:, 1:]
    beside[1:] |= outside[:-1]
    beside[:-1] |= outside[1:]
    return area & beside


def within(points: Bits, reach: int) -> Bits:
    """Return the pixels, bool [H, W], at most `reach` pixels (Euclidean) from some point."""
    height, width = points.shape
    # A row's points up to each column: how many lie in any stretch of it is a difference.
    before = np.zeros((height, width + 1), dtype=np.int32)
    np.cumsum(points, axis=1, out=before[:, 1:])
    columns = np.arange(width)
    near = np.zeros_like(points)
    for rows in range(min(reach, height - 1) + 1):
        aside = math.isqrt(reach * reach - rows * rows)
        right = before[:, np.minimum(columns + aside + 1, width)]
        touched = right > before[:, np.maximum(columns - aside, 0)]
        near[rows:] |= touched[: height - rows]
        near[: height - rows] |= touched[rows:]
    return near

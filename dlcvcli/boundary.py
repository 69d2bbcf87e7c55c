"""The boundary F-score of a segmentation, which shows errors of boundaries that mIoU hides."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dlcvcli.metrics import BoundaryScores
from dlcvcli.palette import ClassSet, Mask

Bits = NDArray[np.bool_]

# Csurka, Larlus and Perronnin 2013, "What is a good evaluation measure for semantic segmentation?",
# section 3.2.
TOLERANCE = 0.0075


class BoundaryScore:
    """Collects the boundary F1 of every class, image by image (Csurka et al. 2013, section 3.2).

    Precision P is the fraction of a class's predicted boundary that lies within a tolerance of its
    true boundary, recall R the reverse, and F1 = 2 P R / (P + R). A class is scored in the images
    where it has a boundary in the ground truth or the prediction (0 if in one of them only). Its
    score is the mean over those images, and the result is the mean over the classes.

    The boundary of a class consists of its pixels with a neighbour (left, right, above, below) of
    another class. The border of the image is not a boundary. Pixels without a label, or whose true
    class is not scored, count neither as pixels nor as neighbours, as under `voc`.

    Args:
        classes: the classes of the ids.
        tolerance: distance allowed, as a fraction of the image's diagonal; rounded up to pixels.
    """

    def __init__(self, classes: ClassSet, tolerance: float = TOLERANCE) -> None:
        self.classes = classes
        self.tolerance = tolerance
        self.sums = np.zeros(len(classes))
        self.images = np.zeros(len(classes), dtype=np.int64)

    def update(self, ground_truth: Mask, prediction: Mask) -> None:
        """Add a stack of masks, uint8 [N, H, W] each."""
        for one_truth, one_prediction in zip(ground_truth, prediction, strict=True):
            self._add(one_truth, one_prediction)

    def _add(self, ground_truth: Mask, prediction: Mask) -> None:
        labelled = np.isin(ground_truth, self.classes.scored)
        reach = math.ceil(self.tolerance * math.hypot(*ground_truth.shape))
        for index in self.classes.scored:
            true_boundary = boundary_of(ground_truth == index, labelled)
            predicted_boundary = boundary_of((prediction == index) & labelled, labelled)
            if not (true_boundary.any() or predicted_boundary.any()):
                continue
            self.images[index] += 1
            if true_boundary.any() and predicted_boundary.any():
                precision = float(within(true_boundary, reach)[predicted_boundary].mean())
                recall = float(within(predicted_boundary, reach)[true_boundary].mean())
                if precision + recall:
                    self.sums[index] += 2 * precision * recall / (precision + recall)

    def compute(self) -> BoundaryScores:
        """Return `f1`, `f1_per_class` (class name -> value) and `tolerance`.

        A value is None if no image has such a boundary.
        """
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


def boundary_of(area: Bits, labelled: Bits) -> Bits:
    """Return the pixels of an area that have a labelled neighbour outside of it, bool [H, W]."""
    outside = labelled & ~area
    beside = np.zeros_like(area)
    beside[:, 1:] |= outside[:, :-1]
    beside[:, :-1] |= outside[:, 1:]
    beside[1:] |= outside[:-1]
    beside[:-1] |= outside[1:]
    return area & beside


def within(points: Bits, reach: int) -> Bits:
    """Return the pixels at most `reach` pixels (Euclidean) from one of the points, bool [H, W]."""
    height, width = points.shape
    # Counts of a row's points up to each column: the difference of two counts is the number of
    # points in between.
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

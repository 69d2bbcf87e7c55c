"""Scores of a classifier from sums over a complete set: accuracies, confusion, calibration.

Training, evaluation under PyTorch and evaluation under ONNX Runtime all use this implementation.
Every score follows from sums over the images, so parts of a set can be added, and averages are
never averaged.
"""

from __future__ import annotations

import math
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Bins of equal width, as in Guo et al. 2017, arXiv:1706.04599, section 4.
BINS = 15
_Z = 1.959963984540054


class Confusion(TypedDict):
    """A confusion matrix: `counts` of images by true class (row) and predicted class."""

    classes: list[str]
    counts: list[list[int]]


class Bin(TypedDict):
    """Predictions whose confidence is in (low, high], and how many of them are right."""

    low: float
    high: float
    count: int
    accuracy: float | None
    confidence: float | None


class ClassificationMetrics(TypedDict):
    """The scores of a set, each a fraction in [0, 1].

    `ci95` is half of the 95 % Wilson interval of the top-1 accuracy, whose ends are in `interval`.
    `top5` is None with five classes or fewer, where it would be 1. `balanced_accuracy` is the mean
    of `per_class`, the fraction of each class's images that are predicted right, over the classes
    that occur. `ece` is the expected calibration error over `reliability`. `loss` is the mean
    cross-entropy in nats.
    """

    top1: float
    ci95: float
    interval: tuple[float, float]
    top5: float | None
    balanced_accuracy: float
    per_class: dict[str, float | None]
    classes_present: int
    majority_baseline: float
    loss: float
    ece: float
    reliability: list[Bin]
    confusion: Confusion


class ClassificationScore:
    """Sums over the images of a set, from which all scores follow.

    Args:
        classes: names of the C classes.
        sums: as `sums` of another score returned them; zeros without.
    """

    def __init__(self, classes: tuple[str, ...], sums: Floats | None = None) -> None:
        count = len(classes)
        self.classes = classes
        self._all = np.zeros(count * count + 3 * BINS + 2) if sums is None else sums.copy()
        # Views: the matrix, (count, right, confidence) of each bin, and (top-5 hits, loss).
        self._confusion = self._all[: count * count].reshape(count, count)
        self._bins = self._all[count * count : -2].reshape(3, BINS)
        self._rest = self._all[-2:]

    @property
    def sums(self) -> Floats:
        """All sums, float64 [C * C + 3 * bins + 2]; those of several parts may be added."""
        return self._all

    def update(self, labels: Ints, logits: NDArray[np.float32]) -> Ints:
        """Add images, and return their predicted classes.

        Args:
            labels: true classes, int64 [N].
            logits: float32 [N, C].

        Returns:
            int64 [N]; of equal logits the first.
        """
        predicted = logits.argmax(axis=1)
        log_p = log_softmax(logits)
        rows = np.arange(len(labels))
        confidence = np.exp(log_p[rows, predicted])
        np.add.at(self._confusion, (labels, predicted), 1)
        places = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
        for row, values in enumerate((np.ones(len(labels)), predicted == labels, confidence)):
            self._bins[row] += np.bincount(places, weights=values, minlength=BINS)
        self._rest += (top_hits(labels, logits, 5), -log_p[rows, labels].sum())
        return np.asarray(predicted, np.int64)

    def compute(self) -> ClassificationMetrics:
        """Return the scores of at least one image."""
        counts = self._confusion.round().astype(np.int64)
        of_class, images = counts.sum(axis=1), int(counts.sum())
        right = int(np.trace(counts))
        low, high = wilson(right, images)
        per_class = {
            name: right_of / total if total else None
            for name, right_of, total in zip(
                self.classes, np.diag(counts).tolist(), of_class.tolist(), strict=True
            )
        }
        known = [value for value in per_class.values() if value is not None]
        hits, loss = self._rest.tolist()
        return {
            "top1": right / images,
            "ci95": (high - low) / 2,
            "interval": (low, high),
            "top5": round(hits) / images if len(self.classes) > 5 else None,
            "balanced_accuracy": sum(known) / len(known),
            "per_class": per_class,
            "classes_present": len(known),
            "majority_baseline": int(of_class.max()) / images,
            "loss": loss / images,
            "ece": self._calibration_error(),
            "reliability": self._reliability(),
            "confusion": {"classes": list(self.classes), "counts": counts.tolist()},
        }

    def _calibration_error(self) -> float:
        """Return the expected calibration error (Guo et al. 2017, equation 3)."""
        count, right, confidence = self._bins
        return float(np.abs(right - confidence).sum() / count.sum())

    def _reliability(self) -> list[Bin]:
        return [
            {
                "low": place / BINS,
                "high": (place + 1) / BINS,
                "count": round(count),
                "accuracy": right / count if count else None,
                "confidence": confidence / count if count else None,
            }
            for place, (count, right, confidence) in enumerate(self._bins.T.tolist())
        ]


def log_softmax(logits: NDArray[np.float32]) -> Floats:
    """Return the logarithms of the probabilities, float64 [N, C], of logits [N, C]."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def top_hits(labels: Ints, logits: NDArray[np.float32], k: int) -> int:
    """Return how many labels are among the k largest logits of their image.

    A class whose logit equals that of the label does not come before it if its number is larger,
    so that the result for k = 1 is that of argmax.
    """
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    earlier = np.arange(logits.shape[1]) < labels[:, None]
    before = ((logits > own) | ((logits == own) & earlier)).sum(axis=1)
    return int((before < k).sum())


def wilson(right: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a fraction (Wilson 1927, JASA 22: 209-212, equation 6)."""
    fraction, z2 = right / count, _Z**2
    centre = (fraction + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z * math.sqrt(fraction * (1 - fraction) / count + z2 / (4 * count**2))
    half /= 1 + z2 / count
    return max(0.0, centre - half), min(1.0, centre + half)

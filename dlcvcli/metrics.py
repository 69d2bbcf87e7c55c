"""Scores of a segmentation from one confusion matrix over the complete set.

Training, evaluation under PyTorch and evaluation under ONNX Runtime all use this implementation.
Masks leave the device, logits do not. Counts are added; averages are never averaged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dlcvcli.errors import UsageError
from dlcvcli.palette import ClassSet, Mask

Convention = Literal["voc", "dlcv", "mmseg", "torchvision", "smp-imagewise"]
CONVENTIONS: tuple[Convention, ...] = get_args(Convention)

# How each convention computes the mIoU from the same confusion matrix.
RULES: dict[Convention, str] = {
    "voc": "pixels of unlabelled and unscored classes are left out; the mean is over the classes "
    "that occur in the ground truth or the prediction",
    "dlcv": "as voc, but a class predicted where the ground truth is unknown counts against it",
    "mmseg": "every class but the ignored one is scored, unknown too; absent classes are left out",
    "torchvision": "as mmseg, but if a class is absent there is no mean (torchvision gives NaN)",
    "smp-imagewise": "the mean over images of the IoU over all pixels of an image (reduction "
    "micro-imagewise): large classes dominate, rare ones hardly count; IoUs of classes are means "
    "over images, 1 where absent; accuracies are those of mmseg",
}

Counts = NDArray[np.int64]


def confusion_matrix(ground_truth: Mask, prediction: Mask, num_classes: int) -> Counts:
    """Return the numbers of pixels by true class (row) and predicted class (column).

    Pixels whose true id is `num_classes` or more (the ignore id) are left out. A uint16 code with
    256 rows avoids boolean indexing and int64 copies, and takes about half the time of the usual
    `bincount` over a masked int64 code.

    Args:
        ground_truth, prediction: uint8, of the same shape.
        num_classes: number of classes C.

    Returns:
        int64 [C, C].

    Raises:
        ValueError: shapes or dtypes differ, or a predicted id is not a class; a bug of the caller.
    """
    if ground_truth.shape != prediction.shape:
        raise ValueError(
            f"shapes differ: ground truth {ground_truth.shape}, prediction {prediction.shape}"
        )
    if ground_truth.dtype != np.uint8 or prediction.dtype != np.uint8:
        raise ValueError(f"masks must be uint8, not {ground_truth.dtype} and {prediction.dtype}")
    if prediction.size and int(prediction.max()) >= num_classes:
        raise ValueError(f"prediction holds id {prediction.max()}, with {num_classes} classes")
    code = ground_truth.astype(np.uint16)
    code *= np.uint16(num_classes)
    code += prediction
    counts = np.bincount(code.ravel(), minlength=256 * num_classes)
    return counts.reshape(256, num_classes)[:num_classes].astype(np.int64)


class SegmentationScore:
    """Collects masks in one confusion matrix and computes scores from it.

    The scores do not depend on the order of the masks, nor on how they are batched or spread over
    processes: matrices are added with `merge`.

    Args:
        classes: the classes of the ids.
        counts: a matrix to start from, int64 [C, C].
        imagewise: also keep the IoU of each image, for `smp-imagewise`.
    """

    def __init__(
        self, classes: ClassSet, counts: Counts | None = None, *, imagewise: bool = False
    ) -> None:
        size = len(classes)
        self.classes = classes
        self.counts: Counts = np.zeros((size, size), dtype=np.int64) if counts is None else counts
        self.images = _ImageSums(size) if imagewise else None

    def update(self, ground_truth: Mask, prediction: Mask) -> None:
        """Add one image [H, W] or a stack of them [N, H, W]; see `confusion_matrix`."""
        if self.images is None:
            self.counts += confusion_matrix(ground_truth, prediction, len(self.classes))
            return
        stacks = (mask if mask.ndim == 3 else mask[None] for mask in (ground_truth, prediction))
        for one_truth, one_prediction in zip(*stacks, strict=True):
            counts = confusion_matrix(one_truth, one_prediction, len(self.classes))
            self.counts += counts
            self.images.add(counts)

    def merge(self, counts: Counts) -> None:
        """Add the matrix of another part of the set."""
        self.counts += counts

    def compute(self, convention: Convention = "voc") -> dict[str, Any]:
        """Return the scores under one convention, each a fraction in [0, 1] or None.

        Keys: `convention`, `rule` (in words), `miou`, `overall_acc`, `mean_acc`, `freqw_acc`,
        `iou_per_class` and `acc_per_class` (class name -> value, None if the class is not scored),
        `classes_present` (number of classes with ground-truth pixels), `classes_scored` (number of
        classes with a union).

        Raises:
            UsageError: the convention is not defined for this class set.
            ValueError: the convention needs `imagewise`; a bug of the caller.
        """
        scores = _scores(self.counts, self.classes, convention)
        if convention == "smp-imagewise":
            if self.images is None:
                raise ValueError("smp-imagewise needs the images one by one")
            scores |= self.images.scores(scores["iou_per_class"])
        return scores

    def compute_all(self, conventions: list[Convention]) -> dict[str, Any]:
        """Return the scores of the first convention, and those of all under `by_convention`.

        `confusion` holds the matrix: `classes`, and `counts` of the labelled pixels by true class
        (row) and predicted class (column).
        """
        scores = {name: self.compute(name) for name in conventions}
        return {
            **scores[conventions[0]],
            "by_convention": scores,
            "confusion": {"classes": list(self.classes.names), "counts": self.counts.tolist()},
        }


class _ImageSums:
    """Sums over images of the IoU, as segmentation-models-pytorch defines it.

    A class that is absent from both ground truth and prediction of an image has an IoU of 1 there
    (`zero_division` of `segmentation_models_pytorch.metrics.iou_score`).
    """

    def __init__(self, size: int) -> None:
        self.count = 0
        self.over_pixels = 0.0
        self.per_class = np.zeros(size)

    def add(self, counts: Counts) -> None:
        """Add one image's matrix."""
        hits = np.diag(counts)
        union = counts.sum(axis=0) + counts.sum(axis=1) - hits
        self.count += 1
        self.over_pixels += hits.sum() / union.sum() if union.any() else 1.0
        self.per_class += np.where(union > 0, hits / np.maximum(union, 1), 1.0)

    def scores(self, set_iou: dict[str, float | None]) -> dict[str, Any]:
        """Return the means over the images, which replace the scores of the matrix over the set.

        Args:
            set_iou: class -> its IoU over the set; None, of a class that never occurs, stays None.
        """
        if not self.count:
            return {}
        means = dict(zip(set_iou, (self.per_class / self.count).tolist(), strict=True))
        return {
            "miou": self.over_pixels / self.count,
            "iou_per_class": {
                name: None if set_iou[name] is None else mean for name, mean in means.items()
            },
        }


@dataclass(frozen=True)
class _View:
    """The counts that a convention uses.

    Attributes:
        counts: the confusion matrix, int64 [C, C].
        scored: ids of the classes that enter a mean.
        strict: there is no mean if one of these classes is absent.
    """

    counts: Counts
    scored: tuple[int, ...]
    strict: bool = False


def _view(counts: Counts, classes: ClassSet, convention: Convention) -> _View:
    if convention == "voc":
        # Pixels whose true class is not scored are masked, like those of the ignore id.
        masked = counts.copy()
        masked[list(classes.unscored)] = 0
        return _View(masked, classes.scored)
    if convention == "dlcv":
        # The rule of the NTU DLCV course: the mean is over all classes but `unknown`, and a class
        # predicted on `unknown` ground truth is a false positive of that class.
        if "unknown" not in classes.names:
            raise UsageError(
                f"metric 'dlcv' needs a class named 'unknown'; '{classes.name}' has none",
                "use --metric voc",
            )
        unknown = classes.names.index("unknown")
        return _View(counts, tuple(i for i in range(len(classes)) if i != unknown))
    if convention in ("mmseg", "torchvision", "smp-imagewise"):
        # None of them has classes that are trained and not scored. MMSegmentation takes the mean
        # over the classes that occur (nanmean); torchvision's reference takes it over all classes,
        # and an absent class makes it NaN.
        return _View(counts, tuple(range(len(classes))), strict=convention == "torchvision")
    raise UsageError(f"unknown metric '{convention}'", "known: " + ", ".join(CONVENTIONS))


def _scores(counts: Counts, classes: ClassSet, convention: Convention) -> dict[str, Any]:
    view = _view(counts, classes, convention)
    hits = np.diag(view.counts).astype(np.float64)
    true_pixels = view.counts.sum(axis=1).astype(np.float64)
    predicted_pixels = view.counts.sum(axis=0).astype(np.float64)
    union = true_pixels + predicted_pixels - hits
    total = float(true_pixels.sum())
    iou: dict[str, float | None] = {}
    acc: dict[str, float | None] = {}
    for index, name in enumerate(classes.names):
        counted = index in view.scored
        iou[name] = float(hits[index] / union[index]) if counted and union[index] else None
        acc[name] = (
            float(hits[index] / true_pixels[index]) if counted and true_pixels[index] else None
        )
    ious = [value for value in iou.values() if value is not None]
    accuracies = [value for value in acc.values() if value is not None]
    frequencies = {
        name: true_pixels[index]
        for index, name in enumerate(classes.names)
        if iou[name] is not None
    }
    # `fsum` rounds once; the rounding of `sum` differs between versions of Python.
    weight = math.fsum(frequencies.values())
    if view.strict:
        ious = ious if len(ious) == len(view.scored) else []
        accuracies = accuracies if len(accuracies) == len(view.scored) else []
    return {
        "convention": convention,
        "rule": RULES[convention],
        "miou": float(np.mean(ious)) if ious else None,
        "overall_acc": float(hits.sum() / total) if total else None,
        "mean_acc": float(np.mean(accuracies)) if accuracies else None,
        "freqw_acc": math.fsum(frequencies[name] * (iou[name] or 0.0) for name in frequencies)
        / weight
        if weight
        else None,
        "iou_per_class": iou,
        "acc_per_class": acc,
        "classes_present": int(sum(true_pixels[index] > 0 for index in view.scored)),
        "classes_scored": len(frequencies),
    }

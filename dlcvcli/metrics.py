"""Scores of a segmentation from one confusion matrix over the complete set.

Training, evaluation under PyTorch and evaluation under ONNX Runtime all use this implementation.
Masks leave the device, logits do not. Counts are added; averages are never averaged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NotRequired, TypedDict, cast, get_args

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


class Scores(TypedDict):
    """The scores of a set under one convention, each a fraction in [0, 1] or None.

    Keys of `iou_per_class` and `acc_per_class` are the classes' names; their values are None where
    a class is not scored.
    """

    convention: Convention
    rule: str
    miou: float | None
    overall_acc: float | None
    mean_acc: float | None
    freqw_acc: float | None
    iou_per_class: dict[str, float | None]
    acc_per_class: dict[str, float | None]
    classes_present: int  # with ground-truth pixels
    classes_scored: int  # with a union


class Confusion(TypedDict):
    """A confusion matrix: `counts` of labelled pixels by true class (row) and predicted class."""

    classes: list[str]
    counts: list[list[int]]


class BoundaryScores(TypedDict):
    """Boundary F-scores; `tolerance` is a fraction of the diagonal of an image."""

    f1: float | None
    f1_per_class: dict[str, float | None]
    tolerance: float


class SegmentationMetrics(Scores):
    """The scores of the first convention, with those of all, and the confusion matrix."""

    by_convention: dict[Convention, Scores]
    confusion: Confusion
    boundary: NotRequired[BoundaryScores]


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

    def compute(self, convention: Convention = "voc") -> Scores:
        """Return the scores under one convention.

        Raises:
            UsageError: the convention is not defined for this class set.
            ValueError: the convention needs `imagewise`; a bug of the caller.
        """
        scores = _scores(self.counts, self.classes, convention)
        if convention == "smp-imagewise":
            if self.images is None:
                raise ValueError("smp-imagewise needs the images one by one")
            scores = self.images.replace(scores)
        return scores

    def compute_all(
        self, conventions: list[Convention], boundary: BoundaryScores | None = None
    ) -> SegmentationMetrics:
        """Return the scores of the first convention, those of all, and the matrix.

        Args:
            conventions: at least one.
            boundary: boundary scores to add.
        """
        scores = {name: self.compute(name) for name in conventions}
        metrics = {
            **scores[conventions[0]],
            "by_convention": scores,
            "confusion": {"classes": list(self.classes.names), "counts": self.counts.tolist()},
            **({} if boundary is None else {"boundary": boundary}),
        }
        return cast("SegmentationMetrics", metrics)


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

    def replace(self, scores: Scores) -> Scores:
        """Return scores with the means over the images in place of those of the set's matrix.

        The IoU of a class that does not occur in the set stays None.
        """
        if not self.count:
            return scores
        over_set = scores["iou_per_class"]
        means = dict(zip(over_set, (self.per_class / self.count).tolist(), strict=True))
        per_class = {name: None if over_set[name] is None else mean for name, mean in means.items()}
        return {**scores, "miou": self.over_pixels / self.count, "iou_per_class": per_class}


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


def _scores(counts: Counts, classes: ClassSet, convention: Convention) -> Scores:
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

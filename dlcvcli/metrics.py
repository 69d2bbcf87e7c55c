"""Scores of a segmentation from one confusion matrix over the whole set.

One implementation serves training, evaluation under PyTorch and under ONNX Runtime. Masks leave
the device, logits do not; counts are added, averages never.
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

# Why one confusion matrix has several mIoUs.
RULES: dict[Convention, str] = {
    "voc": "pixels of unlabelled and unscored classes are left out; the mean is over the classes "
    "that occur, in truth or prediction",
    "dlcv": "as voc, but a class predicted where the truth is unknown counts against it",
    "mmseg": "every class but the ignored one is scored, unknown too; absent classes are left out",
    "torchvision": "as mmseg, but with an absent class there is no mean (theirs is NaN)",
    "smp-imagewise": "every image has an IoU over all its pixels of whatever class, and their mean "
    "is taken (reduction micro-imagewise): large classes decide, rare ones hardly count; IoUs of "
    "classes are means over images, 1 where absent; accuracies are those of mmseg",
}

Counts = NDArray[np.int64]


def confusion_matrix(truth: Mask, prediction: Mask, num_classes: int) -> Counts:
    """Count pixels by true class (row) and predicted class (column).

    Both masks are uint8 of one shape. Pixels whose true id is `num_classes` or more (the ignore
    id) are left out. A uint16 code with 256 rows avoids boolean indexing and int64 copies: about
    half the time of the textbook `bincount` over a masked int64 code.

    Returns:
        int64 [num_classes, num_classes].

    Raises:
        ValueError: shapes or dtypes differ, or a prediction is no class id; a bug of the caller.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"shapes differ: truth {truth.shape}, prediction {prediction.shape}")
    if truth.dtype != np.uint8 or prediction.dtype != np.uint8:
        raise ValueError(f"masks must be uint8, not {truth.dtype} and {prediction.dtype}")
    if prediction.size and int(prediction.max()) >= num_classes:
        raise ValueError(f"prediction holds id {prediction.max()}, with {num_classes} classes")
    code = truth.astype(np.uint16)
    code *= np.uint16(num_classes)
    code += prediction
    counts = np.bincount(code.ravel(), minlength=256 * num_classes)
    return counts.reshape(256, num_classes)[:num_classes].astype(np.int64)


class SegmentationScore:
    """Gathers masks into one confusion matrix and reads scores off it.

    The order of the masks, how they are batched and how they are spread over processes change
    nothing: matrices are added with `merge`.

    Args:
        classes: what the ids mean.
        counts: a matrix to start from.
        imagewise: gather what `smp-imagewise` needs, too: each image by itself.
    """

    def __init__(
        self, classes: ClassSet, counts: Counts | None = None, *, imagewise: bool = False
    ) -> None:
        size = len(classes)
        self.classes = classes
        self.counts: Counts = np.zeros((size, size), dtype=np.int64) if counts is None else counts
        self.images = _ImageSums(size) if imagewise else None

    def update(self, truth: Mask, prediction: Mask) -> None:
        """Add one image [H, W] or a stack of them [N, H, W]; see `confusion_matrix`."""
        if self.images is None:
            self.counts += confusion_matrix(truth, prediction, len(self.classes))
            return
        stacks = (mask if mask.ndim == 3 else mask[None] for mask in (truth, prediction))
        for one, other in zip(*stacks, strict=True):
            counts = confusion_matrix(one, other, len(self.classes))
            self.counts += counts
            self.images.add(counts)

    def merge(self, counts: Counts) -> None:
        """Add the matrix of another part of the set."""
        self.counts += counts

    def compute(self, convention: Convention = "voc") -> dict[str, Any]:
        """Return the scores under one convention, each a fraction in [0, 1] or None.

        Keys: `convention`, `rule` (in words), `miou`, `overall_acc`, `mean_acc`, `freqw_acc`,
        `iou_per_class` and `acc_per_class` (class name -> value, None where the class is not
        scored), `classes_present` (with true pixels), `classes_scored` (with a union).

        Raises:
            UsageError: the convention is not defined for this class set.
            ValueError: it needs `imagewise`; a bug of the caller.
        """
        scores = _scores(self.counts, self.classes, convention)
        if convention == "smp-imagewise":
            if self.images is None:
                raise ValueError("smp-imagewise needs the images one by one")
            scores |= self.images.scores(scores["iou_per_class"])
        return scores

    def compute_all(self, conventions: list[Convention]) -> dict[str, Any]:
        """Return the first convention's scores with every one under `by_convention`.

        The matrix itself stands under `confusion`: `classes`, and `counts` of pixels by true class
        (row) and predicted class (column), labelled pixels all.
        """
        every = {name: self.compute(name) for name in conventions}
        return {
            **every[conventions[0]],
            "by_convention": every,
            "confusion": {"classes": list(self.classes.names), "counts": self.counts.tolist()},
        }


class _ImageSums:
    """Sums over images of each one's IoU, as segmentation-models-pytorch defines it.

    What is absent from an image, in truth and prediction, has an IoU of 1 there (its
    `zero_division`): `segmentation_models_pytorch.metrics.iou_score`, `reduction`.
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

    def scores(self, whole: dict[str, float | None]) -> dict[str, Any]:
        """Return the means over the images, to replace what a matrix over the set gives.

        Args:
            whole: class -> its IoU over the set; one that never occurs stays None.
        """
        if not self.count:
            return {}
        means = dict(zip(whole, (self.per_class / self.count).tolist(), strict=True))
        return {
            "miou": self.over_pixels / self.count,
            "iou_per_class": {
                name: None if whole[name] is None else mean for name, mean in means.items()
            },
        }


@dataclass(frozen=True)
class _View:
    """What a convention lets count: the matrix, and the classes that enter a mean.

    Where `strict` is set, a mean over classes of which one is absent does not exist.
    """

    counts: Counts
    scored: tuple[int, ...]
    strict: bool = False


def _view(counts: Counts, classes: ClassSet, convention: Convention) -> _View:
    if convention == "voc":
        # Pixels whose truth is not scored are masked, like those of the ignore id.
        seen = counts.copy()
        seen[list(classes.unscored)] = 0
        return _View(seen, classes.scored)
    if convention == "dlcv":
        # The course's rule: the mean runs over all classes but `unknown`, and a class predicted
        # on `unknown` ground truth is a false positive of that class.
        if "unknown" not in classes.names:
            raise UsageError(
                f"metric 'dlcv' needs a class named 'unknown'; '{classes.name}' has none",
                "use --metric voc",
            )
        unknown = classes.names.index("unknown")
        return _View(counts, tuple(i for i in range(len(classes)) if i != unknown))
    if convention in ("mmseg", "torchvision", "smp-imagewise"):
        # None of them knows classes that are trained and not scored. MMSegmentation takes the mean
        # over those that occur (nanmean); torchvision's reference takes it over all, and one that
        # is absent makes it NaN.
        return _View(counts, tuple(range(len(classes))), strict=convention == "torchvision")
    raise UsageError(f"unknown metric '{convention}'", "known: " + ", ".join(CONVENTIONS))


def _scores(counts: Counts, classes: ClassSet, convention: Convention) -> dict[str, Any]:
    view = _view(counts, classes, convention)
    hits = np.diag(view.counts).astype(np.float64)
    truth = view.counts.sum(axis=1).astype(np.float64)
    guess = view.counts.sum(axis=0).astype(np.float64)
    union = truth + guess - hits
    total = float(truth.sum())
    iou: dict[str, float | None] = {}
    acc: dict[str, float | None] = {}
    for index, name in enumerate(classes.names):
        counted = index in view.scored
        iou[name] = float(hits[index] / union[index]) if counted and union[index] else None
        acc[name] = float(hits[index] / truth[index]) if counted and truth[index] else None
    rated = [value for value in iou.values() if value is not None]
    found = [value for value in acc.values() if value is not None]
    share = {
        name: truth[index] for index, name in enumerate(classes.names) if iou[name] is not None
    }
    # Rounded once: Python's own sum rounds differently from one version to the next.
    weight = math.fsum(share.values())
    if view.strict:
        rated = rated if len(rated) == len(view.scored) else []
        found = found if len(found) == len(view.scored) else []
    return {
        "convention": convention,
        "rule": RULES[convention],
        "miou": float(np.mean(rated)) if rated else None,
        "overall_acc": float(hits.sum() / total) if total else None,
        "mean_acc": float(np.mean(found)) if found else None,
        "freqw_acc": math.fsum(share[name] * (iou[name] or 0.0) for name in share) / weight
        if weight
        else None,
        "iou_per_class": iou,
        "acc_per_class": acc,
        "classes_present": int(sum(truth[index] > 0 for index in view.scored)),
        "classes_scored": len(share),
    }

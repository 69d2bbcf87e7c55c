"""Scores of a segmentation from one confusion matrix over the whole set.

One implementation serves training, evaluation under PyTorch and under ONNX Runtime. Masks leave
the device, logits do not; counts are added, averages never.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dlcvcli.errors import UsageError
from dlcvcli.palette import ClassSet, Mask

Convention = Literal["voc", "dlcv", "mmseg", "torchvision"]
CONVENTIONS: tuple[Convention, ...] = get_args(Convention)

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
    """

    def __init__(self, classes: ClassSet, counts: Counts | None = None) -> None:
        size = len(classes)
        self.classes = classes
        self.counts: Counts = np.zeros((size, size), dtype=np.int64) if counts is None else counts

    def update(self, truth: Mask, prediction: Mask) -> None:
        """Add one image or a stack of them; see `confusion_matrix`."""
        self.counts += confusion_matrix(truth, prediction, len(self.classes))

    def merge(self, counts: Counts) -> None:
        """Add the matrix of another part of the set."""
        self.counts += counts

    def compute(self, convention: Convention = "voc") -> dict[str, Any]:
        """Return the scores under one convention, each a fraction in [0, 1] or None.

        Keys: `convention`, `miou`, `overall_acc`, `mean_acc`, `freqw_acc`, `iou_per_class` and
        `acc_per_class` (class name -> value, None where the class is not scored),
        `classes_present` (with true pixels), `classes_scored` (with a union).

        Raises:
            UsageError: the convention is not defined for this class set.
        """
        return _scores(self.counts, self.classes, convention)

    def compute_all(self, conventions: list[Convention]) -> dict[str, Any]:
        """Return the first convention's scores with every one under `by_convention`."""
        every = {name: self.compute(name) for name in conventions}
        return {**every[conventions[0]], "by_convention": every}


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
    if convention in ("mmseg", "torchvision"):
        # Neither knows classes that are trained and not scored. MMSegmentation takes the mean over
        # those that occur (nanmean); torchvision's reference takes it over all, and one that is
        # absent makes it NaN.
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
    weight = float(sum(share.values()))
    if view.strict:
        rated = rated if len(rated) == len(view.scored) else []
        found = found if len(found) == len(view.scored) else []
    return {
        "convention": convention,
        "miou": float(np.mean(rated)) if rated else None,
        "overall_acc": float(hits.sum() / total) if total else None,
        "mean_acc": float(np.mean(found)) if found else None,
        "freqw_acc": float(sum(share[name] * (iou[name] or 0.0) for name in share) / weight)
        if weight
        else None,
        "iou_per_class": iou,
        "acc_per_class": acc,
        "classes_present": int(sum(truth[index] > 0 for index in view.scored)),
        "classes_scored": len(share),
    }

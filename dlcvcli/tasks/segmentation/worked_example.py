"""Why the mIoU says more than pixel accuracy, with the numbers of a run. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class WorkedExample:
    """Pixel accuracy and mIoU of a run, and how two extremes would change them.

    The extremes are a prediction of the most frequent class everywhere, and one that misses every
    pixel of the rarest class. All values are fractions, over the pixels whose ground truth is a
    scored class.

    Attributes:
        accuracy, miou: of the run.
        common, common_fraction: the most frequent class, and its fraction of the pixels.
        constant_miou: mIoU of predicting the most frequent class everywhere, whose pixel accuracy
            is `common_fraction`: an IoU of that for one class, and of 0 for every other.
        rare, rare_fraction, rare_iou: the rarest class that occurs.
        accuracy_without, miou_without: if none of its pixels had been found; the mIoU is then at
            most `miou_without`, as those pixels count against the class that they are given.
        classes: number of classes in the mean.
    """

    accuracy: float
    miou: float
    common: str
    common_fraction: float
    constant_miou: float
    rare: str
    rare_fraction: float
    rare_iou: float
    accuracy_without: float
    miou_without: float
    classes: int


def worked_example(metrics: Mapping[str, Any]) -> WorkedExample | None:
    """Return the example of a run's metrics, as results.json has them.

    None where fewer than two classes occur, or nothing was scored.
    """
    names = metrics["confusion"]["classes"]
    counts = np.asarray(metrics["confusion"]["counts"], dtype=np.float64)
    iou = metrics["iou_per_class"]
    pixels = {
        name: float(row.sum())
        for name, row in zip(names, counts, strict=True)
        # The convention `voc` leaves out pixels whose ground truth is not scored.
        if iou[name] is not None and row.sum()
    }
    total = sum(pixels.values())
    if len(pixels) < 2 or metrics["miou"] is None:
        return None
    common, rare = max(pixels, key=pixels.__getitem__), min(pixels, key=pixels.__getitem__)
    hits = float(counts[names.index(rare), names.index(rare)]) / total
    return WorkedExample(
        accuracy=metrics["overall_acc"],
        miou=metrics["miou"],
        common=common,
        common_fraction=pixels[common] / total,
        constant_miou=pixels[common] / total / len(pixels),
        rare=rare,
        rare_fraction=pixels[rare] / total,
        rare_iou=iou[rare],
        accuracy_without=metrics["overall_acc"] - hits,
        miou_without=metrics["miou"] - iou[rare] / metrics["classes_scored"],
        classes=metrics["classes_scored"],
    )


def explain_miou(example: WorkedExample, which: str) -> str:
    """Return the example as a paragraph.

    Args:
        example: the numbers.
        which: the training that they are of; begins the first sentence.
    """
    one, common, rare = example, example.common, example.rare
    text = (
        f"{which} predicts the right class for {one.accuracy:.1%} of the pixels, and its mIoU is "
        f"{one.miou:.4f}. Pixel accuracy counts pixels, so large classes decide it: "
        f"{one.common_fraction:.1%} of the pixels are {common}, and predicting {common} for every "
        f"pixel of every image would be right for {one.common_fraction:.1%} of them. The mIoU of "
        f"that constant prediction is {one.constant_miou:.4f}, since it is a mean over the classes "
        f"and all but one of them have an IoU of 0. The rarest class is {rare}, with "
        f"{one.rare_fraction:.1%} of the pixels; its IoU here is {one.rare_iou:.4f}. "
    )
    if one.rare_iou > 0:
        text += (
            f"If none of its pixels had been found, pixel accuracy would fall from "
            f"{one.accuracy:.4f} to {one.accuracy_without:.4f}, and the mIoU from {one.miou:.4f} "
            f"to {one.miou_without:.4f} or less. "
        )
    else:
        text += (
            f"None of its pixels was found. That costs pixel accuracy at most "
            f"{one.rare_fraction:.4f}, the class's fraction of the pixels; of the mIoU it is one "
            f"of {one.classes} equal parts. "
        )
    return text + (
        "An IoU also counts the pixels that were wrongly predicted as the class, which the "
        "accuracy of a class does not."
    )

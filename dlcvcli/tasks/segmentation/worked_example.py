"""Why the mIoU says more than pixel accuracy, on numbers that a run measured. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class WorkedExample:
    """One run's pixel accuracy and mIoU beside what a blind answer and the rarest class do to them.

    All are fractions in [0, 1], over the pixels whose true class is scored.

    Attributes:
        accuracy, miou: of the run.
        common, common_share: the most frequent class, and its share of the pixels.
        blind_miou: mIoU of calling every pixel the most frequent class, which has
            `common_share` for its pixel accuracy: its share of one class, 0 of every other.
        rare, rare_share, rare_iou: the rarest class that occurs.
        rare_hits: share of all pixels that are of it and found.
        accuracy_without, miou_without: if none of its pixels had been found; the mIoU is then at
            most `miou_without`, as the pixels count against the class that they are given to.
        classes: in the mean.
    """

    accuracy: float
    miou: float
    common: str
    common_share: float
    blind_miou: float
    rare: str
    rare_share: float
    rare_iou: float
    rare_hits: float
    accuracy_without: float
    miou_without: float
    classes: int


def worked_example(metrics: Mapping[str, Any]) -> WorkedExample | None:
    """Return the example of a run's metrics, as results.json has them.

    None where fewer than two classes occur, or nothing was scored: there is nothing to weigh.
    """
    names = metrics["confusion"]["classes"]
    counts = np.asarray(metrics["confusion"]["counts"], dtype=np.float64)
    iou = metrics["iou_per_class"]
    truth = {
        name: float(row.sum())
        for name, row in zip(names, counts, strict=True)
        # Pixels whose true class is not scored are left out, as the metric `voc` does.
        if iou[name] is not None and row.sum()
    }
    total = sum(truth.values())
    if len(truth) < 2 or metrics["miou"] is None:
        return None
    common, rare = max(truth, key=truth.__getitem__), min(truth, key=truth.__getitem__)
    hits = float(counts[names.index(rare), names.index(rare)]) / total
    return WorkedExample(
        accuracy=metrics["overall_acc"],
        miou=metrics["miou"],
        common=common,
        common_share=truth[common] / total,
        blind_miou=truth[common] / total / len(truth),
        rare=rare,
        rare_share=truth[rare] / total,
        rare_iou=iou[rare],
        rare_hits=hits,
        accuracy_without=metrics["overall_acc"] - hits,
        miou_without=metrics["miou"] - iou[rare] / metrics["classes_scored"],
        classes=metrics["classes_scored"],
    )

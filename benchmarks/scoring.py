"""Measure the time to score one 512 x 512 image.

    python benchmarks/scoring.py

measures ms of adding a predicted mask to the confusion matrix of 21 classes, on one thread:
- dlcv: `dlcvcli.metrics.confusion_matrix`
- numpy bincount: of a masked int64 code, as in most training scripts
- torchvision reference: the same on tensors (pytorch/vision, references/segmentation/utils.py)
- torchmetrics: `MulticlassConfusionMatrix.update`, where it is installed
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from common import installed, main

from dlcvcli.metrics import confusion_matrix

CLASSES, SIDE, REPEATS, IGNORED = 21, 512, 200, 255


def _masks() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    target = rng.integers(0, CLASSES, (SIDE, SIDE)).astype(np.uint8)
    target[rng.random((SIDE, SIDE)) < 0.05] = IGNORED
    return target, rng.integers(0, CLASSES, (SIDE, SIDE)).astype(np.uint8)


def _time(function: Callable[[], object]) -> float:
    function()
    started = time.perf_counter()
    for _ in range(REPEATS):
        function()
    return (time.perf_counter() - started) / REPEATS * 1e3


def ours(options: argparse.Namespace) -> float:
    """Return the ms of `dlcvcli.metrics.confusion_matrix`."""
    target, predicted = _masks()
    return _time(lambda: confusion_matrix(target, predicted, CLASSES))


def with_numpy(options: argparse.Namespace) -> float:
    """Return the ms of `numpy.bincount`."""
    target, predicted = _masks()

    def count() -> object:
        valid = target < CLASSES
        code = CLASSES * target[valid].astype(int) + predicted[valid]
        return np.bincount(code, minlength=CLASSES**2).reshape(CLASSES, CLASSES)

    return _time(count)


def with_torch(options: argparse.Namespace) -> float:
    """Return the ms of `torch.bincount` on int64 tensors, as a training script has them."""
    import torch

    torch.set_num_threads(1)
    target, predicted = (torch.from_numpy(mask).long().flatten() for mask in _masks())

    def count() -> object:
        valid = target < CLASSES
        code = CLASSES * target[valid] + predicted[valid]
        return torch.bincount(code, minlength=CLASSES**2).reshape(CLASSES, CLASSES)

    return _time(count)


def with_torchmetrics(options: argparse.Namespace) -> float:
    """Return the ms of torchmetrics with argument checks off, as its documentation advises."""
    import torch
    from torchmetrics.classification import MulticlassConfusionMatrix

    torch.set_num_threads(1)
    metric = MulticlassConfusionMatrix(CLASSES, ignore_index=IGNORED, validate_args=False)
    target, predicted = (torch.from_numpy(mask).long() for mask in _masks())
    return _time(lambda: metric.update(predicted, target))


if __name__ == "__main__":
    main(
        "scoring a 512 x 512 image",
        "ms",
        {
            "dlcv": ours,
            "numpy bincount": with_numpy,
            "torchvision reference": with_torch,
            **installed("torchmetrics", {"torchmetrics": with_torchmetrics}),
        },
        lambda parser: None,
        rounds=5,
    )

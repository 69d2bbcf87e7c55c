"""How long does scoring one 512 x 512 image take?

python benchmarks/scoring.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from common import main

from dlcvcli.metrics import confusion_matrix

CLASSES, SIDE, REPEATS = 21, 512, 200


def _masks() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, CLASSES, (SIDE, SIDE)).astype(np.uint8)
    truth[rng.random((SIDE, SIDE)) < 0.05] = 255
    return truth, rng.integers(0, CLASSES, (SIDE, SIDE)).astype(np.uint8)


def _time(function: Callable[[np.ndarray, np.ndarray], object]) -> float:
    truth, guess = _masks()
    function(truth, guess)
    began = time.perf_counter()
    for _ in range(REPEATS):
        function(truth, guess)
    return (time.perf_counter() - began) / REPEATS * 1e3


def ours(options: argparse.Namespace) -> float:
    """`dlcvcli.metrics.confusion_matrix`."""
    return _time(lambda truth, guess: confusion_matrix(truth, guess, CLASSES))


def textbook(options: argparse.Namespace) -> float:
    """`bincount` of a masked int64 code, as in most training scripts."""

    def count(truth: np.ndarray, guess: np.ndarray) -> object:
        valid = truth < CLASSES
        code = CLASSES * truth[valid].astype(int) + guess[valid]
        return np.bincount(code, minlength=CLASSES**2).reshape(CLASSES, CLASSES)

    return _time(count)


if __name__ == "__main__":
    main(
        "Scoring, ms per 512 x 512 image",
        "ms",
        {"dlcv": ours, "textbook bincount": textbook},
        lambda parser: None,
    )

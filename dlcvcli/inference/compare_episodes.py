"""A few-shot model under PyTorch and under ONNX Runtime on the same episodes."""

from __future__ import annotations

import csv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from dlcvcli.inference.compare import EvalRequest, beside, run_both


def compare_episodes(checkpoint: Path, onnx: Path, request: EvalRequest) -> dict[str, Any]:
    """Evaluate a checkpoint and its ONNX file one after the other.

    Returns:
        The evaluation of the ONNX file, with `compare` added: every scalar of PyTorch's metrics and
        its speed under `torch`, `argmax_agreement` over all queries, and `speedup`, the images
        embedded a second of ONNX Runtime over those of PyTorch, eager, float32, NCHW.

    Raises:
        AlreadySaid: one of the two failed.
        Interrupted: this process was told to stop.
    """
    with TemporaryDirectory(prefix="dlcv-compare-") as folder:
        results, labels = run_both(checkpoint, onnx, request, Path(folder), "--predictions")
        agreement = label_agreement(labels["torch"], labels["onnx"])
    return beside(results, agreement)


def label_agreement(first: Path, second: Path) -> float:
    """Return the share of queries with the same label, over two files of predictions.

    Raises:
        ValueError: they are not of the same episodes; a bug of the caller.
    """
    tables = []
    for path in (first, second):
        with path.open(encoding="utf-8", newline="") as lines:
            tables.append(np.array(list(csv.reader(lines))))
    one, two = tables
    if one.shape != two.shape or (one[:, 0] != two[:, 0]).any():
        raise ValueError(f"{first} and {second} hold different episodes")
    return float((one[1:, 1:] == two[1:, 1:]).mean())

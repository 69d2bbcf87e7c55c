"""Evaluate a model under PyTorch and under ONNX Runtime, each in a process of its own.

In one process, the idle thread pool of one runtime slows the other down by up to a factor of two.
The processes write their predictions, which are then compared.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dlcvcli.files import sha256_of
from dlcvcli.inference.evaluation import EvalRequest, Evaluator
from dlcvcli.processes import run_dlcv
from dlcvcli.runs import ModelRef


def checkpoint_of(onnx: ModelRef, sha256: str) -> Path | None:
    """Return the checkpoint that an ONNX file was exported from; None if its run has lost it.

    Args:
        onnx: the file.
        sha256: of the checkpoint, as the file names it.
    """
    if onnx.run is None or not onnx.run.checkpoints.is_dir():
        return None
    for path in sorted(onnx.run.checkpoints.glob("*.ckpt")):
        if sha256_of(path) == sha256:
            return path
    return None


def compare(
    checkpoint: Path, onnx: Path, request: EvalRequest, evaluator: Evaluator
) -> dict[str, Any]:
    """Evaluate a checkpoint and its ONNX file one after the other.

    Args:
        checkpoint, onnx: the two models.
        request: the evaluation; its own model is not used.
        evaluator: of the task.

    Returns:
        The evaluation of the ONNX file, with `compare` added: PyTorch's scores and speed under
        `torch`; `argmax_agreement`, the fraction of equal predictions; and `speedup`, the
        images/s of ONNX Runtime over those of PyTorch, eager, float32, NCHW.

    Raises:
        AlreadySaid: one of the two failed.
        Interrupted: a signal ended this process.
    """
    results, predictions = {}, {}
    with TemporaryDirectory(prefix="dlcv-compare-") as name:
        folder = Path(name)
        for backend, model in (("torch", checkpoint), ("onnx", onnx)):
            report, predictions[backend] = folder / f"{backend}.json", folder / backend
            run_dlcv(
                [
                    *("eval", str(model), "--data", str(request.data), *request.as_words()),
                    *("--json", str(report), evaluator.predictions, str(predictions[backend])),
                ]
            )
            results[backend] = json.loads(report.read_text(encoding="utf-8"))
        agreement = evaluator.agreement(predictions["torch"], predictions["onnx"])
    reference, speed = results["torch"], results["torch"]["speed"]["images_per_s"]
    scores = {
        key: value
        for key, value in reference["metrics"].items()
        if key in evaluator.compared or not isinstance(value, dict)
    }
    return {
        **results["onnx"],
        "compare": {
            "torch": {
                **scores,
                "provider": reference["provider"],
                "images_per_s": speed,
                "speed": reference["speed"],
            },
            "argmax_agreement": agreement,
            "speedup": results["onnx"]["speed"]["images_per_s"] / speed,
        },
    }

"""PyTorch and ONNX Runtime on the same set, each in a process of its own.

Thread pools that idle in one process slow the other runtime down by up to a factor of two, so the
two never share one. The child processes write their masks, which are compared pixel by pixel.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dlcvcli.data.masks import read_written_mask
from dlcvcli.data.reading import read_ahead
from dlcvcli.files import sha256_of
from dlcvcli.processes import run_dlcv
from dlcvcli.runs import ModelRef
from dlcvcli.runtime.metadata import ModelCard

# Of PyTorch's metrics, what is no scalar and yet shown beside that of ONNX Runtime.
_SHOWN_APART = ("iou_per_class", "boundary")


@dataclass(frozen=True)
class EvalRequest:
    """What both backends are asked for; `flags` are passed on to `dlcv eval` as they are."""

    data: Path
    flags: tuple[str, ...]


def checkpoint_of(onnx: ModelRef, card: ModelCard) -> Path | None:
    """Return the checkpoint that an ONNX file was exported from, if its run still has it."""
    if onnx.run is None or not onnx.run.checkpoints.is_dir():
        return None
    for path in sorted(onnx.run.checkpoints.glob("*.ckpt")):
        if sha256_of(path) == card.checkpoint_sha256:
            return path
    return None


def compare(checkpoint: Path, onnx: Path, request: EvalRequest) -> dict[str, Any]:
    """Evaluate a checkpoint and its ONNX file one after the other.

    Returns:
        The evaluation of the ONNX file, with `compare` added: every scalar of PyTorch's metrics
        and its speed under `torch`, `argmax_agreement` over all pixels, and `speedup`, the
        end-to-end images/s of ONNX Runtime over those of PyTorch, eager, float32, NCHW.

    Raises:
        AlreadySaid: one of the two failed.
        Interrupted: this process was told to stop.
    """
    with TemporaryDirectory(prefix="dlcv-compare-") as folder:
        results, masks = run_both(checkpoint, onnx, request, Path(folder), "--masks")
        agreement = mask_agreement(masks["torch"], masks["onnx"])
    return beside(results, agreement)


def beside(results: dict[str, dict[str, Any]], agreement: float) -> dict[str, Any]:
    """Return the evaluation of ONNX Runtime with what PyTorch's came to, as `compare`.

    Args:
        results: what `run_both` gives.
        agreement: share of equal predictions.
    """
    reference = results["torch"]
    shown = {
        k: v
        for k, v in reference["metrics"].items()
        if k in _SHOWN_APART or not isinstance(v, dict)
    }
    speed = reference["speed"]["images_per_s"]
    return {
        **results["onnx"],
        "compare": {
            "torch": {
                **shown,
                "provider": reference["provider"],
                "images_per_s": speed,
                "speed": reference["speed"],
            },
            "argmax_agreement": agreement,
            "speedup": results["onnx"]["speed"]["images_per_s"] / speed,
        },
    }


def run_both(
    checkpoint: Path, onnx: Path, request: EvalRequest, folder: Path, keep: str
) -> tuple[dict[str, Any], dict[str, Path]]:
    """Evaluate both, one after the other, each in a process of its own.

    Args:
        checkpoint, onnx: the two.
        request: what of.
        folder: for what they write.
        keep: the flag of `dlcv eval` that keeps predictions.

    Returns:
        The evaluations of `torch` and `onnx`, and where their predictions are.

    Raises:
        AlreadySaid: one of the two failed.
        Interrupted: this process was told to stop.
    """
    results, kept = {}, {}
    for backend, model in (("torch", checkpoint), ("onnx", onnx)):
        report, kept[backend] = folder / f"{backend}.json", folder / backend
        run_dlcv(
            [
                *("eval", str(model), "--data", str(request.data), *request.flags),
                *("--json", str(report), keep, str(kept[backend])),
            ]
        )
        results[backend] = json.loads(report.read_text(encoding="utf-8"))
    return results, kept


def mask_agreement(first: Path, second: Path) -> float:
    """Return the share of pixels with the same class, over all masks of two folders.

    Raises:
        ValueError: the folders do not hold the same masks; a bug of the caller.
    """
    names = sorted(path.name for path in first.iterdir())
    if names != sorted(path.name for path in second.iterdir()):
        raise ValueError(f"{first} and {second} hold different masks")

    def count(name: str) -> tuple[int, int]:
        same = read_written_mask(first / name) == read_written_mask(second / name)
        return int(same.sum()), same.size

    agreed = total = 0
    for same, pixels in read_ahead(count, names, threads=2, ahead=16):
        agreed += same
        total += pixels
    return agreed / total

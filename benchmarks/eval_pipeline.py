"""How close is `dlcv eval --onnx`, from files to scores, to the bare session, and to PyTorch?

    python benchmarks/eval_pipeline.py --work FOLDER

makes land-cover tiles and a model with random weights in FOLDER (once), and measures images/s of
- dlcv onnx: `dlcv eval model.onnx`, end to end: read, decode, run, score
- bare session: `session.run` on the same images, decoded and batched beforehand
- torch nchw, torch channels-last, torch bf16 channels-last: eager PyTorch on the same ready
  batches, masks out; the first is what `--compare` calls PyTorch
- dlcv torch: `dlcv eval` of the checkpoint, end to end
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import main
from made import data_of, dlcv, prepare, run_of, work_arguments

from dlcvcli.data.batches import EvalBatches
from dlcvcli.data.segmentation import open_split


def _arguments(parser: argparse.ArgumentParser) -> None:
    work_arguments(parser, model="deeplabv3plus_resnet50", images=24, side=256)
    parser.add_argument("--batch-size", type=int, default=4)


def _end_to_end(options: argparse.Namespace, model: Path) -> float:
    report = options.work / "report.json"
    flags = ("--provider", "cpu", "--batch-size", options.batch_size, "--json", report)
    dlcv("eval", model, "--data", data_of(options), *flags)
    return float(json.loads(report.read_text())["speed"]["images_per_s"])


def _ready(options: argparse.Namespace) -> list[np.ndarray]:
    data = open_split(data_of(options), "val")
    return [batch.images for batch in EvalBatches(data, options.batch_size).read()]


def _throughput(options: argparse.Namespace, forward: Any) -> float:
    ready = _ready(options)
    forward(ready[0])
    began = time.perf_counter()
    for images in ready:
        forward(images)
    return sum(len(images) for images in ready) / (time.perf_counter() - began)


def dlcv_onnx(options: argparse.Namespace) -> float:
    """End to end under ONNX Runtime."""
    return _end_to_end(options, run_of(options).onnx)


def dlcv_torch(options: argparse.Namespace) -> float:
    """End to end under PyTorch."""
    return _end_to_end(options, run_of(options).best)


def bare_session(options: argparse.Namespace) -> float:
    """ONNX Runtime on ready batches."""
    import onnxruntime as ort

    session = ort.InferenceSession(str(run_of(options).onnx), providers=["CPUExecutionProvider"])
    size = np.array([options.side, options.side])
    return _throughput(options, lambda images: session.run(None, {"images": images, "size": size}))


def _torch(options: argparse.Namespace, *, channels_last: bool, bf16: bool) -> float:
    import torch

    from dlcvcli.engine.checkpoint import load_checkpoint
    from dlcvcli.inference.restore import load_segmenter

    segmenter = load_segmenter(load_checkpoint(run_of(options).best))
    if channels_last:
        segmenter.to(memory_format=torch.channels_last)
    else:
        segmenter.network.register_forward_pre_hook(lambda module, args: (args[0].contiguous(),))

    def forward(images: np.ndarray) -> object:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            size = (options.side, options.side)
            return segmenter(torch.from_numpy(images), size).numpy()

    return _throughput(options, forward)


def torch_nchw(options: argparse.Namespace) -> float:
    """Eager float32, PyTorch's own layout."""
    return _torch(options, channels_last=False, bf16=False)


def torch_channels_last(options: argparse.Namespace) -> float:
    """Eager float32, channels-last."""
    return _torch(options, channels_last=True, bf16=False)


def torch_bf16(options: argparse.Namespace) -> float:
    """Eager bf16 autocast, channels-last; emulated where the CPU has no such instructions."""
    return _torch(options, channels_last=True, bf16=True)


if __name__ == "__main__":
    main(
        "Evaluation, images/s",
        "images/s",
        {
            "dlcv onnx": dlcv_onnx,
            "bare session": bare_session,
            "dlcv torch": dlcv_torch,
            "torch nchw": torch_nchw,
            "torch channels-last": torch_channels_last,
            "torch bf16 channels-last": torch_bf16,
        },
        _arguments,
        prepare,
    )

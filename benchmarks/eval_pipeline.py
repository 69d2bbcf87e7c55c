"""Measure `dlcv eval --onnx`, from files to scores, beside a bare session and PyTorch.

    python benchmarks/eval_pipeline.py --work FOLDER [--provider cuda]

makes land-cover tiles and a model with random weights in FOLDER (once), and measures images/s of
- dlcv eval, onnx: end to end, that is read, decode, run, score
- bare session: `session.run` on the same images, decoded and batched beforehand
- dlcv eval, torch: the checkpoint, end to end
- torchvision reference: its evaluation, end to end (see peers.py)
- torch ...: PyTorch on the same prepared batches, from images to masks; `--compare` measures nchw
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from common import main
from synthetic_tiles import data_of, dlcv, prepare, run_of, work_arguments

from dlcvcli.data.batches import EvalBatches
from dlcvcli.data.segmentation import open_split
from dlcvcli.runtime.session import open_session


def _arguments(parser: argparse.ArgumentParser) -> None:
    work_arguments(parser, model="deeplabv3plus_resnet50", images=24, side=256)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--provider", choices=("cpu", "cuda"), default="cpu")


def _end_to_end(options: argparse.Namespace, model: Path) -> float:
    report = options.work / "report.json"
    flags = ("--provider", options.provider, "--batch-size", options.batch_size, "--json", report)
    dlcv("eval", model, "--data", data_of(options), *flags)
    return float(json.loads(report.read_text())["speed"]["images_per_s"])


def _throughput(
    options: argparse.Namespace, forward: Callable[[np.ndarray], np.ndarray], warm_up: int = 1
) -> float:
    """Return images/s on prepared batches; `forward` returns masks, so a GPU has finished."""
    data = open_split(data_of(options), "val")
    ready = [batch.images for batch in EvalBatches(data, options.batch_size).read()]
    for _ in range(warm_up):
        forward(ready[0])
    started = time.perf_counter()
    for images in ready:
        forward(images)
    return sum(len(images) for images in ready) / (time.perf_counter() - started)


def dlcv_onnx(options: argparse.Namespace) -> float:
    """Return the images/s of `dlcv eval` under ONNX Runtime."""
    return _end_to_end(options, run_of(options).onnx)


def dlcv_torch(options: argparse.Namespace) -> float:
    """Return the images/s of `dlcv eval` under PyTorch."""
    return _end_to_end(options, run_of(options).best)


def bare_session(options: argparse.Namespace) -> float:
    """Return the images/s of ONNX Runtime on prepared batches."""
    session = open_session(run_of(options).onnx, options.provider).session
    size = np.array([options.side, options.side])
    return _throughput(options, lambda images: session.run(None, {"images": images, "size": size}))


def torch_ready(options: argparse.Namespace, **how: bool) -> float:
    """Return the images/s of PyTorch on prepared batches."""
    from peers import torch_forward

    return _throughput(options, torch_forward(options, **how), warm_up=3)


def reference(options: argparse.Namespace) -> float:
    """Return the images/s of torchvision's reference evaluation."""
    from peers import reference_evaluation

    return reference_evaluation(options)


if __name__ == "__main__":
    main(
        "evaluation",
        "images/s",
        {
            "dlcv eval, onnx": dlcv_onnx,
            "bare session": bare_session,
            "dlcv eval, torch": dlcv_torch,
            "torchvision reference": reference,
            "torch nchw": torch_ready,
            "torch channels-last": partial(torch_ready, channels_last=True),
            "torch bf16 channels-last": partial(torch_ready, channels_last=True, bf16=True),
            "torch compile": partial(torch_ready, compiled=True),
            "torch compile channels-last": partial(torch_ready, channels_last=True, compiled=True),
        },
        _arguments,
        prepare,
    )

"""Measure whether the memory of `dlcv eval` grows with the number of images.

    python benchmarks/eval_memory.py --work FOLDER

measures the peak memory in MiB of evaluating 100, 1,000 and 10,000 images under both backends.
The images are hard links to 16 synthetic tiles.
"""

from __future__ import annotations

import argparse
import json
import os
from functools import partial
from pathlib import Path

from common import main
from synthetic_tiles import data_of, dlcv, prepare, run_of, work_arguments

COUNTS = (100, 1_000, 10_000)


def _arguments(parser: argparse.ArgumentParser) -> None:
    work_arguments(parser, model="lraspp_mobilenet_v3_large", images=16, side=64)


def _many(options: argparse.Namespace, count: int) -> Path:
    """Return a set of `count` images that are hard links to the synthetic tiles."""
    folder = data_of(options).with_name(f"data-{options.side}-links-{count}") / "validation"
    if not folder.exists():
        folder.mkdir(parents=True)
        for number in range(count):
            for kind in ("sat.jpg", "mask.png"):
                tile = f"{number % options.images:04d}_{kind}"
                os.link(data_of(options) / "validation" / tile, folder / f"{number:05d}_{kind}")
    return folder.parent


def peak(options: argparse.Namespace, backend: str, count: int) -> float:
    """Return the peak MiB of one `dlcv eval`."""
    run, report = run_of(options), options.work / "report.json"
    model = run.onnx if backend == "onnx" else run.best
    data = _many(options, count)
    dlcv("eval", model, "--data", data, "--provider", "cpu", "--json", report)
    return float(json.loads(report.read_text())["speed"]["peak_memory_mb"])


if __name__ == "__main__":
    main(
        "peak memory of dlcv eval",
        "MiB",
        {
            f"{backend}, {count:,} images": partial(peak, backend=backend, count=count)
            for backend in ("onnx", "torch")
            for count in COUNTS
        },
        _arguments,
        prepare,
        rounds=1,
    )

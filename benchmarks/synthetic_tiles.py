"""Synthetic land-cover tiles and a model with random weights: what the benchmarks run on."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from dlcvcli.runs import RunFolder


def work_arguments(parser: argparse.ArgumentParser, *, model: str, images: int, side: int) -> None:
    """Add the arguments that describe the set and the model, and the folder for both."""
    parser.add_argument("--work", type=Path, required=True, help="folder for the set and the model")
    parser.add_argument("--model", default=model)
    parser.add_argument("--images", type=int, default=images)
    parser.add_argument("--side", type=int, default=side)


def data_of(options: argparse.Namespace) -> Path:
    """Return the set's folder."""
    return Path(options.work) / f"data-{options.side}-{options.images}"


def run_of(options: argparse.Namespace) -> RunFolder:
    """Return the run's folder; its `model.onnx` is the export."""
    return RunFolder(Path(options.work) / f"run-{options.model}-{options.side}")


def dlcv(*arguments: object) -> None:
    """Run a command of dlcv in a process of its own."""
    subprocess.run([sys.executable, "-m", "dlcvcli", *map(str, arguments)], check=True)


def prepare(options: argparse.Namespace) -> None:
    """Make the set, train one step and export, unless an earlier call did."""
    data, run = data_of(options), run_of(options)
    if not data.exists():
        side = f"{options.side}x{options.side}"
        tiles = ("--train", 8, "--validation", options.images, "--size", side)
        dlcv("data", "make", "landcover", data, *tiles)
    if not run.best.exists():
        train = ("--model", options.model, "--steps", 1, "--batch-size", 2)
        dlcv("train", "seg", "--data", data, *train, "--precision", "fp32", "--out", run.path)
    if not run.onnx.exists():
        dlcv("export", run.path)

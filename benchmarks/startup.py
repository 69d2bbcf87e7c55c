"""How long until dlcv answers?

    python benchmarks/startup.py [--model model.onnx --image photo.jpg]

measures seconds of a whole process: `dlcv --help`, a bare interpreter beside it, and, where a model
is given, `dlcv predict MODEL IMAGE` from start to mask.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import main


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--repeats", type=int, default=5)


def _time(options: argparse.Namespace, *arguments: object) -> float:
    times = []
    for _ in range(options.repeats):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL
        )
        times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2]


def help_page(options: argparse.Namespace) -> float:
    """`dlcv --help`."""
    return _time(options, "-m", "dlcvcli", "--help")


def bare(options: argparse.Namespace) -> float:
    """An interpreter that does nothing."""
    return _time(options, "-c", "pass")


def predict(options: argparse.Namespace) -> float:
    """`dlcv predict` of one image, mask and overlay written."""
    if options.model is None or options.image is None:
        return float("nan")
    with tempfile.TemporaryDirectory() as folder:
        return _time(
            options, "-m", "dlcvcli", "predict", options.model, options.image, "--out", folder
        )


if __name__ == "__main__":
    main(
        "Start-up, seconds of the whole process",
        "s",
        {"dlcv --help": help_page, "python -c pass": bare, "dlcv predict": predict},
        _arguments,
    )

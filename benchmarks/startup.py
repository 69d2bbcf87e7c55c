"""Measure how long dlcv takes to start.

    python benchmarks/startup.py --work FOLDER

measures seconds from start to end of a process, each the median of several starts:
- dlcv --help
- dlcv predict: `dlcv predict model.onnx IMAGE`, from start to mask and overlay on disk
- python -c pass: a bare interpreter, the lower bound of both
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time

from common import main
from synthetic_tiles import data_of, prepare, run_of, work_arguments


def _arguments(parser: argparse.ArgumentParser) -> None:
    work_arguments(parser, model="lraspp_mobilenet_v3_large", images=1, side=256)
    parser.add_argument("--repeats", type=int, default=5)


def _time(options: argparse.Namespace, *arguments: object) -> float:
    times = []
    for _ in range(options.repeats):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL
        )
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def help_page(options: argparse.Namespace) -> float:
    """Return the seconds of `dlcv --help`."""
    return _time(options, "-m", "dlcvcli", "--help")


def bare(options: argparse.Namespace) -> float:
    """Return the seconds of an interpreter that does nothing."""
    return _time(options, "-c", "pass")


def predict(options: argparse.Namespace) -> float:
    """Return the seconds of `dlcv predict` on one image under ONNX Runtime."""
    image = data_of(options) / "validation" / "0000_sat.jpg"
    with tempfile.TemporaryDirectory() as out:
        flags = (run_of(options).onnx, image, "--out", out)
        return _time(options, "-m", "dlcvcli", "predict", *flags)


if __name__ == "__main__":
    main(
        "start to end of a process",
        "s",
        {"dlcv --help": help_page, "dlcv predict": predict, "python -c pass": bare},
        _arguments,
        prepare,
    )

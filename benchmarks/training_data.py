"""Measure how fast training batches are made, with and without a cache of decoded images.

    python benchmarks/training_data.py --work DIR [--workers 1] [--crop 512]

measures images/s of `TrainingBatches` on synthetic tiles (JPEG images, PNG masks): reading,
augmentation and stacking, with nothing else running
- decode: every image is decoded whenever it is drawn, which is the default
- cache: with `data.cache`, in the epochs after the one that fills it
- cache, filling: in that first epoch
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import torch
from common import main

from dlcvcli.config.schema import AugmentSettings
from dlcvcli.data.augment import SegmentationAugment
from dlcvcli.data.cache import cache_of
from dlcvcli.data.loader import TrainingBatches, TrainingImages
from dlcvcli.data.normalise import MEAN_COLOUR
from dlcvcli.data.sampler import BatchPlan
from dlcvcli.data.segmentation import open_split


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, required=True, help="folder for the set")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--crop", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--workers", type=int, default=0)


def _data_of(options: argparse.Namespace) -> Path:
    return Path(options.work) / f"tiles-{options.side}-{options.images}"


def _prepare(options: argparse.Namespace) -> None:
    folder = _data_of(options)
    if not folder.exists():
        tiles = ("landcover", folder, "--train", options.images, "--validation", 1)
        size = ("--size", f"{options.side}x{options.side}")
        command = [sys.executable, "-m", "dlcvcli", "data", "make", *tiles, *size]
        subprocess.run([str(word) for word in command], check=True)


def _rate(cached: bool, filling: bool, options: argparse.Namespace) -> float:
    torch.set_num_threads(1)
    data = open_split(_data_of(options), "train")
    cache = cache_of(data, 2**40 if cached else 0)
    crop = (options.crop, options.crop)
    augment = SegmentationAugment(AugmentSettings(), crop, MEAN_COLOUR, data.classes.ignore_index)
    plan = BatchPlan(len(data), options.batch_size, 0)
    images = TrainingImages(data, augment, 0, cache)
    batches = TrainingBatches(images, plan, workers=options.workers)
    epochs = 1 if filling else options.epochs
    skipped = 0 if filling else 1
    steps = batches.steps(0, (epochs + skipped) * plan.steps_per_epoch)
    for _ in range(skipped * plan.steps_per_epoch):
        next(steps)
    start = time.perf_counter()
    count = sum(len(batch["images"]) for batch in steps)
    return count / (time.perf_counter() - start)


if __name__ == "__main__":
    main(
        "training data",
        "images/s",
        {
            "decode": partial(_rate, False, False),
            "cache": partial(_rate, True, False),
            "cache, filling": partial(_rate, True, True),
        },
        _arguments,
        _prepare,
    )

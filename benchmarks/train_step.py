"""Measure what the engine adds to a training step, beside a hand-written loop on the same batch.

    python benchmarks/train_step.py [--precision bf16]

measures images/s of the same model, crop, batch and optimiser
- dlcv engine: `fit` with its logging, from a data source that returns one prepared batch
- plain loop: forward, cross-entropy, backward, step, and nothing else, at the same precision and
  layout (channels-last)
- plain loop, nchw fp32: the same, as most scripts have it
- dlcv train: the command on synthetic tiles, including reading and augmentation; its wait for
  data is printed, too
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import main
from torch import Tensor, nn

from dlcvcli.config.load import resolve
from dlcvcli.data.sampler import BatchPlan
from dlcvcli.models.build import build_network
from dlcvcli.models.registry import model_entry
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.palette import PRESETS
from dlcvcli.tasks.segmentation.settings import TrainSegSettings

CLASSES = PRESETS["landcover7"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of a measured step."""
    parser.add_argument("--model", default="deeplabv3plus_resnet50")
    parser.set_defaults(model_options={})
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")


def batch_of(options: argparse.Namespace) -> dict[str, Tensor]:
    """Return random images, uint8 [N, H, W, 3], and masks, uint8 [N, H, W]."""
    generator = torch.Generator().manual_seed(0)
    shape = (options.batch_size, options.side, options.side)
    return {
        "images": torch.randint(0, 256, (*shape, 3), generator=generator, dtype=torch.uint8),
        "masks": torch.randint(0, 7, shape, generator=generator, dtype=torch.uint8),
    }


def _segmenter(options: argparse.Namespace) -> Segmenter:
    torch.manual_seed(0)
    network = build_network(options.model, num_classes=len(CLASSES), **options.model_options)
    return Segmenter(network, model_entry(options.model).stride)


class OneBatch:
    """Returns the same batch at every step."""

    def __init__(self, batch: dict[str, Tensor], plan: BatchPlan) -> None:
        self.batch = batch
        self.plan = plan

    def steps(self, start: int, stop: int, **ranks: Any) -> Generator[dict[str, Tensor]]:
        """Yield the batch for each step."""
        for _ in range(start, stop):
            yield dict(self.batch)


def engine(options: argparse.Namespace) -> float:
    """Return the images/s inside `fit`, without the first step."""
    from dlcvcli.engine.fit import fit
    from dlcvcli.engine.hooks import Hooks
    from dlcvcli.engine.launch import launch
    from dlcvcli.runs import RunFolder
    from dlcvcli.tasks.segmentation.task import SegmentationTask

    class Clock(Hooks):
        def __init__(self) -> None:
            self.times: list[float] = []

        def on_step(self, step: int) -> None:
            self.times.append(time.perf_counter())

    flags = {
        "train.steps": options.steps + 1,
        "train.batch_size": options.batch_size,
        "train.precision": options.precision,
        "train.save_every": 10**6,
        # The timed steps include a log line.
        "train.log_every": 2,
    }
    settings = resolve(TrainSegSettings, flags=flags)
    source = OneBatch(batch_of(options), BatchPlan(options.batch_size, options.batch_size, 0))
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        fit(
            SegmentationTask(_segmenter(options), CLASSES),
            source,
            settings,
            launcher=launch(precision=options.precision),
            run=run,
            hooks=clock,
        )
    return options.steps * options.batch_size / (clock.times[-1] - clock.times[0])


def plain(options: argparse.Namespace, *, reference: bool = False) -> float:
    """Return the images/s of the shortest loop that trains the same model."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    layout = torch.contiguous_format if reference else torch.channels_last
    bf16 = options.precision == "bf16" and not reference
    segmenter = _segmenter(options).to(device, memory_format=layout)
    if reference:
        segmenter.network.register_forward_pre_hook(lambda module, args: (args[0].contiguous(),))
    segmenter.train()
    optimizer = torch.optim.AdamW(segmenter.parameters(), lr=1e-3, fused=True)
    loss_of = nn.CrossEntropyLoss(ignore_index=CLASSES.ignore_index)
    batch = {name: value.to(device) for name, value in batch_of(options).items()}
    started = 0.0
    for step in range(options.steps + 1):
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            out = segmenter.network_outputs(batch["images"])["out"]
        loss = loss_of(out.float(), batch["masks"].long())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step in (0, options.steps) and device == "cuda":
            torch.cuda.synchronize()
        if step == 0:
            started = time.perf_counter()
    return options.steps * options.batch_size / (time.perf_counter() - started)


def with_data(options: argparse.Namespace) -> float:
    """Return the images/s that the command reports."""
    with tempfile.TemporaryDirectory() as folder:
        data, run = f"{folder}/data", f"{folder}/run"
        side = f"{options.side}x{options.side}"
        counts = ("--train", 32, "--validation", 1, "--size", side)
        train = ("--steps", options.steps + 1, "--batch-size", options.batch_size)
        for arguments in (
            ("data", "make", "landcover", data, *counts),
            ("train", "seg", "--data", data, "--model", options.model, *train, "--precision",
             options.precision, "--out", run, "--set", "train.log_every=1"),
        ):  # fmt: skip
            subprocess.run([sys.executable, "-m", "dlcvcli", *map(str, arguments)], check=True)
        records = [json.loads(line) for line in Path(run, "metrics.jsonl").read_text().splitlines()]
        steps = [r for r in records if r["split"] == "train"][1:]
        print("data wait", sum(r["data_wait"] for r in steps) / len(steps), file=sys.stderr)
        return (
            options.batch_size
            * len(steps)
            / sum(options.batch_size / r["images_per_s"] for r in steps)
        )


if __name__ == "__main__":
    main(
        "training step",
        "images/s",
        {
            "dlcv engine": engine,
            "plain loop": plain,
            "plain loop, nchw fp32": partial(plain, reference=True),
            "dlcv train": with_data,
        },
        arguments,
    )

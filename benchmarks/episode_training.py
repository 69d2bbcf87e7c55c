"""Measure training episodes per second, beside a plain loop over easyfsl on the same files.

    python benchmarks/episode_training.py --work DIR [--set mini|omniglot]

measures episodes/s of a prototypical network on Conv4, from files to weights, in float32, one
episode per step, with Adam at 1e-3. The first steps are not counted.
- dlcv: `training.run.train`, which is what `dlcv train fewshot` calls; it reads the files once
- easyfsl: the loop of its tutorials over `TaskSampler`, `EasySet` and `PrototypicalNetworks`
- easyfsl, 2 workers: the same with two loader processes
- easyfsl, in memory: the same from tensors that are read, resized and normalised before

`--set mini` is 84x84 JPEG, 5-way 1-shot with 15 queries of each way; `--set omniglot` is 105x105
PNG stretched to 28x28, 20-way 1-shot with 5. All get the same images: RGB, resized, normalised,
not augmented. All use PyTorch's default number of threads. The time that dlcv takes to read the
files once is printed, too.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import installed, main
from synthetic_classes import make_classes
from torch import Tensor, nn

from dlcvcli.config.load import resolve
from dlcvcli.data.episodes import Shape
from dlcvcli.data.normalise import MEAN, STD
from dlcvcli.engine.hooks import Hooks
from dlcvcli.runs import RunFolder
from dlcvcli.tasks.fewshot.data import check_fewshot_data, resolve_fewshot
from dlcvcli.tasks.fewshot.settings import TrainFewshotSettings
from dlcvcli.training.run import RunRequest, train

# Side of the training images, and the shape of an episode.
SETS = {"mini": (84, Shape(5, 1, 15)), "omniglot": (28, Shape(20, 1, 5))}
CLASSES = {"mini": 64, "omniglot": 100}
RATE = 1e-3


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, required=True, help="folder for the set")
    parser.add_argument("--set", choices=tuple(SETS), default="mini")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--warm-up", type=int, default=10)


def _data_of(options: argparse.Namespace) -> Path:
    return Path(options.work) / f"classes-{options.set}"


def _prepare(options: argparse.Namespace) -> None:
    """Make the set, unless an earlier call did."""
    data = _data_of(options)
    if data.exists():
        return
    partial = data.with_name(f"{data.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    make_classes(partial / "train", options.set, classes=CLASSES[options.set], seed=0)
    # dlcv refuses to train without a validation split.
    make_classes(partial / "val", options.set, classes=5, seed=1)
    partial.rename(data)


class Clock(Hooks):
    """Records the times at the end of the warm-up and of the last step."""

    def __init__(self, warm_up: int, steps: int) -> None:
        self.warm_up = warm_up
        self.total = warm_up + steps
        self.times: list[float] = []

    def on_step(self, step: int) -> None:
        """Record the time at these two steps."""
        if step in (self.warm_up, self.total):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.times.append(time.perf_counter())

    @property
    def rate(self) -> float:
        """Steps per second between the two."""
        started, ended = self.times
        return (self.total - self.warm_up) / (ended - started)


def ours(options: argparse.Namespace) -> float:
    """Return the episodes/s of dlcv."""
    side, shape = SETS[options.set]
    clock = Clock(options.warm_up, options.steps)
    flags = {
        "data.path": str(_data_of(options)),
        "data.size": [side, side],
        "data.mean": list(MEAN),
        "data.std": list(STD),
        "episode.n_way": shape.n_way,
        "episode.k_shot": shape.k_shot,
        "episode.n_query": shape.n_query,
        # As few as possible: both run after the last step, and are not timed.
        "episode.test_n_way": 2,
        "episode.val_episodes": 2,
        "episode.test_episodes": 2,
        "optim.lr": RATE,
        "train.steps": clock.total,
        "train.val_every": clock.total,
        "train.precision": "fp32",
    }
    settings = resolve(TrainFewshotSettings, flags=flags)
    started = time.perf_counter()
    data = check_fewshot_data(settings)
    _say_read("dlcv", started)
    with tempfile.TemporaryDirectory() as folder:
        request = RunRequest(RunFolder(Path(folder) / "run"), resolve_fewshot(settings, data), data)
        train(request, hooks=clock)
    return clock.rate


def _say_read(name: str, started: float) -> None:
    print(f"{name}: read the files in {time.perf_counter() - started:.1f} s", file=sys.stderr)


def _conv4() -> nn.Module:
    """Return Conv4 as in Snell et al. 2017: convolution, norm, ReLU, pooling, four times."""

    def block(in_channels: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(in_channels, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)
        )

    return nn.Sequential(block(3), block(64), block(64), block(64), nn.Flatten())


def _peer_data(options: argparse.Namespace) -> Any:
    """Return easyfsl's set of the training files."""
    from easyfsl.datasets import EasySet
    from torchvision import transforms

    side, _ = SETS[options.set]
    folders = sorted((_data_of(options) / "train").iterdir())
    specs = {"class_names": [f.name for f in folders], "class_roots": [str(f) for f in folders]}
    transform = transforms.Compose(
        [
            transforms.Resize((side, side)),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "specs.json"
        file.write_text(json.dumps(specs))
        return EasySet(file, transform=transform)


def _in_memory(data: Any) -> Any:
    """Return the same images as tensors, in easyfsl's own class for that."""
    from easyfsl.datasets import FeaturesDataset

    started = time.perf_counter()
    images = torch.stack([data[index][0] for index in range(len(data))])
    _say_read("easyfsl", started)
    return FeaturesDataset(data.get_labels(), images, data.class_names)


def peer(options: argparse.Namespace, *, workers: int = 0, in_memory: bool = False) -> float:
    """Return the episodes/s of the loop of easyfsl's tutorials."""
    from easyfsl.methods import PrototypicalNetworks
    from easyfsl_peer import task_loader

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    random.seed(0)
    clock = Clock(options.warm_up, options.steps)
    data = _peer_data(options)
    if in_memory:
        data = _in_memory(data)
    _, shape = SETS[options.set]
    loader = task_loader(data, shape, clock.total, workers=workers, pin_memory=device == "cuda")
    model = PrototypicalNetworks(_conv4()).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    criterion = nn.CrossEntropyLoss()
    losses: list[float] = []
    model.train()
    for step, (support, support_labels, query, query_labels, _) in enumerate(loader, 1):
        optimizer.zero_grad()
        model.process_support_set(support.to(device), support_labels.to(device))
        scores: Tensor = model(query.to(device))
        loss = criterion(scores, query_labels.to(device))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        clock.on_step(step)
    return clock.rate


if __name__ == "__main__":
    main(
        "training on episodes",
        "episodes/s",
        {
            "dlcv": ours,
            **installed(
                "easyfsl",
                {
                    "easyfsl": peer,
                    "easyfsl, 2 workers": partial(peer, workers=2),
                    "easyfsl, in memory": partial(peer, in_memory=True),
                },
            ),
        },
        _arguments,
        _prepare,
    )

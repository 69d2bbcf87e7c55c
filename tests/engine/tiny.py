"""A run of seconds for exact tests of the engine: noise images, a network with dropout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from dlcvcli.config.load import resolve
from dlcvcli.data.loader import TrainingBatches
from dlcvcli.data.sampler import BatchPlan, Draw
from dlcvcli.engine.fit import fit
from dlcvcli.engine.hooks import Hooks
from dlcvcli.engine.launch import Launcher, launch
from dlcvcli.engine.result import FitResult
from dlcvcli.engine.task import Batch, Outcome, ParameterGroup, Task, split_by_decay
from dlcvcli.losses import CrossEntropy
from dlcvcli.runs import RunFolder
from dlcvcli.scores import Score
from dlcvcli.tasks.segmentation.settings import TrainSegSettings

IMAGES, CLASSES, IGNORE = 20, 3, 255


class Noise(Dataset[dict[str, Tensor]]):
    """Images and masks as a function of (epoch, index), like augmented samples."""

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, draw: Draw) -> dict[str, Tensor]:
        rng = np.random.default_rng(draw)
        image = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
        mask = (image[..., 0] // 86).astype(np.uint8)
        mask[rng.random((8, 8)) < 0.3 * (draw[1] % 3)] = IGNORE
        return {"images": torch.from_numpy(image), "masks": torch.from_numpy(mask)}


class TinyTask(Task):
    """Two convolutions with dropout and a norm layer: BatchNorm or GroupNorm."""

    def __init__(self, *, dropout: float = 0.3, batch_norm: bool = True) -> None:
        super().__init__()
        norm = nn.BatchNorm2d(8) if batch_norm else nn.GroupNorm(2, 8)
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            norm,
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv2d(8, CLASSES, 1),
        )

    def forward(self, batch: Batch, normaliser: Tensor) -> Outcome:
        logits = self.net(batch["images"].permute(0, 3, 1, 2).float() / 255)
        total = CrossEntropy(IGNORE).sum(logits.float(), batch["masks"].long())
        return {"loss": total / normaliser.clamp(min=1).to(total.dtype), "log": {}}

    def count_terms(self, batch: Batch) -> Tensor:
        return (batch["masks"] != IGNORE).sum(dtype=torch.float64)

    def parameter_groups(self) -> list[ParameterGroup]:
        return split_by_decay("net", self.net, 1.0)


def tiny_settings(**train: Any) -> TrainSegSettings:
    """Return settings with some `train` keys, in fp32."""
    flags = {"train.precision": "fp32", "train.batch_size": 4, "train.workers": 0}
    flags |= {f"train.{key}": value for key, value in train.items()}
    return resolve(TrainSegSettings, flags=flags)


def tiny_fit(
    folder: Path,
    *,
    settings: TrainSegSettings,
    hooks: Hooks | None = None,
    resume: dict[str, Any] | None = None,
    task: Task | None = None,
    launcher: Launcher | None = None,
    dataset: Dataset[Any] | None = None,
    validate: Any = None,
    monitor: Score | None = None,
) -> tuple[Task, FitResult, RunFolder]:
    """Train the tiny task in a folder; return task, result and run folder."""
    run = RunFolder(folder)
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    launcher = launcher or launch(precision="fp32")
    torch.manual_seed(settings.train.seed)
    task = task or TinyTask()
    plan = BatchPlan(IMAGES, settings.train.batch_size, settings.train.seed)
    source = TrainingBatches(dataset or Noise(), plan, workers=settings.train.workers or 0)
    result = fit(
        task,
        source,
        settings,
        launcher=launcher,
        run=run,
        hooks=hooks or Hooks(),
        monitor=monitor or Score("miou", "mIoU"),
        validate=validate,
        resume=resume,
    )
    return task, result, run

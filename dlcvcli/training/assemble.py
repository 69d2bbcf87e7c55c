"""What the engine runs, made of a run's settings and data: task, batches, validation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dlcvcli.config.schema import TrainSegSettings
from dlcvcli.data.augment import SegmentationAugment
from dlcvcli.data.batches import EvalBatches
from dlcvcli.data.cache import ImageCache
from dlcvcli.data.loader import TrainingBatches, TrainingImages
from dlcvcli.data.normalise import MEAN_COLOUR
from dlcvcli.data.reading import Pixels
from dlcvcli.data.sampler import BatchPlan
from dlcvcli.data.segmentation import SegmentationSet
from dlcvcli.engine.checkpoint import load_checkpoint
from dlcvcli.engine.fit import Validate
from dlcvcli.engine.launch import Launcher
from dlcvcli.errors import CheckpointError
from dlcvcli.inference.evaluate import score
from dlcvcli.losses import build_loss
from dlcvcli.machine import usable_cores
from dlcvcli.metrics import SegmentationScore
from dlcvcli.models.averaging import evaluated_weights
from dlcvcli.models.build import build_network
from dlcvcli.models.registry import model_entry
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.palette import Mask
from dlcvcli.tasks.base import Task
from dlcvcli.tasks.segmentation import SegmentationTask
from dlcvcli.training.data import TrainingData
from dlcvcli.training.results import images_at_once


def build_task(settings: TrainSegSettings, data: TrainingData, *, fresh: bool) -> SegmentationTask:
    """Build the task; a resumed run takes its weights from the checkpoint alone."""
    network = build_network(
        settings.model.name,
        num_classes=len(data.classes),
        weights=settings.model.weights if fresh else "none",
        **settings.model.options,
    )
    segmenter = Segmenter(network, model_entry(settings.model.name).stride)
    scale, chosen = settings.optim.backbone_lr_scale, settings.loss
    assert chosen.class_weights == "none" or not isinstance(chosen.class_weights, str)
    loss = build_loss(
        chosen.name,
        ignore_index=data.classes.ignore_index,
        class_weights=None if chosen.class_weights == "none" else chosen.class_weights,
        gamma=chosen.gamma,
    )
    return SegmentationTask(
        segmenter,
        data.classes,
        loss,
        backbone_lr_scale=1.0 if scale is None else scale,
        auxiliary=chosen.auxiliary,
        ema=settings.optim.ema,
    )


def training_batches(
    settings: TrainSegSettings,
    train: SegmentationSet,
    launcher: Launcher,
    cache: ImageCache | None = None,
) -> TrainingBatches:
    """Return the augmented batches of a run; `cache` keeps decoded images, where there is one."""
    seed = settings.train.seed
    assert settings.data.crop is not None
    augment = SegmentationAugment(
        settings.data.augment, settings.data.crop, MEAN_COLOUR, train.classes.ignore_index
    )
    on_gpu = launcher.device.type == "cuda"
    workers = settings.train.workers
    return TrainingBatches(
        TrainingImages(train, augment, seed, cache),
        BatchPlan(len(train), settings.train.batch_size, seed),
        workers=default_workers(on_gpu, launcher) if workers is None else workers,
        pin_memory=on_gpu,
    )


def default_workers(on_gpu: bool, launcher: Launcher) -> int:
    """Return the loader processes per rank: one beside a CPU that trains, several beside a GPU."""
    cores = usable_cores()
    if not on_gpu:
        return 1 if cores > 1 else 0
    return max(1, min(8, cores // launcher.ranks_here - 1))


def take_weights(task: SegmentationTask, path: Path) -> str:
    """Start from a checkpoint's weights, averaged ones where it has them.

    A head for other classes stays random.
    """
    state = evaluated_weights(load_checkpoint(path)["task"])
    own = task.segmenter.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    if len(fitting) < len(own) / 2:
        raise CheckpointError(
            f"--init {path} does not fit the model: {len(fitting)} of {len(own)} tensors match",
            "choose the --model that it was trained with",
        )
    for segmenter in (task.segmenter, task.average):
        if segmenter is not None:
            segmenter.load_state_dict({**own, **fitting})
    left = sorted(own.keys() - fitting.keys())
    note = f"; random: {', '.join(left[:4])}" if left else ""
    return f"took {len(fitting)} of {len(own)} tensors from {path}{note}"


def validation_of(settings: TrainSegSettings, val: SegmentationSet, launcher: Launcher) -> Validate:
    """Return the validation of a run: each rank scores its share, and counts are added."""
    batches = EvalBatches(
        val,
        images_at_once(settings, launcher),
        rank=launcher.rank,
        world_size=launcher.world_size,
    )

    def validation(task: Task, stop: Callable[[], bool]) -> dict[str, Any] | None:
        assert isinstance(task, SegmentationTask)
        segmenter = task.evaluated

        def forward(images: Pixels, size: tuple[int, int]) -> Mask:
            batch = torch.from_numpy(images).to(launcher.device)
            mask: Mask = segmenter(batch, size).cpu().numpy()
            return mask

        counts = score(forward, batches, stop=stop)
        broken = launcher.largest(torch.tensor(int(counts is None), device=launcher.device))
        if counts is None or bool(broken):
            return None
        total = launcher.sum(torch.from_numpy(counts).to(launcher.device)).cpu().numpy()
        metrics = SegmentationScore(val.classes, total.astype(np.int64)).compute()
        return {k: v for k, v in metrics.items() if k not in {"convention", "rule"}}

    return validation

"""The training of a segmenter, as a job."""

from __future__ import annotations

from collections.abc import (
    Callable,
)
from pathlib import (
    Path,
)
from typing import (
    Any,
)

import numpy as np
import torch
from torch import (
    nn,
)

from dlcvcli.config.schema import (
    TrainSegSettings,
)
from dlcvcli.data.augment import (
    SegmentationAugment,
)
from dlcvcli.data.batches import (
    EvalBatches,
)
from dlcvcli.data.cache import (
    ImageCache,
    cache_of,
)
from dlcvcli.data.loader import (
    TrainingBatches,
    TrainingImages,
)
from dlcvcli.data.normalise import (
    MEAN_COLOUR,
)
from dlcvcli.data.reading import (
    Pixels,
)
from dlcvcli.data.sampler import (
    BatchPlan,
)
from dlcvcli.data.segmentation import (
    SegmentationSet,
)
from dlcvcli.engine.checkpoint import (
    load_checkpoint,
)
from dlcvcli.engine.fit import (
    Validate,
)
from dlcvcli.engine.hooks import (
    Hooks,
)
from dlcvcli.engine.launch import (
    Launcher,
)
from dlcvcli.engine.task import (
    Task,
)
from dlcvcli.errors import (
    CheckpointError,
)
from dlcvcli.losses import (
    build_loss,
)
from dlcvcli.machine import (
    usable_cores,
)
from dlcvcli.metrics import (
    SegmentationScore,
)
from dlcvcli.models.averaging import (
    evaluated_weights,
)
from dlcvcli.models.registry import (
    build_network,
    model_entry,
)
from dlcvcli.models.segmenter import (
    Segmenter,
)
from dlcvcli.palette import (
    Mask,
)
from dlcvcli.runs import (
    RunFolder,
)
from dlcvcli.tasks.segmentation.data import (
    TrainingData,
)
from dlcvcli.tasks.segmentation.scoring import (
    score,
)
from dlcvcli.tasks.segmentation.snapshots import (
    SnapshotHook,
    find_subjects,
)
from dlcvcli.tasks.segmentation.task import (
    SegmentationTask,
)
from dlcvcli.training.job import (
    Job,
)
from dlcvcli.training.results import (
    draw,
    images_at_once,
    score_best,
)


class SegmentationJob(Job):
    """Trains a segmenter on annotated images.

    Args:
        settings: resolved (see `training.data.resolve_settings`).
        data: both splits.
    """

    monitor = "miou"

    def __init__(self, settings: TrainSegSettings, data: TrainingData) -> None:
        self.settings: TrainSegSettings = settings
        self.data: TrainingData = data
        self.seen = data.seen
        self.model_name = settings.model.name
        self.weights = settings.model.weights
        height, width = settings.data.crop or (0, 0)
        self.batch = f"{settings.train.batch_size} at {height}x{width}"
        self._cache: ImageCache | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in an epoch."""
        return BatchPlan(len(self.data.train), self.settings.train.batch_size, 0).steps_per_epoch

    def build_task(self, *, fresh: bool) -> SegmentationTask:
        """Build the task, with pre-trained weights where the run is new and asks for them."""
        return build_task(self.settings, self.data, fresh=fresh)

    def take_weights(self, task: SegmentationTask, path: Path) -> str:
        """Start from a checkpoint's weights; a head for other classes stays random."""
        return take_weights(task, path)

    def network_of(self, task: SegmentationTask) -> nn.Module:
        """Return the segmenter that is trained."""
        return task.segmenter

    def batches(self, launcher: Launcher) -> TrainingBatches:
        """Return augmented crops, read from the cache where there is one."""
        self._cache = cache_of(
            self.data.train, self.settings.data.cache, sharing=launcher.ranks_here
        )
        return training_batches(self.settings, self.data.train, launcher, self._cache)

    def lines(self, task: SegmentationTask, launcher: Launcher) -> list[str]:
        """Say what pre-trained weights filled, and what the cache holds."""
        report = getattr(task.segmenter.network, "load_report", None)
        lines = [] if report is None else [str(report)]
        if self._cache is not None:
            each = f" for each of {launcher.ranks_here} ranks" if launcher.ranks_here > 1 else ""
            lines.append(self._cache.describe() + each)
        return lines

    def hooks(self, run: RunFolder) -> list[Hooks]:
        """Return what keeps the masks of the images that the user named."""
        chosen = self.settings.snapshot
        subjects = find_subjects(chosen.images, self.data.val)
        size, classes = self.settings.data.size, self.data.classes
        return [SnapshotHook(run, subjects, chosen, size=size, classes=classes)]

    def validation(self, launcher: Launcher) -> Validate:
        """Return the mIoU of the validation split, in the training precision."""
        return validation_of(self.settings, self.data.val, launcher)

    def score_best(self, run: RunFolder, launcher: Launcher) -> dict[str, Any]:
        """Evaluate the best checkpoint under the convention `voc`."""
        return score_best(run, self.settings, self.data.val, launcher)

    def draw(self, run: RunFolder, steps_per_epoch: int) -> None:
        """Draw curves, snapshots and the confusion matrix."""
        draw(run, self.data.classes, steps_per_epoch)


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

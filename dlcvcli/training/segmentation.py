"""The training of a segmenter, as a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from dlcvcli.config.schema import TrainSegSettings
from dlcvcli.data.cache import ImageCache, cache_of
from dlcvcli.data.loader import TrainingBatches
from dlcvcli.data.sampler import BatchPlan
from dlcvcli.engine.fit import Validate
from dlcvcli.engine.hooks import Hooks
from dlcvcli.engine.launch import Launcher
from dlcvcli.runs import RunFolder
from dlcvcli.tasks.segmentation import SegmentationTask
from dlcvcli.training.assemble import build_task, take_weights, training_batches, validation_of
from dlcvcli.training.data import TrainingData
from dlcvcli.training.job import Job
from dlcvcli.training.results import draw, score_best
from dlcvcli.training.snapshots import SnapshotHook, find_subjects


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

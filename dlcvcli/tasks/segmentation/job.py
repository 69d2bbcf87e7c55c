"""The training of a segmentation model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from dlcvcli.data.augment import SegmentationAugment
from dlcvcli.data.batches import EvalBatches
from dlcvcli.data.cache import ImageCache, cache_of
from dlcvcli.data.loader import TrainingBatches, TrainingImages, default_workers
from dlcvcli.data.normalise import MEAN_COLOUR
from dlcvcli.data.reading import Pixels
from dlcvcli.data.sampler import BatchPlan
from dlcvcli.engine.fit import Validate
from dlcvcli.engine.hooks import Hooks
from dlcvcli.engine.launch import Launcher
from dlcvcli.engine.task import Task
from dlcvcli.figures.confusion import confusion_figure
from dlcvcli.figures.masks import side_by_side, snapshot_grid
from dlcvcli.figures.style import save
from dlcvcli.losses import build_loss
from dlcvcli.metrics import SegmentationScore
from dlcvcli.models.build import build_network
from dlcvcli.models.registry import model_entry
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.palette import Mask
from dlcvcli.runs import ModelRef, RunFolder, find_model
from dlcvcli.tasks.segmentation.data import TrainingData
from dlcvcli.tasks.segmentation.figures import evenly_chosen, rows_of
from dlcvcli.tasks.segmentation.load import load_predictor
from dlcvcli.tasks.segmentation.scores import SCORES
from dlcvcli.tasks.segmentation.scoring import evaluate, score
from dlcvcli.tasks.segmentation.settings import TrainSegSettings
from dlcvcli.tasks.segmentation.snapshots import SnapshotHook, find_snapshot_images
from dlcvcli.tasks.segmentation.task import SegmentationTask
from dlcvcli.tasks.segmentation.torch import TorchPredictor
from dlcvcli.training.finished import final_metrics
from dlcvcli.training.job import Job

# Validation images in the figure of predictions.
_SHOWN = 4


class SegmentationJob(Job):
    """Trains a segmentation model on annotated images.

    Args:
        settings: resolved (see `tasks.segmentation.data.resolve_settings`).
        data: both splits.
    """

    scores = SCORES

    def __init__(self, settings: TrainSegSettings, data: TrainingData) -> None:
        self.settings: TrainSegSettings = settings
        self.data: TrainingData = data
        self.seen = data.seen
        self.model_name = settings.model.name
        self.weights = settings.model.weights
        height, width = settings.data.crop or (0, 0)
        self.batch = f"{settings.train.batch_size} at {height}x{width}"
        plan = BatchPlan(len(data.train), settings.train.batch_size, settings.train.seed)
        self.steps_per_epoch = plan.steps_per_epoch
        self._cache: ImageCache | None = None

    def build_task(self, *, fresh: bool) -> SegmentationTask:
        model, optim, chosen = self.settings.model, self.settings.optim, self.settings.loss
        classes = self.data.classes
        network = build_network(
            model.name,
            num_classes=len(classes),
            weights=model.weights if fresh else "none",
            **model.options,
        )
        assert chosen.class_weights == "none" or not isinstance(chosen.class_weights, str)
        loss = build_loss(
            chosen.name,
            ignore_index=classes.ignore_index,
            class_weights=None if chosen.class_weights == "none" else chosen.class_weights,
            gamma=chosen.gamma,
        )
        scale = optim.backbone_lr_scale
        return SegmentationTask(
            Segmenter(network, model_entry(model.name).stride),
            classes,
            loss,
            backbone_lr_scale=1.0 if scale is None else scale,
            auxiliary=chosen.auxiliary,
            ema=optim.ema,
        )

    def batches(self, launcher: Launcher) -> TrainingBatches:
        """Return augmented crops, read from the cache where there is one."""
        settings, train = self.settings, self.data.train
        self._cache = cache_of(train, settings.data.cache, sharing=launcher.ranks_here)
        seed, workers = settings.train.seed, settings.train.workers
        if workers is None:
            workers = default_workers(on_gpu=launcher.on_gpu, ranks=launcher.ranks_here)
        assert settings.data.crop is not None
        augment = SegmentationAugment(
            settings.data.augment, settings.data.crop, MEAN_COLOUR, train.classes.ignore_index
        )
        return TrainingBatches(
            TrainingImages(train, augment, seed, self._cache),
            BatchPlan(len(train), settings.train.batch_size, seed),
            workers=workers,
            pin_memory=launcher.on_gpu,
        )

    def lines(self, task: SegmentationTask, launcher: Launcher) -> list[str]:
        """Return which tensors pre-trained weights filled, and the state of the cache."""
        report = getattr(task.network.network, "load_report", None)
        lines = [] if report is None else [str(report)]
        if self._cache is not None:
            each = f" for each of {launcher.ranks_here} ranks" if launcher.ranks_here > 1 else ""
            lines.append(self._cache.describe() + each)
        return lines

    def hooks(self, run: RunFolder) -> list[Hooks]:
        """Return what saves the masks of the images that `--snapshot` names."""
        chosen = self.settings.snapshot
        subjects = find_snapshot_images(chosen.images, self.data.val)
        size, classes = self.settings.data.size, self.data.classes
        return [SnapshotHook(run, subjects, chosen, size=size, classes=classes)]

    def validation(self, launcher: Launcher) -> Validate:
        """Return the validation in the training precision.

        Each rank scores its part of the images, and the counts are added.
        """
        val = self.data.val
        batches = EvalBatches(
            val,
            self._images_at_once(launcher),
            rank=launcher.rank,
            world_size=launcher.world_size,
        )

        def validate(task: Task, stop: Callable[[], bool]) -> dict[str, Any] | None:
            assert isinstance(task, SegmentationTask)
            segmenter = task.evaluated

            def forward(images: Pixels, size: tuple[int, int]) -> Mask:
                batch = torch.from_numpy(images).to(launcher.device)
                mask: Mask = segmenter(batch, size).cpu().numpy()
                return mask

            counts = score(forward, batches, stop=stop)
            stopped = launcher.max(torch.tensor(int(counts is None), device=launcher.device))
            if counts is None or bool(stopped):
                return None
            total = launcher.sum(torch.from_numpy(counts).to(launcher.device)).cpu().numpy()
            metrics = SegmentationScore(val.classes, total.astype(np.int64)).compute()
            return {k: v for k, v in metrics.items() if k not in {"convention", "rule"}}

        return validate

    def score_best(self, run: RunFolder, launcher: Launcher) -> dict[str, Any]:
        """Evaluate the best checkpoint, or the last where the best is gone, under `voc`."""
        path = run.best if run.best.is_file() else run.last
        predictor = TorchPredictor.load(
            ModelRef("checkpoint", path, run), "cuda" if launcher.on_gpu else "cpu"
        )
        batches = EvalBatches(self.data.val, self._images_at_once(launcher))
        evaluation = evaluate(predictor, batches, conventions=["voc"])
        return {
            "checkpoint": path.name,
            "precision": predictor.precision,
            "split": self.data.val.split,
            **{k: v for k, v in evaluation.metrics.items() if k != "by_convention"},
        }

    def draw(self, run: RunFolder, steps_per_epoch: int) -> None:
        """Draw curves and snapshots; of a finished run, predictions and confusion matrix too."""
        super().draw(run, steps_per_epoch)
        if any(run.snapshots.glob("*/step-*.png")):
            figure = snapshot_grid(run, self.data.classes, steps_per_epoch)
            save(figure, run.figures / "snapshots.png")
        metrics = final_metrics(run)
        if metrics is None:
            return
        val, predictor = self.data.val, load_predictor(find_model(run.path))
        rows = rows_of({"prediction": predictor}, val, evenly_chosen(_SHOWN, len(val)))
        save(side_by_side(rows, val.classes), run.figures / "predictions.png")
        confusion = metrics["confusion"]
        if any(map(any, confusion["counts"])):
            figure = confusion_figure(confusion["classes"], confusion["counts"])
            save(figure, run.figures / "confusion.png")

    def _images_at_once(self, launcher: Launcher) -> int:
        """Return how many images a rank validates at once: no more than it trains with."""
        each = self.settings.train.batch_size // launcher.world_size
        return self.settings.train.val_batch_size or max(1, each)

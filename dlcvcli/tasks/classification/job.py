"""The training of a classifier, as a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from dlcvcli.data.cache import ImageCache, cache_of
from dlcvcli.data.image_augment import ImageAugment
from dlcvcli.data.loader import TrainingBatches, TrainingImages, default_workers
from dlcvcli.data.reading import Pixels
from dlcvcli.data.sampler import BatchPlan
from dlcvcli.engine.fit import Validate
from dlcvcli.engine.hooks import Hooks
from dlcvcli.engine.launch import Launcher
from dlcvcli.engine.task import Task
from dlcvcli.figures.tsne import draw_tsne
from dlcvcli.files import write_atomically
from dlcvcli.models.classifier import Classifier
from dlcvcli.runs import ModelRef, RunFolder
from dlcvcli.tasks.classification.data import ClassificationData
from dlcvcli.tasks.classification.figures import draw_run
from dlcvcli.tasks.classification.metrics import ClassificationScore
from dlcvcli.tasks.classification.predictor import Floats
from dlcvcli.tasks.classification.scores import SCORES
from dlcvcli.tasks.classification.scoring import (
    evaluate,
    predictions_csv,
    predictions_file,
    score,
)
from dlcvcli.tasks.classification.settings import TrainClsSettings
from dlcvcli.tasks.classification.snapshots import FeatureHook
from dlcvcli.tasks.classification.task import ClassificationTask
from dlcvcli.tasks.classification.torch import TorchPredictor, build_classifier
from dlcvcli.training.finished import final_metrics
from dlcvcli.training.job import Job

# What the log of a validation needs, and not the long tables of an evaluation.
_RECORDED = ("top1", "ci95", "top5", "balanced_accuracy", "loss", "ece")


class ClassificationJob(Job):
    """Trains a classifier on labelled images.

    Args:
        settings: resolved (see `tasks.classification.data.resolve_settings`).
        data: both splits.
    """

    scores = SCORES
    smaller = "a smaller --batch-size or --size"
    larger = "a larger --batch-size or --size"

    def __init__(self, settings: TrainClsSettings, data: ClassificationData) -> None:
        self.settings: TrainClsSettings = settings
        self.data: ClassificationData = data
        self.seen = data.seen
        self.model_name = settings.model.name
        self.weights = settings.model.weights
        assert settings.data.size is not None
        height, width = self.size = settings.data.size
        self.batch = f"{settings.train.batch_size} at {height}x{width}"
        self.plan = BatchPlan(len(data.train), settings.train.batch_size, settings.train.seed)
        self.steps_per_epoch = self.plan.steps_per_epoch
        self._cache: ImageCache | None = None

    def build_task(self, *, fresh: bool) -> ClassificationTask:
        optim, loss = self.settings.optim, self.settings.loss
        assert loss.class_weights == "none" or not isinstance(loss.class_weights, str)
        classifier = build_classifier(
            self.settings,
            len(self.data.classes),
            weights=self.settings.model.weights if fresh else "none",
        )
        return ClassificationTask(
            classifier,
            backbone_lr_scale=1.0 if optim.backbone_lr_scale is None else optim.backbone_lr_scale,
            layer_decay=optim.layer_decay,
            label_smoothing=loss.label_smoothing,
            class_weights=None if loss.class_weights == "none" else loss.class_weights,
            mixup=loss.mixup,
            cutmix=loss.cutmix,
            ema=optim.ema,
        )

    def batches(self, launcher: Launcher) -> TrainingBatches:
        """Return augmented images, decoded once within `data.cache`."""
        data, train = self.settings.data, self.data.train
        self._cache = cache_of(train, data.cache, sharing=launcher.ranks_here, masks=False)
        workers = self.settings.train.workers
        if workers is None:
            workers = default_workers(on_gpu=launcher.on_gpu, ranks=launcher.ranks_here)
        augment = ImageAugment(data.augment, self.size)
        return TrainingBatches(
            TrainingImages(train, augment, self.plan.seed, self._cache, train.labels),
            self.plan,
            workers=workers,
            pin_memory=launcher.on_gpu,
        )

    def lines(self, task: ClassificationTask, launcher: Launcher) -> list[str]:
        """Return which tensors pre-trained weights filled, what is trained, and the cache."""
        network = task.network
        report, transfer = network.encoder.encoder.load_report, self.settings.transfer
        lines = [] if report is None else [str(report)]
        if transfer.setting is not None:
            lines.append(f"transfer setting {transfer.setting}")
        frozen = sum(p.numel() for p in network.parameters() if not p.requires_grad)
        if frozen:
            trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
            before = "" if transfer.freeze == "all" else f", all before {transfer.freeze}"
            lines.append(f"frozen: {frozen:,} parameters{before}; trained: {trained:,}")
        if self._cache is not None:
            lines.append(self._cache.describe())
        return lines

    def hooks(self, run: RunFolder) -> list[Hooks]:
        """Return what saves the features for t-SNE."""
        chosen = self.settings.tsne
        data = self.data.train if chosen.split == "train" else self.data.val
        return [FeatureHook(run, data, chosen, self._images_at_once)] if chosen.epochs else []

    def validation(self, launcher: Launcher) -> Validate:
        """Return the validation in the training precision.

        Each rank scores its part of the images, and the sums are added.
        """
        val = self.data.val

        def validate(task: Task, stop: Callable[[], bool]) -> dict[str, Any] | None:
            assert isinstance(task, ClassificationTask)
            forward = _forward(task.evaluated, launcher.device)
            part = score(
                forward,
                val,
                self._images_at_once,
                rank=launcher.rank,
                world_size=launcher.world_size,
                stop=stop,
            )
            stopped = launcher.max(torch.tensor(int(part is None), device=launcher.device))
            if part is None or bool(stopped):
                return None
            total = launcher.sum(torch.from_numpy(part.sums).to(launcher.device)).cpu().numpy()
            metrics = dict(ClassificationScore(val.classes, total).compute())
            return {key: metrics[key] for key in _RECORDED}

        return validate

    def score_best(self, run: RunFolder, launcher: Launcher) -> dict[str, Any]:
        """Evaluate the best checkpoint, or the last where the best is gone.

        The prediction of each validation image goes into the run's `predictions.csv`, so that runs
        can be compared image by image.
        """
        path = run.best if run.best.is_file() else run.last
        predictor = TorchPredictor.load(
            ModelRef("checkpoint", path, run), "cuda" if launcher.on_gpu else "cpu"
        )
        evaluation = evaluate(predictor, self.data.val, batch_size=self._images_at_once)
        text = predictions_csv(self.data.val, evaluation.predictions)
        write_atomically(predictions_file(run), text)
        return {
            "checkpoint": path.name,
            "precision": predictor.precision,
            "split": self.data.val.split,
            **evaluation.metrics,
        }

    def draw(self, run: RunFolder, steps_per_epoch: int) -> None:
        """Draw curves; of a finished run predictions, scores of classes, calibration, t-SNE too."""
        super().draw(run, steps_per_epoch)
        if final_metrics(run) is not None:
            draw_run(run, self.data.val)
            draw_tsne(run, perplexity=self.settings.tsne.perplexity)

    @property
    def _images_at_once(self) -> int:
        """Number of images of a rank's validation batch."""
        return self.settings.train.val_batch_size or max(1, self.settings.train.batch_size)


def _forward(classifier: Classifier, device: torch.device) -> Callable[[Pixels], Floats]:
    def forward(images: Pixels) -> Floats:
        logits = classifier(torch.from_numpy(images).to(device))
        return np.asarray(logits.float().cpu().numpy(), np.float32)

    return forward

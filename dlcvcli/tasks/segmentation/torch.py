"""Load the segmenter, the settings and the card of a checkpoint, and run it under PyTorch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dlcvcli.config.names import Provider
from dlcvcli.data.reading import Pixels
from dlcvcli.engine.checkpoint import Checkpoint, seen_images_of
from dlcvcli.errors import CheckpointError, ConfigError
from dlcvcli.inference.torch_model import TorchModel, load_on_device, run_on, stored_settings
from dlcvcli.models.averaging import evaluated_weights
from dlcvcli.models.build import build_network
from dlcvcli.models.registry import model_entry
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.palette import ClassSet, Mask
from dlcvcli.runs import ModelRef
from dlcvcli.runtime.clock import StageClock
from dlcvcli.runtime.finite import require_finite
from dlcvcli.tasks.segmentation.card import SegmenterCard
from dlcvcli.tasks.segmentation.predictor import Logits
from dlcvcli.tasks.segmentation.settings import TrainSegSettings


def card_of(checkpoint: Checkpoint, sha256: str) -> SegmenterCard:
    """Return the card of a checkpoint whose file has a SHA-256."""
    settings = settings_of(checkpoint)
    best = checkpoint["best"]
    return SegmenterCard(
        task=settings.task,
        model=settings.model.name,
        classes=classes_of(checkpoint),
        stride=model_entry(settings.model.name).stride,
        size=settings.data.size,
        layout=settings.data.layout,
        binarise=settings.data.binarise,
        recipe=settings.recipe,
        data=dict(checkpoint["data"].get("sha256", {})),
        seen=seen_images_of(checkpoint),
        metric={
            best["metric"]: best["value"],
            "split": settings.data.val_split,
            "step": best["step"],
        },
        config=settings.model_dump(mode="json"),
        versions=dict(checkpoint["versions"]),
        checkpoint_sha256=sha256,
    )


def settings_of(checkpoint: Checkpoint) -> TrainSegSettings:
    """Return the settings that a checkpoint was trained with.

    Raises:
        CheckpointError: they are not those of a segmenter, or of another version of dlcv.
    """
    return stored_settings(checkpoint, TrainSegSettings, "a segmenter")


def classes_of(checkpoint: Checkpoint) -> ClassSet:
    """Return the classes that a checkpoint was trained on.

    Raises:
        CheckpointError: they are missing or malformed.
    """
    try:
        return ClassSet.from_dict(checkpoint["data"].get("classes", {}))
    except ConfigError as error:
        raise CheckpointError(
            f"the checkpoint's classes (key 'data.classes') do not fit: {error.message}"
        ) from error


def load_segmenter(checkpoint: Checkpoint) -> Segmenter:
    """Build a checkpoint's segmenter with its trained weights, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: the weights do not fit the network of its settings.
    """
    settings = settings_of(checkpoint)
    classes = classes_of(checkpoint)
    network = build_network(settings.model.name, num_classes=len(classes), **settings.model.options)
    segmenter = Segmenter(network, model_entry(settings.model.name).stride)
    try:
        segmenter.load_state_dict(evaluated_weights(checkpoint["task"]))
    except RuntimeError as error:
        raise CheckpointError(
            f"the checkpoint's weights do not fit {settings.model.name}"
        ) from error
    return segmenter.eval()


class TorchPredictor(TorchModel):
    """A segmenter under PyTorch."""

    tile: tuple[int, int] | None = None

    def __init__(self, segmenter: Segmenter, card: SegmenterCard, device: torch.device) -> None:
        super().__init__(segmenter, segmenter.network, device)
        self.card = card
        self._segmenter = segmenter

    @classmethod
    def load(cls, ref: ModelRef, provider: Provider = "auto") -> TorchPredictor:
        """Load a checkpoint; see `load_on_device`."""

        def make(checkpoint: Checkpoint, sha256: str, device: torch.device) -> TorchPredictor:
            return cls(load_segmenter(checkpoint), card_of(checkpoint, sha256), device)

        return load_on_device(ref, provider, make)

    def __call__(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Mask:
        def forward(batch: Tensor) -> Tensor:
            logits = self._segmenter.logits(batch, *size)
            # A mask does not show values that are not finite: argmax of NaN is a class as well.
            require_finite(map(float, torch.aminmax(logits)), "logits")
            return logits.argmax(dim=1).to(torch.uint8)

        return np.asarray(run_on(self.device, forward, images, clock), dtype=np.uint8)

    def logits(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Logits:
        """Return logits, float32 [N, C, h, w], of uint8 images [N, H, W, 3]."""

        def forward(batch: Tensor) -> Tensor:
            return self._segmenter.logits(batch, *size)

        return np.asarray(run_on(self.device, forward, images, clock), dtype=np.float32)

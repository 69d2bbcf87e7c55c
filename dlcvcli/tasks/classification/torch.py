"""Build a classifier, load one from a checkpoint, and run it under PyTorch."""

from __future__ import annotations

import numpy as np
import torch

from dlcvcli.config.names import Provider
from dlcvcli.data.reading import Pixels
from dlcvcli.engine.checkpoint import Checkpoint, seen_images_of
from dlcvcli.errors import CheckpointError
from dlcvcli.inference.torch_model import TorchModel, load_on_device, run_on, stored_settings
from dlcvcli.models.averaging import evaluated_weights
from dlcvcli.models.build import build_encoder
from dlcvcli.models.classifier import Classifier
from dlcvcli.models.freezing import freeze
from dlcvcli.models.image_encoder import ImageEncoder
from dlcvcli.runs import ModelRef
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.classification.card import ClassifierCard
from dlcvcli.tasks.classification.predictor import Floats
from dlcvcli.tasks.classification.settings import TrainClsSettings


def build_classifier(
    settings: TrainClsSettings, classes: int, *, weights: str = "none"
) -> Classifier:
    """Build the network of resolved settings, on the CPU, in training mode, its blocks frozen.

    Args:
        settings: with a size.
        classes: their number.
        weights: initial weights of the backbone: none, imagenet or a file.

    Raises:
        CheckpointError: the weights cannot be found, loaded or fitted.
        UsageError: `transfer.freeze` names no block of the network.
    """
    model, size = settings.model, settings.data.size
    assert size is not None
    encoder = build_encoder(model.name, weights=weights, **model.options)
    if settings.transfer.freeze is not None:
        freeze(encoder, settings.transfer.freeze)
    image_encoder = ImageEncoder(encoder, encoder.mean, encoder.std)
    return Classifier(image_encoder, classes, encoder.dimension(size), dropout=model.dropout)


def settings_of(checkpoint: Checkpoint) -> TrainClsSettings:
    """Return the settings that a checkpoint was trained with.

    Raises:
        CheckpointError: they are not those of a classifier, or of another version of dlcv.
    """
    settings = stored_settings(checkpoint, TrainClsSettings, "a classifier")
    if settings.data.size is None:
        raise CheckpointError("the checkpoint's settings do not fit: key 'data.size' has no value")
    return settings


def classes_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Return the classes that a checkpoint was trained on.

    Raises:
        CheckpointError: they are missing or malformed.
    """
    names = checkpoint["data"].get("classes")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CheckpointError("the checkpoint does not name its classes (key 'data.classes')")
    return tuple(names)


def load_classifier(checkpoint: Checkpoint) -> Classifier:
    """Build a checkpoint's classifier with its trained weights, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: the weights do not fit the network of its settings.
    """
    settings = settings_of(checkpoint)
    classifier = build_classifier(settings, len(classes_of(checkpoint)))
    try:
        classifier.load_state_dict(evaluated_weights(checkpoint["task"]))
    except RuntimeError as error:
        raise CheckpointError(
            f"the checkpoint's weights do not fit {settings.model.name}"
        ) from error
    return classifier.eval()


def card_of(checkpoint: Checkpoint, classifier: Classifier, sha256: str) -> ClassifierCard:
    """Return the card of a checkpoint.

    Args:
        checkpoint: the checkpoint.
        classifier: its network, as `load_classifier` returned it.
        sha256: of its file.
    """
    settings, best = settings_of(checkpoint), checkpoint["best"]
    encoder = classifier.encoder.encoder
    return ClassifierCard(
        task=settings.task,
        model=settings.model.name,
        classes=classes_of(checkpoint),
        dimension=classifier.head.in_features,
        mean=encoder.mean,
        std=encoder.std,
        size=settings.data.size,
        layout=settings.data.layout,
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


class TorchPredictor(TorchModel):
    """A classifier under PyTorch."""

    def __init__(self, classifier: Classifier, card: ClassifierCard, device: torch.device) -> None:
        super().__init__(classifier, classifier.encoder.encoder, device)
        self.card = card
        self._classifier = classifier

    @classmethod
    def load(cls, ref: ModelRef, provider: Provider = "auto") -> TorchPredictor:
        """Load a checkpoint; see `load_on_device`."""

        def make(checkpoint: Checkpoint, sha256: str, device: torch.device) -> TorchPredictor:
            classifier = load_classifier(checkpoint)
            return cls(classifier, card_of(checkpoint, classifier, sha256), device)

        return load_on_device(ref, provider, make)

    def __call__(self, images: Pixels, clock: StageClock) -> Floats:
        return np.asarray(run_on(self.device, self._classifier, images, clock), np.float32)

    def features(self, images: Pixels, clock: StageClock) -> Floats:
        """Return the features before the last layer, float32 [N, D]."""
        features = run_on(self.device, self._classifier.features, images, clock)
        return np.asarray(features, np.float32)

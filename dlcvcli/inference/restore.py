"""From a checkpoint back to its segmenter, its settings, and what it says of itself."""

from __future__ import annotations

from typing import Any

from dlcvcli.config.load import validate
from dlcvcli.config.schema import TrainSegSettings
from dlcvcli.engine.checkpoint import Checkpoint, seen_images_of
from dlcvcli.errors import CheckpointError, ConfigError
from dlcvcli.models.averaging import evaluated_weights
from dlcvcli.models.build import build_network
from dlcvcli.models.registry import model_entry
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.palette import ClassSet
from dlcvcli.runtime.metadata import SegmenterCard


def card_of(checkpoint: Checkpoint, sha256: str) -> SegmenterCard:
    """Return what a checkpoint says of its model."""
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
    config: dict[str, Any] = checkpoint["config"]
    if config.get("task") != "seg":
        raise CheckpointError(f"the checkpoint holds task {config.get('task')!r}, not a segmenter")
    try:
        return validate(TrainSegSettings, config)
    except ConfigError as error:
        raise CheckpointError(f"the checkpoint's settings do not fit: {error.message}") from error


def classes_of(checkpoint: Checkpoint) -> ClassSet:
    """Return the classes that a checkpoint was trained on.

    Raises:
        CheckpointError: it does not say, or what it says is no class set.
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

"""A checkpoint under PyTorch, in float32, as the numbers of ONNX Runtime are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from dlcvcli.config.load import validate
from dlcvcli.config.schema import TrainSegSettings
from dlcvcli.data.reading import Pixels
from dlcvcli.engine.checkpoint import Checkpoint, load_checkpoint
from dlcvcli.errors import CheckpointError, ConfigError, DeviceError
from dlcvcli.inference.predictor import StageClock
from dlcvcli.models.registry import build_network, model_entry
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.palette import ClassSet, Mask
from dlcvcli.runs import ModelRef, sha256_of
from dlcvcli.runtime.metadata import ModelCard
from dlcvcli.runtime.session import Provider

_PREFIX = "segmenter."


def card_of(checkpoint: Checkpoint, sha256: str) -> ModelCard:
    """Return what a checkpoint says of its model."""
    settings = settings_of(checkpoint)
    best = checkpoint["best"]
    return ModelCard(
        task=settings.task,
        model=settings.model.name,
        classes=ClassSet.from_dict(checkpoint["data"]["classes"]),
        stride=model_entry(settings.model.name).stride,
        size=settings.data.size,
        layout=settings.data.layout,
        binarise=settings.data.binarise,
        recipe=settings.recipe,
        data=dict(checkpoint["data"]["sha256"]),
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


def load_segmenter(checkpoint: Checkpoint) -> Segmenter:
    """Build a checkpoint's segmenter with its trained weights, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: the weights do not fit the network of its settings.
    """
    settings = settings_of(checkpoint)
    classes = ClassSet.from_dict(checkpoint["data"]["classes"])
    network = build_network(settings.model.name, num_classes=len(classes), **settings.model.options)
    segmenter = Segmenter(network, model_entry(settings.model.name).stride)
    weights = {
        name.removeprefix(_PREFIX): value
        for name, value in checkpoint["task"].items()
        if name.startswith(_PREFIX)
    }
    try:
        segmenter.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(
            f"the checkpoint's weights do not fit {settings.model.name}"
        ) from error
    return segmenter.eval()


class TorchPredictor:
    """Runs a segmenter under PyTorch: eager, float32, NCHW, TF32 off."""

    backend = "torch"
    precision = "fp32"

    def __init__(self, segmenter: Segmenter, card: ModelCard, device: torch.device) -> None:
        self.card = card
        self.device = device
        self.provider = device.type
        self.notes: dict[str, Any] = {"device": _device_name(device)}
        self._segmenter = segmenter.to(device).eval()
        # The module lays images out channels-last, which is for training; PyTorch's own default
        # is the baseline that is compared with.
        self._segmenter.network.register_forward_pre_hook(_contiguous)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False

    @classmethod
    def load(cls, ref: ModelRef, provider: Provider = "auto") -> TorchPredictor:
        """Load a checkpoint onto the device that `provider` names.

        Raises:
            CheckpointError: it cannot be used.
            DeviceError: `cuda` was asked for and there is none.
        """
        if provider == "cuda" and not torch.cuda.is_available():
            raise DeviceError(
                "--provider cuda was asked for, and PyTorch finds no GPU",
                "use --provider cpu, or auto to take what there is",
            )
        use_gpu = provider != "cpu" and torch.cuda.is_available()
        checkpoint = load_checkpoint(ref.path)
        card = card_of(checkpoint, sha256_of(ref.path))
        return cls(load_segmenter(checkpoint), card, torch.device("cuda" if use_gpu else "cpu"))

    @torch.inference_mode()
    def __call__(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Mask:
        with clock.stage("copy"):
            batch = torch.from_numpy(np.ascontiguousarray(images)).to(self.device)
        with clock.stage("run", lap=True):
            mask = self._segmenter(batch, size)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
        with clock.stage("copy"):
            return np.asarray(mask.cpu().numpy())


def _contiguous(module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(value.contiguous() for value in args)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"

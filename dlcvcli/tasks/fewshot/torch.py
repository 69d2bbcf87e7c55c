"""Load the network and the card of a few-shot checkpoint, and run its encoder under PyTorch."""

from __future__ import annotations

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError

from dlcvcli.config.names import Provider
from dlcvcli.data.reading import Pixels
from dlcvcli.engine.checkpoint import Checkpoint, seen_images_of
from dlcvcli.errors import CheckpointError
from dlcvcli.inference.torch_model import TorchModel, load_on_device, run_on, stored_settings
from dlcvcli.models.averaging import evaluated_weights
from dlcvcli.models.build import build_encoder
from dlcvcli.models.distances import build_distance
from dlcvcli.models.image_encoder import ImageEncoder
from dlcvcli.models.protonet import ProtoNet
from dlcvcli.prototypes import Floats
from dlcvcli.runs import ModelRef
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.fewshot.card import EncoderCard
from dlcvcli.tasks.fewshot.settings import TrainFewshotSettings

_CLASS_SPLITS = TypeAdapter(dict[str, list[str]])


def build_protonet(settings: TrainFewshotSettings, *, weights: str = "none") -> ProtoNet:
    """Build the network of resolved settings, on the CPU, in training mode.

    Args:
        settings: with size, mean and std.
        weights: initial weights of the encoder: none, imagenet or a file.

    Raises:
        CheckpointError: the weights cannot be found, loaded or fitted.
    """
    data, chosen = settings.data, settings.distance
    assert data.size is not None
    assert data.mean is not None
    assert data.std is not None
    encoder = build_encoder(settings.model.name, weights=weights, **settings.model.options)
    distance = build_distance(
        chosen.name,
        encoder.dimension(data.size),
        scale=chosen.scale,
        hidden=chosen.hidden,
        layers=chosen.layers,
    )
    return ProtoNet(ImageEncoder(encoder, data.mean, data.std), distance)


def fewshot_settings_of(checkpoint: Checkpoint) -> TrainFewshotSettings:
    """Return the settings that a checkpoint was trained with.

    Raises:
        CheckpointError: they are not those of a few-shot model, or of another version of dlcv.
    """
    settings = stored_settings(checkpoint, TrainFewshotSettings, "a few-shot model")
    missing = [k for k in ("size", "mean", "std") if getattr(settings.data, k) is None]
    if missing:
        raise CheckpointError(
            f"the checkpoint's settings do not fit: key 'data.{missing[0]}' has no value"
        )
    return settings


def class_splits_of(checkpoint: Checkpoint) -> dict[str, list[str]]:
    """Return the classes of each split that a checkpoint was trained with, `train` among them.

    Raises:
        CheckpointError: they are missing or malformed.
    """
    splits = checkpoint["data"].get("classes")
    try:
        classes = _CLASS_SPLITS.validate_python(splits, strict=True)
    except ValidationError:
        classes = {}
    if "train" not in classes:
        raise CheckpointError(
            "the checkpoint does not say which classes it was trained on (key 'data.classes')"
        )
    return classes


def load_protonet(checkpoint: Checkpoint) -> ProtoNet:
    """Build a checkpoint's network with its trained weights, in evaluation mode, on the CPU.

    Raises:
        CheckpointError: the weights do not fit the network of its settings.
    """
    settings = fewshot_settings_of(checkpoint)
    protonet = build_protonet(settings)
    try:
        protonet.load_state_dict(evaluated_weights(checkpoint["task"]))
    except RuntimeError as error:
        raise CheckpointError(
            f"the checkpoint's weights do not fit {settings.model.name}"
        ) from error
    return protonet.eval()


def card_of(checkpoint: Checkpoint, protonet: ProtoNet, sha256: str) -> EncoderCard:
    """Return the card of a checkpoint.

    Args:
        checkpoint: as loaded.
        protonet: its network, from `load_protonet`.
        sha256: of its file.
    """
    settings = fewshot_settings_of(checkpoint)
    data, episode, best = settings.data, settings.episode, checkpoint["best"]
    assert data.size is not None
    assert data.mean is not None
    assert data.std is not None
    return EncoderCard(
        task=settings.task,
        model=settings.model.name,
        dimension=protonet.encoder.encoder.dimension(data.size),
        distance=protonet.distance.spec(),
        mean=data.mean,
        std=data.std,
        shape=(
            episode.test_n_way or episode.n_way,
            episode.test_k_shot or episode.k_shot,
            episode.test_n_query or episode.n_query,
        ),
        rotations=data.rotations == "all",
        classes=class_splits_of(checkpoint),
        size=data.size,
        layout=data.layout,
        recipe=settings.recipe,
        data=dict(checkpoint["data"].get("sha256", {})),
        seen=seen_images_of(checkpoint),
        metric={best["metric"]: best["value"], "split": data.val_split, "step": best["step"]},
        config=settings.model_dump(mode="json"),
        versions=dict(checkpoint["versions"]),
        checkpoint_sha256=sha256,
    )


class TorchEncoder(TorchModel):
    """An encoder under PyTorch."""

    def __init__(self, encoder: ImageEncoder, card: EncoderCard, device: torch.device) -> None:
        super().__init__(encoder, encoder.encoder, device)
        self.card = card
        self._encoder = encoder

    @classmethod
    def load(cls, ref: ModelRef, provider: Provider = "auto") -> TorchEncoder:
        """Load a checkpoint; see `load_on_device`."""

        def make(checkpoint: Checkpoint, sha256: str, device: torch.device) -> TorchEncoder:
            protonet = load_protonet(checkpoint)
            return cls(protonet.encoder, card_of(checkpoint, protonet, sha256), device)

        return load_on_device(ref, provider, make)

    def __call__(self, images: Pixels, clock: StageClock) -> Floats:
        return np.asarray(run_on(self.device, self._encoder, images, clock), dtype=np.float32)

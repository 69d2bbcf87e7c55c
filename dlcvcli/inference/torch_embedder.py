"""A few-shot checkpoint under PyTorch, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from dlcvcli.data.reading import Pixels
from dlcvcli.engine.checkpoint import load_checkpoint
from dlcvcli.errors import naming
from dlcvcli.files import sha256_of
from dlcvcli.inference.predictor import StageClock
from dlcvcli.inference.restore_protonet import embedder_card_of, load_protonet
from dlcvcli.inference.torch_device import as_reference, choose_device, device_name, run_on
from dlcvcli.models.protonet import Embedder
from dlcvcli.prototypes import Floats
from dlcvcli.runs import ModelRef
from dlcvcli.runtime.metadata import EmbedderCard
from dlcvcli.runtime.session import Provider


class TorchEmbedder:
    """Runs an embedder under PyTorch: eager, float32, NCHW, TF32 off."""

    backend = "torch"
    precision = "fp32"

    def __init__(self, embedder: Embedder, card: EmbedderCard, device: torch.device) -> None:
        self.card = card
        self.device = device
        self.provider = device.type
        self.notes: dict[str, Any] = {"device": device_name(device)}
        self._embedder = embedder.to(device).eval()
        as_reference(self._embedder.encoder)

    @classmethod
    def load(cls, ref: ModelRef, provider: Provider = "auto") -> TorchEmbedder:
        """Load a checkpoint onto the device that `provider` names.

        Raises:
            CheckpointError: it cannot be used.
            DeviceError: `cuda` was asked for and there is none.
        """
        device = choose_device(provider)
        checkpoint = load_checkpoint(ref.path)
        with naming(ref.path):
            protonet = load_protonet(checkpoint)
            card = embedder_card_of(checkpoint, protonet, sha256_of(ref.path))
        return cls(protonet.embedder, card, device)

    def __call__(self, images: Pixels, clock: StageClock) -> Floats:
        return np.asarray(run_on(self.device, self._embedder, images, clock), dtype=np.float32)

"""A checkpoint under PyTorch, in float32, as the numbers of ONNX Runtime are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from dlcvcli.data.reading import Pixels
from dlcvcli.engine.checkpoint import load_checkpoint
from dlcvcli.errors import naming
from dlcvcli.files import sha256_of
from dlcvcli.inference.predictor import Logits, StageClock, require_finite
from dlcvcli.inference.restore import card_of, load_segmenter
from dlcvcli.inference.torch_device import as_reference, choose_device, device_name, run_on
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.palette import Mask
from dlcvcli.runs import ModelRef
from dlcvcli.runtime.metadata import SegmenterCard
from dlcvcli.runtime.session import Provider


class TorchPredictor:
    """Runs a segmenter under PyTorch: eager, float32, NCHW, TF32 off."""

    backend = "torch"
    precision = "fp32"
    tile: tuple[int, int] | None = None

    def __init__(self, segmenter: Segmenter, card: SegmenterCard, device: torch.device) -> None:
        self.card = card
        self.device = device
        self.provider = device.type
        self.notes: dict[str, Any] = {"device": device_name(device)}
        self._segmenter = segmenter.to(device).eval()
        as_reference(self._segmenter.network)

    @classmethod
    def load(cls, ref: ModelRef, provider: Provider = "auto") -> TorchPredictor:
        """Load a checkpoint onto the device that `provider` names.

        Raises:
            CheckpointError: it cannot be used.
            DeviceError: `cuda` was asked for and there is none.
        """
        device = choose_device(provider)
        checkpoint = load_checkpoint(ref.path)
        with naming(ref.path):
            card = card_of(checkpoint, sha256_of(ref.path))
            return cls(load_segmenter(checkpoint), card, device)

    def __call__(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Mask:
        def forward(batch: Tensor) -> Tensor:
            logits = self._segmenter.logits(batch, *size)
            # A mask does not show it: argmax takes what is not a number for the first class.
            require_finite(map(float, torch.aminmax(logits)), "logits")
            return logits.argmax(dim=1).to(torch.uint8)

        return np.asarray(run_on(self.device, forward, images, clock), dtype=np.uint8)

    def logits(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Logits:
        """Return float32 [N, C, h, w]; see `Predictor.logits`."""

        def forward(batch: Tensor) -> Tensor:
            return self._segmenter.logits(batch, *size)

        return np.asarray(run_on(self.device, forward, images, clock), dtype=np.float32)

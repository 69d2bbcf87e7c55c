"""A checkpoint under PyTorch, in float32, as the numbers of ONNX Runtime are compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dlcvcli.data.reading import Pixels
from dlcvcli.engine.checkpoint import load_checkpoint
from dlcvcli.errors import DeviceError
from dlcvcli.files import sha256_of
from dlcvcli.inference.predictor import Logits, StageClock
from dlcvcli.inference.restore import card_of, load_segmenter
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.palette import Mask
from dlcvcli.runs import ModelRef
from dlcvcli.runtime.metadata import ModelCard
from dlcvcli.runtime.session import Provider

Forward = Callable[[Tensor, tuple[int, int]], Tensor]


class TorchPredictor:
    """Runs a segmenter under PyTorch: eager, float32, NCHW, TF32 off."""

    backend = "torch"
    precision = "fp32"
    tile: tuple[int, int] | None = None

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

    def __call__(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Mask:
        return np.asarray(self._run(self._segmenter, images, size, clock), dtype=np.uint8)

    def logits(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Logits:
        """Return float32 [N, C, h, w]; see `Predictor.logits`."""

        def forward(batch: Tensor, size: tuple[int, int]) -> Tensor:
            return self._segmenter.logits(batch, *size)

        return np.asarray(self._run(forward, images, size, clock), dtype=np.float32)

    @torch.inference_mode()
    def _run(
        self, forward: Forward, images: Pixels, size: tuple[int, int], clock: StageClock
    ) -> Any:
        with clock.stage("copy"):
            # Torch asks for memory it might write to; Pillow hands out read-only arrays.
            writable = np.require(images, requirements=["C", "W"])
            batch = torch.from_numpy(writable).to(self.device)
        with clock.stage("run", lap=True):
            out = forward(batch, size)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
        with clock.stage("copy"):
            return out.cpu().numpy()


def _contiguous(module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(value.contiguous() for value in args)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"

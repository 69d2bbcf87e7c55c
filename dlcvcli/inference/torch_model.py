"""Where PyTorch runs a model that is evaluated, and in which arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dlcvcli.config.names import Provider
from dlcvcli.data.reading import Pixels
from dlcvcli.errors import DeviceError
from dlcvcli.runtime.clock import StageClock
from dlcvcli.runtime.finite import require_finite


def choose_device(provider: Provider) -> torch.device:
    """Return the device that `--provider` names.

    Raises:
        DeviceError: `cuda` was asked for and there is none.
    """
    if provider == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "--provider cuda was asked for, and PyTorch finds no GPU",
            "use --provider cpu, or auto to take what there is",
        )
    return torch.device("cuda" if provider != "cpu" and torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    """Return a device's name for people."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def as_reference(network: nn.Module) -> None:
    """Let a network run as what ONNX Runtime is compared with: float32, TF32 off, NCHW.

    The modules around it lay images out channels-last, which is for training; PyTorch's own default
    is the baseline.
    """
    network.register_forward_pre_hook(_contiguous)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


@torch.inference_mode()
def run_on(
    device: torch.device, forward: Callable[[Tensor], Tensor], images: Pixels, clock: StageClock
) -> Any:
    """Return what a network makes of images uint8 [N, H, W, 3], as an array in main memory.

    Time goes to the clock's stages `copy` (to and from the device) and `run`.
    """
    with clock.stage("copy"):
        # Torch asks for memory it might write to; Pillow hands out read-only arrays.
        writable = np.require(images, requirements=["C", "W"])
        batch = torch.from_numpy(writable).to(device)
    with clock.stage("run"):
        out = forward(batch)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    with clock.stage("copy"):
        found = out.cpu().numpy()
    if found.dtype.kind == "f":
        require_finite((found.min(), found.max()), "outputs")
    return found


def _contiguous(module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return tuple(value.contiguous() for value in args)

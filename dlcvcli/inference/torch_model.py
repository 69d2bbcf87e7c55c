"""Run a network under PyTorch for evaluation: its device and its arithmetic."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
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


def run_in_nchw(network: nn.Module) -> None:
    """Let a network take its inputs in NCHW memory order, PyTorch's own default.

    The modules around it pass images in channels-last order, which makes training faster. ONNX
    Runtime is compared with the default.
    """
    network.register_forward_pre_hook(_contiguous)


@contextlib.contextmanager
def without_tf32() -> Iterator[None]:
    """Compute float32 on a GPU in full precision inside the `with`."""
    backends: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn]
    before = [backend.allow_tf32 for backend in backends]
    try:
        for backend in backends:
            backend.allow_tf32 = False
        yield
    finally:
        for backend, allowed in zip(backends, before, strict=True):
            backend.allow_tf32 = allowed


@torch.inference_mode()
def run_on(
    device: torch.device, forward: Callable[[Tensor], Tensor], images: Pixels, clock: StageClock
) -> Any:
    """Return the output of a network for images uint8 [N, H, W, 3], as an array in main memory.

    Args:
        device: where the network is.
        forward: the network, or a function that calls it.
        images: in main memory.
        clock: receives the time of `copy` (to and from the device) and `run`.

    Raises:
        DlcvError: a value of a floating output is not finite.
    """
    with clock.stage("copy"):
        # PyTorch warns of arrays that cannot be written to, such as Pillow's.
        writable = np.require(images, requirements=["C", "W"])
        batch = torch.from_numpy(writable).to(device)
    with clock.stage("run"), without_tf32():
        out = forward(batch)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    with clock.stage("copy"):
        values = out.cpu().numpy()
    if values.dtype.kind == "f":
        require_finite((values.min(), values.max()), "outputs")
    return values


def _contiguous(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(value.contiguous() for value in args)

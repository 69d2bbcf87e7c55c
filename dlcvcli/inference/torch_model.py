"""Run a network under PyTorch for evaluation: its device and its arithmetic."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from dlcvcli.config.load import validate
from dlcvcli.config.names import Provider
from dlcvcli.config.schema import RunSettings
from dlcvcli.data.reading import Pixels
from dlcvcli.engine.checkpoint import Checkpoint, load_checkpoint
from dlcvcli.errors import CheckpointError, ConfigError, DeviceError, naming
from dlcvcli.files import sha256_of
from dlcvcli.runs import ModelRef
from dlcvcli.runtime.clock import StageClock
from dlcvcli.runtime.finite import require_finite

P = TypeVar("P")
S = TypeVar("S", bound=RunSettings)


class TorchModel:
    """Base of models that run under PyTorch: eager, float32, NCHW, TF32 off.

    Args:
        module: the model with its preprocessing; it is moved to the device, in evaluation mode.
        network: the part of it that gets its images in NCHW.
        device: where it runs.
    """

    backend = "torch"
    precision = "fp32"

    def __init__(self, module: nn.Module, network: nn.Module, device: torch.device) -> None:
        self.device = device
        self.provider = device.type
        self.on_gpu = device.type == "cuda"
        self.notes: dict[str, Any] = {"device": device_name(device)}
        module.to(device).eval()
        run_in_nchw(network)


def load_on_device(
    ref: ModelRef, provider: Provider, make: Callable[[Checkpoint, str, torch.device], P]
) -> P:
    """Load a checkpoint onto the device that `provider` names.

    Args:
        ref: the checkpoint.
        provider: `cuda`, `cpu`, or `auto` to take what there is.
        make: returns the model from the checkpoint, the SHA-256 of its file, and the device.

    Raises:
        CheckpointError: it cannot be used; names the file.
        DeviceError: `cuda` was asked for and there is none.
    """
    device = choose_device(provider)
    checkpoint = load_checkpoint(ref.path)
    with naming(ref.path):
        return make(checkpoint, sha256_of(ref.path), device)


def stored_settings(checkpoint: Checkpoint, schema: type[S], noun: str) -> S:
    """Return the settings that a checkpoint was trained with.

    Args:
        checkpoint: of any task.
        schema: the settings of the task that is needed.
        noun: what its models are called, with an article.

    Raises:
        CheckpointError: they are those of another task, or of another version of dlcv.
    """
    config: dict[str, Any] = checkpoint["config"]
    if config.get("task") != schema.model_fields["task"].default:
        raise CheckpointError(f"the checkpoint holds task {config.get('task')!r}, not {noun}")
    try:
        return validate(schema, config)
    except ConfigError as error:
        raise CheckpointError(f"the checkpoint's settings do not fit: {error.message}") from error


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

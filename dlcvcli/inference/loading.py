"""From a checkpoint or an ONNX file to a model that can be called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from dlcvcli.config.names import Provider
from dlcvcli.extras import prepare_torch
from dlcvcli.runs import ModelRef

P = TypeVar("P")


def load_model(
    ref: ModelRef,
    provider: Provider,
    *,
    onnx: Callable[[Path], P],
    torch: Callable[[ModelRef], P],
) -> P:
    """Load a model under the backend that its file is for.

    Args:
        ref: a checkpoint or an ONNX file.
        provider: for ONNX Runtime; for PyTorch, `cuda` and `cpu` name the device.
        onnx: opens an ONNX file under the provider.
        torch: loads a checkpoint; only then may torch be imported.

    Raises:
        ModelFileError, CheckpointError: the file cannot be used.
        UsageError: the provider does not run checkpoints.
        DeviceError: the provider asked for is not in force.
        MissingExtra: a checkpoint, and torch is not installed.
    """
    if ref.kind == "onnx":
        return onnx(ref.path)
    prepare_torch(provider)
    return torch(ref)

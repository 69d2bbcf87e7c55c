"""From a checkpoint or an ONNX file to a few-shot model that can be called."""

from __future__ import annotations

from dlcvcli.config.names import Provider
from dlcvcli.extras import prepare_torch
from dlcvcli.runs import ModelRef
from dlcvcli.tasks.fewshot.predictor import EncoderPredictor, OnnxEncoder


def load_encoder(
    ref: ModelRef, *, provider: Provider = "auto", fixed_shapes: bool = True
) -> EncoderPredictor:
    """Load a few-shot model; torch is imported only for a checkpoint.

    Args:
        ref: a checkpoint or an ONNX file.
        provider: for ONNX Runtime; for PyTorch, `cuda` and `cpu` name the device.
        fixed_shapes: see `runtime.session.open_session`.

    Raises:
        ModelFileError, CheckpointError: the file cannot be used.
        DeviceError: the provider asked for is not in force.
        MissingExtra: a checkpoint, and torch is not installed.
    """
    if ref.kind == "onnx":
        return OnnxEncoder.load(ref.path, provider, fixed_shapes=fixed_shapes)
    prepare_torch(provider)
    from dlcvcli.tasks.fewshot.torch import TorchEncoder

    return TorchEncoder.load(ref, provider)

"""From what MODEL names to a predictor; torch is imported only where a checkpoint is named."""

from __future__ import annotations

from importlib.util import find_spec

from dlcvcli.errors import MissingExtra, UsageError
from dlcvcli.inference.onnx_predictor import OnnxPredictor
from dlcvcli.inference.predictor import Predictor
from dlcvcli.runs import ModelRef
from dlcvcli.runtime.session import Provider


def load_predictor(
    ref: ModelRef, *, provider: Provider = "auto", fixed_shapes: bool = True
) -> Predictor:
    """Load the model that a reference names.

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
        return OnnxPredictor.load(ref.path, provider, fixed_shapes=fixed_shapes)
    if provider == "tensorrt":
        raise UsageError(
            "--provider tensorrt runs ONNX files; the model is a PyTorch checkpoint", "add --onnx"
        )
    require_torch("running a PyTorch checkpoint")
    from dlcvcli.inference.torch_predictor import TorchPredictor

    return TorchPredictor.load(ref, provider)


def require_torch(what: str) -> None:
    """Say in one line that the part of dlcv which trains is not installed.

    Raises:
        MissingExtra: torch is missing.
    """
    require_part("torch", what)


def require_part(package: str, what: str) -> None:
    """Say in one line which package of the extra `train` something needs, where it is missing.

    Raises:
        MissingExtra: it is.
    """
    if find_spec(package) is None:
        raise MissingExtra(
            f"{what} needs {package}, which is not installed",
            "in dlcv's source folder: pip install '.[train]'",
        )

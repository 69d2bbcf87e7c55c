"""From what MODEL names to a predictor; torch is imported only where a checkpoint is named."""

from __future__ import annotations

import contextlib
from importlib.util import find_spec
from typing import Any, get_args

from dlcvcli.errors import CheckpointError, DataError, MissingExtra, UsageError
from dlcvcli.runs import ModelRef
from dlcvcli.runtime.metadata import TaskName, read_task
from dlcvcli.runtime.session import Provider, read_metadata
from dlcvcli.tasks.fewshot.predictor import EncoderPredictor, OnnxEncoder
from dlcvcli.tasks.segmentation.predictor import OnnxPredictor, Predictor


def task_of(ref: ModelRef) -> TaskName:
    """Return what a model is for, as cheaply as that can be known.

    An ONNX file and a run's settings say it without torch; a checkpoint alone has to be read.

    Raises:
        ModelFileError, CheckpointError: the file cannot be used.
        MissingExtra: a checkpoint without a run, and torch is not installed.
    """
    if ref.kind == "onnx":
        return read_task(read_metadata(ref.path), ref.path)
    if ref.run is not None:
        # The checkpoint says it as well, so settings that cannot be read are no obstacle.
        with contextlib.suppress(DataError, OSError):
            found = _known_task(ref.run.read_config())
            if found is not None:
                return found
    require_torch("reading a PyTorch checkpoint")
    from dlcvcli.engine.checkpoint import load_checkpoint

    config = load_checkpoint(ref.path)["config"]
    found = _known_task(config)
    if found is None:
        raise CheckpointError(f"{ref.path} holds task {config.get('task')!r}, unknown to this dlcv")
    return found


def _known_task(config: dict[str, Any]) -> TaskName | None:
    return next((name for name in get_args(TaskName) if name == config.get("task")), None)


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
    _prepare_torch(provider)
    from dlcvcli.tasks.segmentation.torch import TorchPredictor

    return TorchPredictor.load(ref, provider)


def load_encoder(
    ref: ModelRef, *, provider: Provider = "auto", fixed_shapes: bool = True
) -> EncoderPredictor:
    """Load the few-shot model that a reference names; see `load_predictor`."""
    if ref.kind == "onnx":
        return OnnxEncoder.load(ref.path, provider, fixed_shapes=fixed_shapes)
    _prepare_torch(provider)
    from dlcvcli.tasks.fewshot.torch import TorchEncoder

    return TorchEncoder.load(ref, provider)


def _prepare_torch(provider: Provider) -> None:
    if provider == "tensorrt":
        raise UsageError(
            "--provider tensorrt runs ONNX files; the model is a PyTorch checkpoint", "add --onnx"
        )
    require_torch("running a PyTorch checkpoint")


def require_torch(what: str) -> None:
    """Say in one line that the part of dlcv which trains is not installed.

    Raises:
        MissingExtra: torch is missing.
    """
    require_package("torch", what)


def require_package(package: str, what: str) -> None:
    """Say in one line which package of the extra `train` something needs, where it is missing.

    Raises:
        MissingExtra: it is.
    """
    if find_spec(package) is None:
        raise MissingExtra(
            f"{what} needs {package}, which is not installed",
            "in dlcv's source folder: pip install '.[train]'",
        )

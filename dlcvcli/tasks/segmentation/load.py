"""From a checkpoint or an ONNX file to a segmentation model that can be called."""

from __future__ import annotations

from functools import partial

from dlcvcli.config.names import Provider
from dlcvcli.inference.loading import load_model
from dlcvcli.runs import ModelRef
from dlcvcli.tasks.segmentation.predictor import OnnxPredictor, Predictor


def load_predictor(
    ref: ModelRef, *, provider: Provider = "auto", fixed_shapes: bool = True
) -> Predictor:
    """Load a segmentation model; see `load_model`.

    Args:
        ref: a checkpoint or an ONNX file.
        provider: see `load_model`.
        fixed_shapes: see `runtime.session.open_session`.
    """
    onnx = partial(OnnxPredictor.load, provider=provider, fixed_shapes=fixed_shapes)
    return load_model(ref, provider, onnx=onnx, torch=partial(_under_torch, provider=provider))


def _under_torch(ref: ModelRef, provider: Provider) -> Predictor:
    from dlcvcli.tasks.segmentation.torch import TorchPredictor

    return TorchPredictor.load(ref, provider)

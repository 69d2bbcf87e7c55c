"""From a checkpoint or an ONNX file to a classifier that can be called."""

from __future__ import annotations

from functools import partial

from dlcvcli.config.names import Provider
from dlcvcli.inference.loading import load_model
from dlcvcli.runs import ModelRef
from dlcvcli.tasks.classification.predictor import OnnxPredictor, Predictor


def load_predictor(ref: ModelRef, *, provider: Provider = "auto") -> Predictor:
    """Load a classifier; see `load_model`."""
    onnx = partial(OnnxPredictor.load, provider=provider)
    return load_model(ref, provider, onnx=onnx, torch=partial(_under_torch, provider=provider))


def _under_torch(ref: ModelRef, provider: Provider) -> Predictor:
    from dlcvcli.tasks.classification.torch import TorchPredictor

    return TorchPredictor.load(ref, provider)

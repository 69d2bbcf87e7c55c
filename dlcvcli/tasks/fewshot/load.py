"""From a checkpoint or an ONNX file to the encoder of a few-shot model that can be called."""

from __future__ import annotations

from functools import partial

from dlcvcli.config.names import Provider
from dlcvcli.inference.loading import load_model
from dlcvcli.runs import ModelRef
from dlcvcli.tasks.fewshot.predictor import EncoderPredictor, OnnxEncoder


def load_encoder(ref: ModelRef, *, provider: Provider = "auto") -> EncoderPredictor:
    """Load the encoder of a few-shot model; see `load_model`."""
    onnx = partial(OnnxEncoder.load, provider=provider)
    return load_model(ref, provider, onnx=onnx, torch=partial(_under_torch, provider=provider))


def _under_torch(ref: ModelRef, provider: Provider) -> EncoderPredictor:
    from dlcvcli.tasks.fewshot.torch import TorchEncoder

    return TorchEncoder.load(ref, provider)

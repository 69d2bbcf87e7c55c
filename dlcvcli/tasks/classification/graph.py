"""Trace a classifier into an ONNX graph that returns logits and features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dlcvcli.exporting.tracing import DEFAULT_OPSET, trace_graph
from dlcvcli.models.classifier import Classifier
from dlcvcli.models.registry import model_entry
from dlcvcli.runtime.metadata import IMAGES, LOGITS
from dlcvcli.tasks.classification.card import FEATURES, ClassifierCard


class _Outputs(nn.Module):
    """A classifier that returns its logits and its features."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits, features = self.classifier.outputs(images)
        return logits, features


def trace(classifier: Classifier, card: ClassifierCard, opset: int = DEFAULT_OPSET) -> Any:
    """Return an `onnx.ModelProto` of a classifier and its preprocessing, the card as metadata.

    The input is `images` uint8 [batch, height, width, 3], RGB; the outputs are `logits` float32
    [batch, C] and `features` float32 [batch, D]. The batch is dynamic, height and width where the
    encoder takes any size.

    Raises:
        DlcvError: the exporter fails; quotes its message.
    """
    dim = torch.export.Dim
    size, axes = card.image_size, {0: dim("batch")}
    if classifier.encoder.encoder.any_size:
        least = model_entry(card.model, card.config["model"]["options"]).least_side
        size, axes = (2 * least + 32, 4 * least + 32), axes | {1: dim("height"), 2: dim("width")}
    return trace_graph(
        _Outputs(classifier),
        (torch.zeros(2, *size, 3, dtype=torch.uint8),),
        (axes,),
        inputs=(IMAGES,),
        outputs=(LOGITS, FEATURES),
        card=card,
        opset=opset,
    )

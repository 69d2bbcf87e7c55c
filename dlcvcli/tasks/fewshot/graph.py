"""Trace a prototypical network: its encoder, or all of it as one graph of an episode."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from dlcvcli.exporting.tracing import DEFAULT_OPSET, trace_graph
from dlcvcli.models.image_encoder import ImageEncoder
from dlcvcli.models.protonet import ProtoNet
from dlcvcli.models.registry import model_entry
from dlcvcli.runtime.metadata import IMAGES, LOGITS
from dlcvcli.tasks.fewshot.card import EMBEDDING, QUERY, SUPPORT, EncoderCard


class _Episode(nn.Module):
    """A prototypical network for one episode, without the batch axis."""

    def __init__(self, protonet: ProtoNet) -> None:
        super().__init__()
        self.protonet = protonet

    def forward(self, support: Tensor, query: Tensor) -> Tensor:
        logits: Tensor = self.protonet(support[None], query[None])[0]
        return logits


def trace_encoder(encoder: ImageEncoder, card: EncoderCard, opset: int = DEFAULT_OPSET) -> Any:
    """Return an `onnx.ModelProto` of the encoder and its preprocessing, the card as metadata.

    The input is `images` uint8 [batch, height, width, 3], RGB; the output `embedding` float32
    [batch, D]. The batch is dynamic, height and width where the encoder takes any size.

    Raises:
        DlcvError: the exporter fails; quotes its message.
    """
    size, axes = _sides(encoder, card, first=1)
    return trace_graph(
        encoder,
        (torch.zeros(2, *size, 3, dtype=torch.uint8),),
        ({0: torch.export.Dim("batch"), **axes},),
        inputs=(IMAGES,),
        outputs=(EMBEDDING,),
        card=card,
        opset=opset,
    )


def trace_episode(protonet: ProtoNet, card: EncoderCard, opset: int = DEFAULT_OPSET) -> Any:
    """Return an `onnx.ModelProto` of an episode, with prototypes and distance inside.

    Inputs are `support` uint8 [ways, shots, height, width, 3] and `query` uint8 [queries, height,
    width, 3], RGB; the output is `logits` float32 [queries, ways]. Ways, shots and queries are
    dynamic, height and width where the encoder takes any size.

    Raises:
        DlcvError: the exporter fails; quotes its message.
    """
    size, support_axes = _sides(protonet.encoder, card, first=2)
    # The axes are one place earlier, and share their names: both inputs have one image size.
    query_axes = {axis - 1: side for axis, side in support_axes.items()}
    dim = torch.export.Dim
    return trace_graph(
        _Episode(protonet),
        (
            torch.zeros(3, 2, *size, 3, dtype=torch.uint8),
            torch.zeros(5, *size, 3, dtype=torch.uint8),
        ),
        (
            {0: dim("ways"), 1: dim("shots"), **support_axes},
            {0: dim("queries"), **query_axes},
        ),
        inputs=(SUPPORT, QUERY),
        outputs=(LOGITS,),
        card=card,
        opset=opset,
    )


def _sides(
    encoder: ImageEncoder, card: EncoderCard, first: int
) -> tuple[tuple[int, int], dict[int, Any]]:
    """Return the (height, width) to trace at, and the dynamic axes: `first` and the next."""
    if not encoder.encoder.any_size:
        assert card.size is not None
        return card.size, {}
    least = model_entry(card.model).least_side
    names = {first: torch.export.Dim("height"), first + 1: torch.export.Dim("width")}
    return (2 * least + 32, 4 * least + 32), names

"""Trace a segmenter into an ONNX graph with dynamic batch, height, width and mask size."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from dlcvcli.exporting.tracing import DEFAULT_OPSET, trace_graph
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.runtime.metadata import IMAGES, LOGITS
from dlcvcli.tasks.segmentation.card import MASK, SIZE, SegmenterCard

_LARGEST_SIDE = 65535


class _ExportGraph(nn.Module):
    """A segmenter whose mask size is a tensor, as inputs of ONNX graphs are."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, images: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        # Not int(), which needs a value, and in a trace the size has none.
        height, width = cast("int", size[0].item()), cast("int", size[1].item())
        for side in (height, width):
            torch._check(side >= 2)
            torch._check(side <= _LARGEST_SIDE)
        logits = self.segmenter.logits(images, height, width)
        return logits.argmax(dim=1).to(torch.uint8), logits


def trace(segmenter: Segmenter, card: SegmenterCard, opset: int = DEFAULT_OPSET) -> Any:
    """Return an `onnx.ModelProto` with the outputs `mask` and `logits` and the card as metadata.

    Inputs are `images` uint8 [batch, height, width, 3], RGB, and `size` int64 [2], the (height,
    width) of the mask. All but the 3 are dynamic.

    Raises:
        DlcvError: the exporter fails; quotes its message.
    """
    # Multiples of the stride, since the tracer cannot derive the padding of other sizes. The odd
    # size of the certificate checks that the graph pads those as well.
    example = (
        torch.zeros(2, 4 * card.stride, 6 * card.stride, 3, dtype=torch.uint8),
        torch.tensor([70, 90]),
    )
    dim = torch.export.Dim
    shapes = ({0: dim("batch"), 1: dim("height"), 2: dim("width")}, None)
    model = trace_graph(
        _ExportGraph(segmenter),
        example,
        shapes,
        inputs=(IMAGES, SIZE),
        outputs=(MASK, LOGITS),
        card=card,
        opset=opset,
    )
    _name_mask_axes(model)
    return model


def _name_mask_axes(model: Any) -> None:
    """Name the axes of the mask, to which the tracer gives symbols such as `u0`."""
    names = {}
    for output in model.graph.output:
        for axis, name in zip(
            output.type.tensor_type.shape.dim[-2:], ("mask_height", "mask_width"), strict=True
        ):
            names[axis.dim_param] = name
    for value in (*model.graph.output, *model.graph.value_info):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in names:
                axis.dim_param = names[axis.dim_param]

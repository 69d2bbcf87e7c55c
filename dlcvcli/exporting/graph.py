"""Tracing a segmenter into an ONNX graph with dynamic batch, height, width and mask size."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from dlcvcli.errors import DlcvError
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.runtime.metadata import IMAGES, LOGITS, MASK, SIZE, SegmenterCard

DEFAULT_OPSET = 18
_LARGEST_SIDE = 65535


class _ExportGraph(nn.Module):
    """A segmenter whose mask size is a tensor, as ONNX inputs are."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, images: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        # No int(): it would ask the tracer for a value, and the size has none yet.
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
        DlcvError: the exporter fails; carries its own words.
    """
    # Writing over an input makes the tracer copy it first: twice the time for the same graph.
    for module in segmenter.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010 - unknown to the type of Module
    # Not square and not of batch 1, which a tracer could take for constants. Multiples of the
    # stride, since the tracer cannot solve for the padding of others; that the graph pads them
    # rightly is what the certificate's odd size is for.
    example = (
        torch.zeros(2, 4 * card.stride, 6 * card.stride, 3, dtype=torch.uint8),
        torch.tensor([70, 90]),
    )
    dim = torch.export.Dim
    shapes = ({0: dim("batch"), 1: dim("height"), 2: dim("width")}, None)
    with _quiet():
        try:
            program = torch.onnx.export(
                _ExportGraph(segmenter.eval()),
                example,
                dynamic_shapes=shapes,
                input_names=[IMAGES, SIZE],
                output_names=[MASK, LOGITS],
                opset_version=opset,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        except Exception as error:
            detail = " ".join(str(error).split())[:300]
            raise DlcvError(f"exporting {card.model} to opset {opset} failed: {detail}") from error
    assert program is not None
    model = program.model_proto
    written = next(entry.version for entry in model.opset_import if entry.domain == "")
    if written != opset:
        raise DlcvError(
            f"opset {opset} was asked for and the exporter wrote {written}",
            f"use --opset {DEFAULT_OPSET} or newer",
        )
    _name_mask_axes(model)
    _forget_origins(model)
    for key, value in card.to_metadata().items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return model


def without_logits(model: Any) -> Any:
    """Return a copy of a traced model that gives out the mask alone."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept = [output for output in copy.graph.output if output.name != LOGITS]
    del copy.graph.output[:]
    copy.graph.output.extend(kept)
    return copy


def _name_mask_axes(model: Any) -> None:
    """Replace the tracer's symbols of the mask size by words."""
    names = {}
    for output in model.graph.output:
        for axis, word in zip(
            output.type.tensor_type.shape.dim[-2:], ("mask_height", "mask_width"), strict=True
        ):
            names[axis.dim_param] = word
    for value in (*model.graph.output, *model.graph.value_info):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in names:
                axis.dim_param = names[axis.dim_param]


def _forget_origins(message: Any) -> None:
    """Drop the tracer's notes: stack traces with the paths of the machine that exported."""
    for field, value in message.ListFields():
        if field.name in {"metadata_props", "doc_string"}:
            message.ClearField(field.name)
        elif field.type == field.TYPE_MESSAGE:
            repeated = isinstance(value, Iterable)
            for part in value if repeated else (value,):
                _forget_origins(part)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's chatter off stdout and stderr; errors still raise."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "torch.export")]
    levels = [logger.level for logger in loggers]
    aside = io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(aside),
        contextlib.redirect_stderr(aside),
    ):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)

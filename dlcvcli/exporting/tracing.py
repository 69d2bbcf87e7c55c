"""Trace a module into an ONNX graph."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dlcvcli.errors import DlcvError
from dlcvcli.runtime.metadata import ModelCard

DEFAULT_OPSET = 18


def trace_graph(
    graph: nn.Module,
    example: tuple[Tensor, ...],
    shapes: tuple[Any, ...],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    card: ModelCard,
    opset: int,
) -> Any:
    """Return an `onnx.ModelProto` of a module in evaluation mode, with a card as metadata.

    Args:
        graph: the module; it is put into evaluation mode, and its parts stop writing in place.
        example: inputs. Different axes have different lengths and none has length 1, which the
            tracer could take for one axis and for a constant.
        shapes: for each input, axis -> `torch.export.Dim` of the dynamic ones, or None.
        inputs, outputs: their names.
        card: what the file says of itself.
        opset: version of the operator set.

    Raises:
        DlcvError: the exporter fails; quotes its message.
    """
    # Parts that write in place make tracing take twice the time for the same graph.
    for module in graph.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010 - unknown to the type of Module
    with silence():
        try:
            program = torch.onnx.export(
                graph.eval(),
                example,
                dynamic_shapes=shapes,
                input_names=list(inputs),
                output_names=list(outputs),
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
    _forget_origins(model)
    for key, value in card.to_metadata().items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    return model


def _forget_origins(message: Any) -> None:
    """Remove the tracer's notes, which are stack traces with paths of this machine."""
    for field, value in message.ListFields():
        if field.name in {"metadata_props", "doc_string"}:
            message.ClearField(field.name)
        elif field.type == field.TYPE_MESSAGE:
            repeated = isinstance(value, Iterable)
            for part in value if repeated else (value,):
                _forget_origins(part)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Suppress output, warnings and log messages of the exporter; errors are still raised."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "torch.export")]
    levels = [logger.level for logger in loggers]
    unused = io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(unused),
        contextlib.redirect_stderr(unused),
    ):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)

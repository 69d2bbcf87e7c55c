"""Tracing a module into an ONNX graph: what is the same for every task."""

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
        graph: what is traced; its modules stop writing in place.
        example: inputs, with no axis of length 1 and no two of one length that are not the same: a
            tracer could take them for constants, or for one.
        shapes: for each input, axis -> `torch.export.Dim` of those that are dynamic, or None.
        inputs, outputs: their names.
        card: what the file says of itself.
        opset: of the file.

    Raises:
        DlcvError: the exporter fails; carries its own words.
    """
    # Writing over an input makes the tracer copy it first: twice the time for the same graph.
    for module in graph.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # noqa: B010 - unknown to the type of Module
    with quiet():
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
    """Drop the tracer's notes: stack traces with the paths of the machine that exported."""
    for field, value in message.ListFields():
        if field.name in {"metadata_props", "doc_string"}:
            message.ClearField(field.name)
        elif field.type == field.TYPE_MESSAGE:
            repeated = isinstance(value, Iterable)
            for part in value if repeated else (value,):
                _forget_origins(part)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
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

"""`dlcv predict`: predictions for new images."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcvcli.cli.flag_table import command, flags_of
from dlcvcli.config.names import Provider
from dlcvcli.errors import UsageError
from dlcvcli.tasks.registry import TASKS, task_of

if TYPE_CHECKING:
    from dlcvcli.flags import ModelFlags


def predict_command() -> Callable[..., None]:
    """Return `dlcv predict` with the flags of all tasks."""
    return command(
        _predict,
        _tables().values(),
        summary="Predict new images: masks at their own size, or the labels of episodes.",
    )


def _tables() -> dict[str, type[ModelFlags]]:
    return {n: spec.flags.predict for n, spec in TASKS.items() if spec.flags.predict is not None}


def _predict(
    model: Annotated[Path, typer.Argument(help="Run folder, .ckpt or .onnx.", show_default=False)],
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Images, folders, or - for a list on stdin; for a few-shot model, episode files.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder for the masks; for a few-shot model, for CSV files of labels.",
            show_default=False,
        ),
    ],
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Run under ONNX Runtime; exports first where needed.")
    ] = False,
    provider: Annotated[Provider, typer.Option(help="Execution provider.")] = "auto",
    **typed: Any,
) -> None:
    from dlcvcli.cli.console import SHOWN, stdout
    from dlcvcli.cli.onnx_file import ensure_onnx
    from dlcvcli.inference.prediction import PredictRequest
    from dlcvcli.runs import find_model

    ref = find_model(model)
    spec = task_of(ref)
    if spec.predict is None or spec.flags.predict is None:
        raise UsageError(f"{model} is {spec.noun}, which predicts nothing by itself")
    flags = flags_of(spec.flags.predict, typed, spec, _tables(), model=model, tasks=TASKS)
    if onnx:
        ref = ensure_onnx(ref, flags.graph)
    for line in spec.predict(PredictRequest(ref, inputs, _listed(), out, provider, flags), SHOWN):
        stdout().print(line, markup=False, soft_wrap=True)


def _listed() -> Iterator[str]:
    """Yield the lines of stdin as names of files, which need not be UTF-8."""
    yield from map(os.fsdecode, sys.stdin.buffer)

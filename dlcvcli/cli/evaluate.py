"""`dlcv eval`: score a model on a labelled set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcvcli.cli.flag_table import command, flags_of
from dlcvcli.cli.flags import JsonTo
from dlcvcli.config.names import Provider
from dlcvcli.errors import CheckFailed, DataError, UsageError
from dlcvcli.tasks.registry import TASKS, task_of

if TYPE_CHECKING:
    from dlcvcli.flags import ModelFlags
    from dlcvcli.inference.evaluation import EvalRequest, Evaluator
    from dlcvcli.tasks.spec import TaskSpec


def evaluate_command() -> Callable[..., None]:
    """Return `dlcv eval` with the flags of all tasks."""
    return command(
        _evaluate, _tables().values(), summary="Score a model on a labelled set, and its speed."
    )


def _tables() -> dict[str, type[ModelFlags]]:
    return {name: spec.flags.eval for name, spec in TASKS.items() if spec.flags.eval is not None}


def _evaluate(
    model: Annotated[Path, typer.Argument(help="Run folder, .ckpt or .onnx.", show_default=False)],
    data: Annotated[Path, typer.Option(help="Folder of the labelled set.", show_default=False)],
    split: Annotated[
        str, typer.Option(help="Split; of a set without splits, val is what was held out.")
    ] = "val",
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Run under ONNX Runtime; exports first where needed.")
    ] = False,
    provider: Annotated[Provider, typer.Option(help="Execution provider.")] = "auto",
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Run PyTorch and ONNX Runtime, and compare predictions."),
    ] = False,
    batch_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Images (or tiles) per call.",
            show_default="16 on a GPU, else 4; few-shot: by their size",
        ),
    ] = None,
    json_to: JsonTo = None,
    **typed: Any,
) -> None:
    from dlcvcli.cli.console import SHOWN, stdout, write_result
    from dlcvcli.cli.result_table import rendered
    from dlcvcli.inference.evaluation import EvalRequest
    from dlcvcli.runs import find_model

    ref = find_model(model)
    if not data.exists():
        raise DataError(f"data folder {data} does not exist")
    spec = task_of(ref)
    if spec.evaluator is None or spec.flags.eval is None:
        raise UsageError(f"{model} is {spec.noun}, which has no evaluation")
    flags = flags_of(spec.flags.eval, typed, spec, _tables(), model=model, tasks=TASKS)
    evaluator = spec.evaluator()
    request = EvalRequest(ref, data, split, provider, batch_size, flags)
    evaluator.check(request)
    if compare:
        result = _compare(evaluator, request)
    else:
        request = _under_onnx(request) if onnx else request
        result = evaluator.evaluate(request, SHOWN)
    write_result(result, json_to)
    if json_to != "-":
        stdout().print(rendered(evaluator.table(result), result))
    evaluator.finish(request, result)
    _check_scores(spec, flags, result)


def _under_onnx(request: EvalRequest) -> EvalRequest:
    from dataclasses import replace

    from dlcvcli.cli.onnx_file import ensure_onnx

    return replace(request, ref=ensure_onnx(request.ref, request.flags.graph))


def _compare(evaluator: Evaluator, request: EvalRequest) -> dict[str, Any]:
    from dlcvcli.cli.onnx_file import both_files
    from dlcvcli.inference.compare import compare

    if evaluator.predictions in request.flags.typed():
        raise UsageError(f"{evaluator.predictions} does not go with --compare")
    checkpoint, onnx = both_files(request.ref, request.flags.graph)
    return compare(checkpoint, onnx, request, evaluator)


def _check_scores(spec: TaskSpec, flags: ModelFlags, result: dict[str, Any]) -> None:
    """Refuse a score that is worse than the limit that the user asked for.

    Raises:
        CheckFailed: it is.
    """
    from dlcvcli.cli.console import fraction

    for score in spec.scores:
        limit = None if score.limit is None else getattr(flags, score.limit)
        if limit is None:
            continue
        value = result["metrics"][score.key]
        if value is None or score.is_better(limit, value):
            name = f"--{str(score.limit).replace('_', '-')}"
            side = "below" if score.higher_is_better else "above"
            raise CheckFailed(f"{score.name} {fraction(value)} is {side} {name} {limit}")

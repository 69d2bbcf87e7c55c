"""`dlcv export`: an ONNX file with a certificate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dlcvcli.cli.flag_table import command, flags_of
from dlcvcli.cli.onnx_file import default_onnx_path
from dlcvcli.errors import UsageError
from dlcvcli.tasks.registry import TASKS, open_subject, task_of

if TYPE_CHECKING:
    from dlcvcli.exporting.certify import Certificate
    from dlcvcli.exporting.export import Exported
    from dlcvcli.flags import ExportFlags


def export_command() -> Callable[..., None]:
    """Return `dlcv export` with the flags of all tasks."""
    return command(
        _export,
        _tables().values(),
        summary="Export a trained model to ONNX, and certify that it gives the same numbers.",
    )


def _tables() -> dict[str, type[ExportFlags]]:
    return {n: spec.flags.export for n, spec in TASKS.items() if spec.flags.export is not None}


def _export(
    model: Annotated[Path, typer.Argument(help="Run folder or .ckpt.", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option(help="The .onnx file.", show_default="RUN/model.onnx or episode.onnx"),
    ] = None,
    precision: Annotated[
        Literal["fp32"], typer.Option(help="Number format of the weights; fp32 only, so far.")
    ] = "fp32",
    opset: Annotated[int, typer.Option(min=18, help="Version of the ONNX operator set.")] = 18,
    verify_data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a labelled set on which PyTorch and the file are scored too.",
            show_default=False,
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Split of --verify-data.")] = "val",
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Compare the file with PyTorch.")
    ] = True,
    **typed: Any,
) -> None:
    from dlcvcli.cli.console import SHOWN, say
    from dlcvcli.extras import require_torch
    from dlcvcli.runs import find_model

    ref = find_model(model)
    if ref.kind == "onnx":
        raise UsageError(f"{model} is an ONNX file already", "give a run folder or a .ckpt")
    if verify_data is not None and not verify:
        raise UsageError("--verify-data and --no-verify contradict each other")
    spec = task_of(ref)
    if spec.subject is None or spec.flags.export is None:
        raise UsageError(f"{model} is {spec.noun}, which cannot be exported")
    flags = flags_of(spec.flags.export, typed, spec, _tables(), model=model, tasks=TASKS)
    target = out or default_onnx_path(ref, flags.stem)
    if target.suffix != ".onnx":
        raise UsageError(f"--out {target} does not end in .onnx")
    require_torch("export")
    from dlcvcli.exporting.export import check_opset, export

    check_opset(opset)
    subject = open_subject(spec, ref, flags)
    data = None if verify_data is None else subject.open_data(verify_data, split, SHOWN)
    _print(export(subject, target, opset=opset, verify=verify, verify_data=data, say=say))


def _print(done: Exported) -> None:
    from dlcvcli.cli.console import facts, stdout
    from dlcvcli.exporting.export import certificate_path

    size = sum(path.stat().st_size for path in done.paths) / 2**20
    rows = [*done.facts, ("size", f"{size:.1f} MiB")]
    if done.certificate is None:
        rows.append(("certificate", "none: not compared with PyTorch"))
    else:
        rows += _certificate_rows(done.certificate)
        rows.append(("certificate", f"passed; {certificate_path(done.out)}"))
    stdout().print(facts(str(done.out), rows))


def _certificate_rows(certificate: Certificate) -> list[tuple[str, str]]:
    from dlcvcli.cli.console import fraction

    rows = certificate.facts()
    scored = certificate.dataset
    if scored is not None:
        both = f"PyTorch {fraction(scored.torch, 6)}, ONNX Runtime {fraction(scored.onnx, 6)}"
        rows += [(f"{scored.score.name} on {scored.over}", both), *scored.facts]
    return rows

"""`dlcv doctor`: check the machine and the installation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcvcli.cli.flags import JsonTo
from dlcvcli.errors import CheckFailed, ExitStatus

if TYPE_CHECKING:
    from dlcvcli.doctor.examine import Examination

EPILOG = "dlcv doctor\n\ndlcv doctor --json doctor.json"

MARKS = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "bad": "[red]bad[/red]"}


def doctor(
    model: Annotated[
        Path | None,
        typer.Argument(
            help="Also check this model: an .onnx file or a run folder that holds one.",
            show_default=False,
        ),
    ] = None,
    json_to: JsonTo = None,
) -> None:
    """Check the machine and the installation, and report what does not work and how to fix it.

    The exit status is 1 if training, running ONNX models or the given model does not work.
    """
    from dlcvcli.cli.console import stdout, write_result
    from dlcvcli.doctor.examine import examine

    examination = examine(model)
    write_result(examination.as_dict(), json_to)
    if json_to != "-":
        stdout().print(_table(examination))
    bad = [finding for finding in examination.findings if finding.status == "bad"]
    if bad:
        error = CheckFailed(
            f"{len(bad)} of {len(examination.findings)} checks failed; the first: "
            f"{bad[0].area}, {bad[0].name}: {bad[0].value}",
            bad[0].fix,
        )
        error.status = ExitStatus.FAILED
        raise error


def _table(examination: Examination) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    for column in ("area", "name", "mark"):
        table.add_column(column, no_wrap=True)
    table.add_column("value", overflow="fold")
    area = ""
    for finding in examination.findings:
        shown = "" if finding.area == area else f"[bold]{finding.area}[/bold]"
        area = finding.area
        table.add_row(shown, escape(finding.name), MARKS[finding.status], escape(finding.value))
        if finding.fix:
            table.add_row("", "", "fix", f"[bold]{escape(finding.fix)}[/bold]")
    return table

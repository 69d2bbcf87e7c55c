"""`dlcv study`: train and compare several runs, with a table, figures and a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlcvcli.cli.flags import JsonTo

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from dlcvcli.outcomes.table import Table
    from dlcvcli.studies.outcome import StudyOutcome
    from dlcvcli.studies.study_folder import StudyFolder

_RUN = "dlcv study run landcover-models --seeds 3 --out runs/models"
_REPORT = "dlcv study report runs/models"

app = typer.Typer(
    help="Train and compare several runs, with a table, figures and a page.",
    no_args_is_help=True,
    epilog=f"dlcv study list\n\n{_RUN}\n\n{_REPORT}",
)

_NAME_WIDTH = 10

SHOW_EPILOG = (
    "dlcv study show landcover-models\n\n"
    "dlcv study show study4-segmentation --seeds 3 --set data.crop=256x256"
)
RUN_EPILOG = (
    f"{_RUN}\n\n"
    "dlcv study run fewshot-glyphs --set train.steps=100 --only euclidean --out runs/glyphs"
)
REPORT_EPILOG = f"{_RUN}\n\n{_REPORT}\n\n{_REPORT} --json models.json"


def _study_names(incomplete: str) -> list[str]:
    from dlcvcli.studies.definition import study_names

    return [name for name in study_names() if name.startswith(incomplete)]


Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Name from `dlcv study list`, or a YAML file that defines a study.",
        show_default=False,
        autocompletion=_study_names,
    ),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A setting for all runs, e.g. train.steps=1000. Repeatable.",
        show_default=False,
    ),
]
Seeds = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Number of seeds: train each run with seeds 0 to N-1, e.g. 3.",
        show_default="as in an existing --out, else 1",
    ),
]


@app.callback()
def _group() -> None:
    """Train and compare several runs, with a table, figures and a page."""


@app.command("list", epilog="dlcv study list\n\ndlcv study show landcover-models")
def list_() -> None:
    """List the studies that come with dlcv."""
    from rich.table import Table as RichTable
    from rich.text import Text

    from dlcvcli.cli.console import stdout
    from dlcvcli.studies.definition import load_study, study_names

    table = RichTable()
    for column in ("name", "runs", "needs", "title"):
        table.add_column(column, no_wrap=column == "name")
    for name in study_names():
        study = load_study(name)
        runs = ", ".join(run.name for run in study.runs)
        needs = "--data DIR" if study.needs_data else "nothing"
        table.add_row(name, runs, needs, Text(study.title))
    stdout().print(table)


@app.command("show", epilog=SHOW_EPILOG)
def show(name: Name, sets: Sets = None, seeds: Seeds = None) -> None:
    """Show the runs of a study: settings, reported scores and training commands."""
    from dlcvcli.cli.console import facts, stdout
    from dlcvcli.studies.definition import load_study
    from dlcvcli.studies.plan import (
        command_line,
        key_settings,
        planned_runs,
        study_settings,
        train_arguments,
    )
    from dlcvcli.studies.study_folder import StudyFolder

    study = load_study(name)
    settings = study_settings(study, sets or [])
    folder = StudyFolder(Path("OUT"))
    data = "DIR" if study.needs_data else folder.data
    shown = ", ".join(study.figures.images) or f"the first {study.figures.first}"
    head = [
        ("question", study.question),
        ("source", study.source),
        *([("data", f"synthetic: {study.data.describe()}")] if study.data is not None else []),
        *([("data", "your own: --data DIR")] if study.needs_data else []),
        *([("images shown", shown)] if study.shows_images else []),
    ]
    stdout().print(facts(study.title, [*head, *(("note", note) for note in study.notes)]))
    stdout().print(_as_rich(key_settings(study, settings)))
    for one in planned_runs(study, folder, seeds or 1):
        line = command_line(train_arguments(one, data=data, sets=sets or []))
        stdout().print(line, markup=False, soft_wrap=True)


@app.command("run", epilog=RUN_EPILOG)
def run(
    name: Name,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Data folder: images with masks, or images by class. Studies with synthetic data "
            "need none.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results.", show_default="runs/NAME")
    ] = None,
    seeds: Seeds = None,
    sets: Sets = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN",
            help="Train only this run, e.g. fcn8s. Repeatable.",
            show_default="all runs",
        ),
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Devices per training run, e.g. 2 GPUs.", show_default="1"
        ),
    ] = None,
    json_to: JsonTo = None,
) -> None:
    """Train the unfinished runs of a study, and write its tables, figures and page.

    A study that was stopped continues with the same command.
    """
    from dlcvcli.cli.console import say
    from dlcvcli.extras import require_torch
    from dlcvcli.studies.definition import load_study
    from dlcvcli.studies.study import StudyRequest, run_study
    from dlcvcli.studies.study_folder import StudyFolder

    study = load_study(name)
    folder = StudyFolder(out or Path("runs") / study.name)
    require_torch("a study")
    request = StudyRequest(
        study, name, folder, data, seeds, tuple(sets or ()), tuple(only or ()), devices
    )
    run_study(request, say=say)
    _report(folder, json_to)


@app.command("report", epilog=REPORT_EPILOG)
def report(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder of a study, the --out of `study run`.", show_default=False
        ),
    ],
    json_to: JsonTo = None,
) -> None:
    """Write tables, figures and page of a study folder again, finished or not."""
    from dlcvcli.extras import require_torch
    from dlcvcli.studies.study_folder import StudyFolder

    StudyFolder(folder).read()
    require_torch("a study's report")
    _report(StudyFolder(folder), json_to)


def _report(folder: StudyFolder, json_to: str | None) -> None:
    from dlcvcli.cli.console import say, stdout, write_result
    from dlcvcli.studies.study_report import report_study

    outcome = report_study(folder)
    write_result(outcome.as_dict(), json_to)
    for one in outcome.unfinished:
        at = f" at step {one.step}" if one.step else ""
        say(f"{outcome.relative(one)}: {one.state}{at}")
    if json_to == "-":
        return
    _print(outcome)
    stdout().print(f"report page: {folder.page}", markup=False, soft_wrap=True)


def _print(outcome: StudyOutcome) -> None:
    from dlcvcli.cli.console import stdout
    from dlcvcli.studies.table import further_tables, main_table, notes_of

    for group in outcome.groups:
        for table in (main_table(group), *further_tables(group)):
            stdout().print(_as_rich(table))
        for line in notes_of(outcome, group):
            stdout().print(line, markup=False, soft_wrap=True)


def _as_rich(table: Table) -> RichTable:
    from textwrap import wrap

    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(
        title=Text(table.title) if table.title else None, title_justify="left", box=box.SIMPLE_HEAD
    )
    for place, column in enumerate(table.columns):
        # Long names are wrapped, to leave space for the numbers.
        name = Text("\n".join(wrap(column, _NAME_WIDTH)))
        shown.add_column(name, vertical="top", justify="left" if place < table.words else "right")
    for number, row in enumerate(table.rows):
        style = "bold" if number == table.marked else ""
        shown.add_row(*(Text(cell) for cell in row), style=style)
    return shown

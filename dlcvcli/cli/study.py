"""`dlcv study`: train and compare several runs, with a table, figures and a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlcvcli.cli.flags import JsonTo

if TYPE_CHECKING:
    from rich.console import JustifyMethod
    from rich.table import Table as RichTable

    from dlcvcli.outcomes.table import Table
    from dlcvcli.studies.definition import Given
    from dlcvcli.studies.outcome import StudyOutcome
    from dlcvcli.studies.study_folder import StudyFolder

_RUN = "dlcv study run landcover-models --seeds 3 --out runs/models"
_REPORT = "dlcv study report runs/models"

app = typer.Typer(
    help="Train and compare several runs, with a table, figures and a page.",
    no_args_is_help=True,
    epilog=f"dlcv study list\n\n{_RUN}\n\n{_REPORT}",
)

# Widths in characters: of the name of a column, of a cell, and between columns.
_NAME_WIDTH, _CELL_WIDTH, _APART = 10, 30, 3

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
        needs = ["--data DIR"] if study.needs_data else []
        needs += [f"--given {key}=PATH" for key, one in study.given.items() if not one.optional]
        table.add_row(name, runs, ", ".join(needs) or "nothing", Text(study.title))
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
        *(("given", _how_to_give(key, one)) for key, one in study.given.items()),
        *([("images shown", shown)] if study.shows_images else []),
    ]
    stdout().print(facts(study.title, [*head, *(("note", note) for note in study.notes)]))
    _print_table(key_settings(study, settings))
    given = {key: Path(key.upper()) for key in study.given}
    for one in planned_runs(study, folder, seeds or 1, given=given):
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
    given: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH",
            help="Folder or checkpoint that the study asks for, or a checkpoint in place of a run "
            "that others start from, e.g. byol=byol.ckpt. Repeatable.",
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
    from dlcvcli.studies.given import parse_given
    from dlcvcli.studies.study import StudyRequest, run_study
    from dlcvcli.studies.study_folder import StudyFolder

    study = load_study(name)
    folder = StudyFolder(out or Path("runs") / study.name)
    require_torch("a study")
    request = StudyRequest(
        definition=study,
        called=name,
        folder=folder,
        data=data,
        seeds=seeds,
        sets=tuple(sets or ()),
        only=tuple(only or ()),
        devices=devices,
        given=parse_given(given or (), study),
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
            _print_table(table)
        for line in notes_of(outcome, group):
            stdout().print(line, markup=False, soft_wrap=True)


def _how_to_give(name: str, given: Given) -> str:
    optional = "; without it, the runs that need it are left out" if given.optional else ""
    return f"--given {name}=PATH: {given.what}{optional}"


def _print_table(table: Table) -> None:
    """Print a table; columns that do not fit beside the others go below them."""
    from dataclasses import replace

    from dlcvcli.cli.console import stdout

    # Long names are wrapped, to leave space for the numbers.
    columns = tuple(_wrapped(name, _NAME_WIDTH) for name in table.columns)
    rows = tuple(tuple(_wrapped(cell, _CELL_WIDTH) for cell in row) for row in table.rows)
    wrapped = replace(table, columns=columns, rows=rows)
    for part in wrapped.in_parts(stdout().width - 1, apart=_APART):
        stdout().print(_as_rich(part))


def _wrapped(text: str, width: int) -> str:
    from textwrap import wrap

    return "\n".join(wrap(text, width, break_long_words=False, break_on_hyphens=False))


def _as_rich(table: Table) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(
        title=Text(table.title) if table.title else None, title_justify="left", box=box.SIMPLE_HEAD
    )
    for place, column in enumerate(table.columns):
        justify: JustifyMethod = "left" if place < table.words else "right"
        shown.add_column(Text(column), vertical="top", justify=justify)
    for number, row in enumerate(table.rows):
        style = "bold" if number == table.marked else ""
        shown.add_row(*(Text(cell) for cell in row), style=style)
    return shown

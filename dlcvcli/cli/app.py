"""The tree of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from dlcvcli import __version__
from dlcvcli.cli import data, demo, doctor, evaluate, export, figure, models, predict, study, train
from dlcvcli.cli.flag_table import epilog_of
from dlcvcli.cli.task_commands import with_task_commands
from dlcvcli.tasks.registry import TASKS


def make_app() -> typer.Typer:
    """Return `dlcv` with the commands of every task in the table."""
    app = typer.Typer(
        name="dlcv",
        help="From a folder of images to trained models, exact numbers, figures and fast ONNX.",
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        epilog="First steps: [bold]dlcv demo[/bold]",
    )
    app.callback()(root)
    app.command("demo", epilog=demo.EPILOG)(demo.demo)
    app.add_typer(train.train_app(), name="train")
    app.command("export", epilog=epilog_of(TASKS.values(), "export"))(export.export_command())
    app.command("eval", epilog=epilog_of(TASKS.values(), "eval"))(evaluate.evaluate_command())
    app.command("predict", epilog=epilog_of(TASKS.values(), "predict"))(predict.predict_command())
    app.add_typer(with_task_commands(data.app, "data"), name="data")
    app.add_typer(with_task_commands(figure.app, "figure"), name="figure")
    app.add_typer(study.app, name="study")
    app.command("models", epilog=models.EPILOG)(models.models)
    app.command("doctor", epilog=doctor.EPILOG)(doctor.doctor)
    return app


def _version(typed: bool) -> None:
    if typed:
        typer.echo(f"dlcv {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """From a folder of images to trained models, exact numbers, figures and fast ONNX."""

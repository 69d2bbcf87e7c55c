"""The tree of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from dlcvcli import __version__
from dlcvcli.cli import data, demo, doctor, evaluate, export, figure, models, predict, study, train

app = typer.Typer(
    name="dlcv",
    help="From a folder of images to trained models, exact numbers, honest figures and fast ONNX.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="First steps: [bold]dlcv demo[/bold]",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"dlcv {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """From a folder of images to trained models, exact numbers, honest figures and fast ONNX."""


app.command("demo")(demo.demo)
app.add_typer(train.app, name="train")
app.command("export", epilog=export.EPILOG)(export.export)
app.command("eval", epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command("predict", epilog=predict.EPILOG)(predict.predict)
app.add_typer(data.app, name="data")
app.add_typer(figure.app, name="figure")
app.add_typer(study.app, name="study")
app.command("models", epilog=models.EPILOG)(models.models)
app.command("doctor", epilog=doctor.EPILOG)(doctor.doctor)

"""`dlcv train`: train a model."""

from __future__ import annotations

import typer

from dlcvcli.cli import train_fewshot, train_seg

app = typer.Typer(help="Train a model.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Train a model."""


app.command("seg", epilog=train_seg.EPILOG)(train_seg.seg)
app.command("fewshot", epilog=train_fewshot.EPILOG)(train_fewshot.fewshot)

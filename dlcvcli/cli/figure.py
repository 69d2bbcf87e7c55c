"""`dlcv figure`: figures of networks and of what run folders hold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlcvcli.cli.networks import ClassesOption, SetOption, SizeOption
from dlcvcli.errors import UsageError

app = typer.Typer(help="Draw figures from what a run folder holds.", no_args_is_help=True)

FORMATS = (".png", ".pdf")


@app.callback()
def _group() -> None:
    """Draw figures from what a run folder holds."""


@app.command("architecture", epilog="dlcv figure architecture fcn8s_vgg16 --out fcn8s.pdf")
def architecture(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="See `dlcv models`.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="A .png or .pdf file.", show_default="NAME.png")
    ] = None,
    size: SizeOption = "512x512",
    classes: ClassesOption = 21,
    sets: SetOption = None,
) -> None:
    """Draw a network: its blocks, how data flows between them, shapes, strides and rates."""
    from dlcvcli.cli.networks import read_options, read_size
    from dlcvcli.inference.load import require_torch
    from dlcvcli.models.registry import model_entry

    target = out or Path(f"{model_entry(name).name}.png")
    require_format(target)
    wanted, options = read_size(size), read_options(sets)
    require_torch("measuring a network")
    from dlcvcli.figures.architecture import architecture as draw
    from dlcvcli.figures.style import save
    from dlcvcli.models.profile import build_on_meta

    network = build_on_meta(name, num_classes=classes, options=options)
    save(draw(name, network, wanted), target)
    typer.echo(target)


def require_format(path: Path) -> None:
    """Refuse a figure's file whose ending names no format.

    Raises:
        UsageError: it ends in neither .png nor .pdf.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(
            f"--out {path}: a figure is a {' or '.join(FORMATS)} file",
            f"e.g. --out {path.with_suffix('.png') if path.name else 'figure.png'}",
        )

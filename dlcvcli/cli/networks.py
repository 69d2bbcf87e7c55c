"""How a network is named on the command line: its classes, its image's size, its options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from dlcvcli.errors import UsageError

SizeOption = Annotated[str, typer.Option("--size", metavar="HxW", help="Of the image, in pixels.")]
ClassesOption = Annotated[int, typer.Option("--classes", min=1, help="Number of classes.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One option of the model, e.g. output_stride=8. Repeatable.",
        show_default=False,
    ),
]


def read_size(text: str) -> tuple[int, int]:
    """Read the value of `--size`.

    Raises:
        UsageError: it is not HxW.
    """
    from dlcvcli.config.schema import parse_size

    try:
        height, width = parse_size(text)
    except ValueError as error:
        raise UsageError(f"--size: {error}") from None
    return height, width


def read_options(sets: Iterable[str] | None) -> dict[str, Any]:
    """Read the options of a model, named as alone or as `dlcv train` names them.

    Raises:
        ConfigError: one that is not KEY=VALUE with a value in YAML.
    """
    from dlcvcli.config.load import parse_set

    options = {}
    for text in sets or ():
        key, value = parse_set(text, example="output_stride=8")
        options[key.removeprefix("model.options.")] = value
    return options

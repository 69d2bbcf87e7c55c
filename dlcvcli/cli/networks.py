"""Flags of commands that profile or draw a network: image size, number of classes, options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcvcli.errors import UsageError

if TYPE_CHECKING:
    from dlcvcli.models.entry import ModelEntry

# Default number of classes: those of Pascal VOC.
CLASSES = 21

SizeOption = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="HxW",
        help="Height and width of the image in pixels, e.g. 512x1024.",
        show_default="512x512; for encoders 84x84",
    ),
]
ClassesOption = Annotated[
    int | None,
    typer.Option(
        "--classes",
        min=1,
        help="Number of classes, for segmentation networks.",
        show_default=str(CLASSES),
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="An option of the network, e.g. output_stride=8. Repeatable.",
        show_default=False,
    ),
]


def size_of(entry: ModelEntry, size: str | None) -> tuple[int, int]:
    """Return the height and width for a network from the value of `--size`, or the usual ones.

    Raises:
        UsageError: the value is not HxW, or the size is impossible or too small for the network.
    """
    from dlcvcli.config.sizes import read_size
    from dlcvcli.models.registry import require_size

    height_width = entry.usual_size if size is None else read_size(size)
    require_size(entry, height_width)
    return height_width


def classes_of(entry: ModelEntry, classes: int | None) -> int:
    """Return the number of classes from the value of `--classes`, or the default.

    Raises:
        UsageError: there is a value, and the network has no classes.
    """
    from dlcvcli.models.entry import OUTPUTS

    if classes is not None and not entry.has_classes:
        raise UsageError(
            f"--classes: {entry.name} gives {OUTPUTS[entry.gives]}, which has no classes",
            "leave --classes out",
        )
    return classes or CLASSES


def read_options(sets: Iterable[str] | None) -> dict[str, Any]:
    """Return the options of a network from the values of `--set`.

    A key may have the prefix ``model.options.``, which `dlcv train` needs.

    Raises:
        ConfigError: a value is not KEY=VALUE, with VALUE in YAML.
        UsageError: dlcv sets the option itself.
    """
    from dlcvcli.config.load import parse_set
    from dlcvcli.config.values import check_options

    options = {}
    for text in sets or ():
        key, value = parse_set(text, example="output_stride=8")
        options[key.removeprefix("model.options.")] = value
    try:
        return check_options(options)
    except ValueError as error:
        raise UsageError(f"--set: {error}") from None

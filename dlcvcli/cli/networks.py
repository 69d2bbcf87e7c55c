"""How a network is named on the command line: its classes, its image's size, its options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcvcli.errors import UsageError

if TYPE_CHECKING:
    from dlcvcli.models.registry import ModelEntry

# Of a segmentation network that is counted or drawn, unless told otherwise: Pascal VOC's.
CLASSES = 21

SizeOption = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="HxW",
        help="Of the image, in pixels.",
        show_default="512x512; of encoders 84x84",
    ),
]
ClassesOption = Annotated[
    int | None,
    typer.Option(
        "--classes", min=1, help="Number of classes; encoders have none.", show_default=str(CLASSES)
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="One option of the model, e.g. output_stride=8. Repeatable.",
        show_default=False,
    ),
]


def size_of(entry: ModelEntry, size: str | None) -> tuple[int, int]:
    """Read the value of `--size` for a network; None is the usual one of its task.

    Raises:
        UsageError: see `read_size`, or it is too small for an encoder.
    """
    from dlcvcli.config.sizes import read_size
    from dlcvcli.models.registry import USUAL_SIZES, require_size

    found = USUAL_SIZES[entry.task] if size is None else read_size(size)
    require_size(entry, found)
    return found


def classes_of(entry: ModelEntry, classes: int | None) -> int:
    """Return the number of classes that `--classes` gives a network.

    Raises:
        UsageError: it was given, and the network is an encoder.
    """
    if classes is not None and entry.task == "fewshot":
        raise UsageError(
            f"--classes: {entry.name} is an encoder, which has no classes",
            "leave --classes out",
        )
    return classes or CLASSES


def read_options(sets: Iterable[str] | None) -> dict[str, Any]:
    """Read the options of a model, named as alone or as `dlcv train` names them.

    Raises:
        ConfigError: one that is not KEY=VALUE with a value in YAML.
        UsageError: one that dlcv sets itself.
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

"""`dlcv data decode` and `encode`: masks of colours to masks of class ids, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlcvcli.errors import DataError

if TYPE_CHECKING:
    from dlcvcli.data.convert import Form

DECODE_EPILOG = "dlcv data decode masks ids --classes landcover7"
ENCODE_EPILOG = "dlcv data encode ids colours --classes landcover7"

Source = Annotated[
    Path, typer.Argument(metavar="IN", help="A mask, or a folder of them.", show_default=False)
]
Out = Annotated[
    Path, typer.Argument(metavar="OUT", help="A .png, or a folder.", show_default=False)
]
Classes = Annotated[str, typer.Option(help="Class preset or YAML file.", show_default=False)]
IgnoreIndex = Annotated[
    int | None,
    typer.Option(min=0, max=255, help="Id without a label.", show_default="as the class set says"),
]


def decode(
    source: Source,
    out: Out,
    classes: Classes,
    ignore_index: IgnoreIndex = None,
    binarise: Annotated[
        bool,
        typer.Option("--binarise", help="Cut masks at 128 first, where they were stored lossily."),
    ] = False,
    palette: Annotated[
        bool,
        typer.Option("--palette", help="Ids with the classes' colours as a palette, for viewers."),
    ] = False,
) -> None:
    """Turn masks of any kind that dlcv reads into PNGs of class ids, 8-bit grey.

    Black is read as the ignore id where the class set has no ignore colour and no black class.
    """
    form: Form = "palette" if palette else "ids"
    _convert(source, out, classes, ignore_index, form, binarise)


def encode(source: Source, out: Out, classes: Classes, ignore_index: IgnoreIndex = None) -> None:
    """Turn masks of class ids into RGB PNGs in the colours of the classes.

    The ignore id takes the ignore colour of the class set, black where it has none and no class
    is black; a mask that needs it where there is neither is refused.
    """
    _convert(source, out, classes, ignore_index, "colours", False)


def _convert(
    source: Path, out: Path, classes: str, ignore_index: int | None, form: Form, binarise: bool
) -> None:
    from dlcvcli.cli.console import counting, say, stdout
    from dlcvcli.data.convert import convert, plan_conversion
    from dlcvcli.palette import load_class_set, with_ignore_colour, with_ignore_index

    named = with_ignore_index(load_class_set(classes), ignore_index)
    known = with_ignore_colour(named)
    plan = plan_conversion(source, out)
    failed: list[DataError] = []
    pixels = ignored = 0
    with counting("converting") as progress:
        for done in convert(plan, known, form, binarise=binarise, progress=progress):
            pixels, ignored = pixels + done.pixels, ignored + done.ignored
            if done.error is not None:
                if len(plan) == 1:
                    raise done.error
                failed.append(done.error)
                say(f"left out: {done.error.message}")
    share = f"; {ignored / pixels:.1%} of the pixels are ignored" if ignored else ""
    if ignored and known is not named:
        share += f" (id {known.ignore_index}, black: '{named.name}' has no ignore colour)"
    if len(failed) < len(plan):
        masks = "1 mask" if len(plan) - len(failed) == 1 else f"{len(plan) - len(failed)} masks"
        stdout().print(f"{masks} in {out}{share}", markup=False, soft_wrap=True)
    if failed:
        hints = {error.hint for error in failed}
        raise DataError(
            f"{len(failed)} of {len(plan)} masks could not be converted",
            hints.pop() if len(hints) == 1 else "the lines above name each and say why",
        )

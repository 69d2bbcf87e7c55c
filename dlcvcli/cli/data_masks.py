"""`dlcv data decode` and `encode`: convert masks to class ids, and class ids to colours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dlcvcli.errors import DataError

if TYPE_CHECKING:
    from dlcvcli.data.convert import Form

_MAKE_TILES = "dlcv data make landcover tiles --train 16 --validation 4 --size 128x128"
_DECODE_TILES = "dlcv data decode tiles/train ids --classes landcover7"
DECODE_EPILOG = (
    f"{_MAKE_TILES}\n\n{_DECODE_TILES}"
    "\n\ndlcv data decode tiles/train/0000_mask.png first.png --classes landcover7 --palette"
)
ENCODE_EPILOG = (
    f"{_MAKE_TILES}\n\n{_DECODE_TILES}\n\ndlcv data encode ids colours --classes landcover7"
)

Source = Annotated[
    Path,
    typer.Argument(
        metavar="IN", help="A mask file, or a folder of masks with its sub-folders.",
        show_default=False,
    ),
]  # fmt: skip
Out = Annotated[
    Path,
    typer.Argument(
        metavar="OUT", help="Folder for the results; for one mask, also a .png file.",
        show_default=False,
    ),
]  # fmt: skip
Classes = Annotated[
    str,
    typer.Option(
        help="Class preset (landcover7, camvid11, voc21) or YAML file with names and colours.",
        show_default=False,
    ),
]
IgnoreIndex = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=255,
        help="Id of pixels without a label, e.g. 255.",
        show_default="as in the class set",
    ),
]


def decode(
    source: Source,
    out: Out,
    classes: Classes,
    ignore_index: IgnoreIndex = None,
    binarise: Annotated[
        bool,
        typer.Option(
            "--binarise",
            help="Round each channel to 0 or 255 first, for masks stored in a lossy format such as "
            "JPEG.",
        ),
    ] = False,
    palette: Annotated[
        bool,
        typer.Option(
            "--palette", help="Write palette PNGs, which image viewers show in the class colours."
        ),
    ] = False,
) -> None:
    """Convert colour, palette or grey masks to 8-bit grey PNGs of class ids.

    Black becomes the ignore id if the class set has neither an ignore colour nor a black class.
    """
    form: Form = "palette" if palette else "ids"
    _convert(source, out, classes, ignore_index, form, binarise)


def encode(source: Source, out: Out, classes: Classes, ignore_index: IgnoreIndex = None) -> None:
    """Convert masks of class ids to RGB PNGs in the colours of the classes.

    The ignore id gets the ignore colour of the class set, or black if it has none. If black is the
    colour of a class, masks with ignored pixels are refused.
    """
    _convert(source, out, classes, ignore_index, "colours", False)


def _convert(
    source: Path, out: Path, classes: str, ignore_index: int | None, form: Form, binarise: bool
) -> None:
    from dlcvcli.cli.console import counting, say, stdout
    from dlcvcli.data.convert import convert, plan_conversion
    from dlcvcli.palette import load_class_set, with_ignore_colour, with_ignore_index

    named = with_ignore_index(load_class_set(classes), ignore_index)
    class_set = with_ignore_colour(named)
    plan = plan_conversion(source, out)
    failed: list[DataError] = []
    pixels = ignored = 0
    with counting("converting") as progress:
        for result in convert(plan, class_set, form, binarise=binarise, progress=progress):
            pixels, ignored = pixels + result.pixels, ignored + result.ignored
            if result.error is not None:
                if len(plan) == 1:
                    raise result.error
                failed.append(result.error)
                say(f"left out: {result.error.message}")
    note = f"; {ignored / pixels:.1%} of the pixels are ignored" if ignored else ""
    if ignored and class_set is not named:
        note += f" (id {class_set.ignore_index}, black, since '{named.name}' has no ignore colour)"
    if len(failed) < len(plan):
        masks = "1 mask" if len(plan) - len(failed) == 1 else f"{len(plan) - len(failed)} masks"
        stdout().print(f"{masks} in {out}{note}", markup=False, soft_wrap=True)
    if failed:
        hints = {error.hint for error in failed}
        raise DataError(
            f"{len(failed)} of {len(plan)} masks could not be converted",
            hints.pop() if len(hints) == 1 else "fix the masks listed above, or remove them",
        )
